#include "dataset.h"
#include "hash.h"
#include "kernels/device/error.h"
#include "mesh_folder.h"
#include "raw_images.h"
#include "solids.h"
#include <algorithm>
#include <cmath>
#include <optional>

namespace theta {

namespace {

// Every data set of images.
std::vector<std::pair<std::string, ReadImages>> &data_sets() {
  static std::vector<std::pair<std::string, ReadImages>> all{{"fashion-mnist", read_fashion_mnist},
                                                             {"idx", read_idx_files},
                                                             {"cifar10", read_cifar10},
                                                             {"cifar100", read_cifar100},
                                                             {"images", read_image_folder}};
  return all;
}
// And of bodies.
constexpr const char *solids = "solids", *meshes = "meshes";
bool is_bodies(const DatasetOptions &o) { return o.name == solids || o.name == meshes; }
// And text.
constexpr const char *text_name = "text", *corpus = ".deps/text";
TextParts text_parts(const DatasetOptions &o) {
  return read_text(o.folder.empty() ? corpus : o.folder, alphabet_named(o.alphabet));
}

RawImages read(const DatasetOptions &o, WhatIsRead reading) {
  for (const auto &[name, read] : data_sets())
    if (name == o.name)
      return read(o, reading);
  std::string known;
  for (const std::string &name : dataset_names())
    known += (known.empty() ? "" : name == text_name ? " or " : ", ") + name;
  throw InputError("data.name: found '", o.name, "', expected ", known);
}

// Averages pool x pool pixels to one, rounding half up, plane by plane.
std::vector<std::uint8_t> average_pool(const std::vector<std::uint8_t> &images, int raw_side, int pool) {
  const int side = raw_side / pool, area = pool * pool;
  const std::size_t planes = images.size() / (std::size_t(raw_side) * std::size_t(raw_side));
  std::vector<std::uint8_t> small(planes * std::size_t(side * side));
  for (std::size_t n = 0; n < planes; ++n)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        int sum = area / 2;
        for (int dy = 0; dy < pool; ++dy)
          for (int dx = 0; dx < pool; ++dx)
            sum += images[(n * std::size_t(raw_side) + std::size_t(y * pool + dy)) * std::size_t(raw_side) +
                          std::size_t(x * pool + dx)];
        small[(n * std::size_t(side) + std::size_t(y)) * std::size_t(side) + std::size_t(x)] = std::uint8_t(sum / area);
      }
  return small;
}

void check_options(const DatasetOptions &o, const RawImages &raw) {
  if (o.pool < 1 || raw.side % o.pool != 0) {
    std::string fits;
    for (int pool = 1; pool <= raw.side; ++pool)
      if (raw.side % pool == 0)
        fits += (fits.empty() ? "" : pool == raw.side ? " or " : ", ") + std::to_string(pool);
    throw InputError("data.pool: found ", o.pool, ", expected ", fits);
  }
  if (o.validation >= raw.train.size())
    throw InputError("data.validation: found ", o.validation,
                     o.validation == DatasetOptions{}.validation ? ", which it is unless a configuration says otherwise"
                                                                 : "",
                     ", expected less than the ", raw.train.size(),
                     " training images: data.validation = ", raw.train.size() / 10, ", for one");
  for (const Images *part : {&raw.train, &raw.test})
    if (std::any_of(part->labels.begin(), part->labels.end(), [&](auto label) { return label >= raw.classes; }))
      throw InputError(raw.name, ": found a label above ", raw.classes - 1, ", the largest of the training images");
  for (std::size_t i = 0; i < o.labels.size(); ++i) {
    if (o.labels[i] < 0 || o.labels[i] >= raw.classes)
      throw InputError("data.labels: found ", o.labels[i], ", expected 0 to ", raw.classes - 1);
    if (std::find(o.labels.begin(), o.labels.begin() + std::ptrdiff_t(i), o.labels[i]) !=
        o.labels.begin() + std::ptrdiff_t(i))
      throw InputError("data.labels: found ", o.labels[i], " twice");
  }
  if (o.labels.size() == 1)
    throw InputError("data.labels: found one class, expected at least 2");
}

// The class that a label becomes, or none.
std::optional<std::uint8_t> kept_as(std::uint8_t label, const std::vector<int> &labels) {
  if (labels.empty())
    return label;
  const auto found = std::find(labels.begin(), labels.end(), int(label));
  return found == labels.end() ? std::nullopt : std::optional(std::uint8_t(found - labels.begin()));
}

// Images first..last−1 of a part whose label is kept.
Images kept(const Images &all, std::size_t first, std::size_t last, const std::vector<int> &labels) {
  const std::size_t area = all.pixels.size() / all.size();
  Images some;
  for (std::size_t i = first; i < last; ++i)
    if (const auto label = kept_as(all.labels[i], labels)) {
      some.labels.push_back(*label);
      const auto image = all.pixels.begin() + std::ptrdiff_t(i * area);
      some.pixels.insert(some.pixels.end(), image, image + std::ptrdiff_t(area));
    }
  return some;
}

} // namespace

bool add_data_set(std::string name, ReadImages read) {
  data_sets().emplace_back(std::move(name), read);
  return true;
}

std::vector<std::string> dataset_names() {
  std::vector<std::string> names;
  for (const auto &[name, read] : data_sets())
    names.push_back(name);
  names.insert(names.end(), {solids, meshes, text_name});
  return names;
}

std::vector<float> Dataset::coordinates() const {
  if (!points.empty())
    return points;
  std::vector<float> all;
  const auto place = [&](int i) { return side > 1 ? 2 * float(i) / float(side - 1) - 1 : 0.0f; };
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      all.push_back(place(x)), all.push_back(place(y));
  return all;
}

DatasetSizes sizes_of(const Dataset &d) {
  const TextParts &t = d.text;
  if (!t.classes.empty())
    return {t.train.size(), t.validation.size(), t.test.size(), 1, d.classes, 1, 1, int(t.alphabet.size()), t.classes};
  return {d.train.size(), d.validation.size(), d.test.size(), d.pixels(), d.classes, d.dimensions(), d.channels};
}

ImageFormat image_format(const DatasetOptions &o) {
  if (is_bodies(o) || o.name == text_name)
    return {0, 1};
  if (o.name == "fashion-mnist" && o.folder.empty())
    return {28 / std::max(1, o.pool), 1}; // as Debian's package is, which need not be here to plan with
  const RawImages raw = read(o, WhatIsRead::labels);
  return {raw.side / std::max(1, o.pool), raw.channels};
}

DatasetSizes dataset_sizes(const DatasetOptions &o) {
  constexpr double most = 1 << 30; // bytes
  if (is_bodies(o)) {
    check_signal(o);
    const MeshFolder folder = o.name == meshes ? read_mesh_folder(o) : MeshFolder{};
    const std::size_t count = o.name == meshes ? folder.meshes.size() : std::size_t(o.solids);
    if (double(count) * o.points > most)
      throw InputError("data: found ", count, " ", o.name, " of ", o.points, " points, expected at most ",
                       std::size_t(most), " bytes of them");
    return {count, 0, 0, o.points, o.name == meshes ? folder.classes : int(o.families.size()), 3};
  }
  if (o.name == text_name && o.folder.empty() && o.alphabet == "folded" && !std::filesystem::exists(corpus))
    return {3'120'833,
            396'461,
            413'213,
            1,
            12,
            1,
            1,
            47, // as Debian's package is, which need not be here to plan with
            {"cs", "de", "en", "es", "fr", "hu", "id", "lv", "nl", "pl", "pt_BR", "sv"}};
  if (o.name == text_name)
    return sizes_of(load_dataset(o));
  const RawImages raw = read(o, WhatIsRead::labels);
  check_options(o, raw);
  const auto count = [&](auto first, auto last) {
    return std::size_t(std::count_if(first, last, [&](std::uint8_t l) { return kept_as(l, o.labels).has_value(); }));
  };
  const auto &train = raw.train.labels, &test = raw.test.labels;
  const auto middle = train.end() - std::ptrdiff_t(o.validation);
  const int side = raw.side / o.pool;
  return {count(train.begin(), middle),
          count(middle, train.end()),
          count(test.begin(), test.end()),
          side * side,
          o.labels.empty() ? raw.classes : int(o.labels.size()),
          2,
          raw.channels};
}

Dataset load_dataset(const DatasetOptions &o) {
  if (o.name == solids)
    return make_solids(o);
  if (o.name == text_name) {
    Dataset set{.name = text_name};
    set.text = text_parts(o), set.classes = int(set.text.classes.size());
    Hasher hash;
    for (const Characters *part : {&set.text.train, &set.text.validation, &set.text.test}) {
      hash.add(part->codes.data(), part->codes.size());
      hash.add(part->begins.data(), part->begins.size() * sizeof(part->begins[0]));
    }
    for (const std::string &each : set.text.alphabet)
      hash.add(each.data(), each.size());
    set.fingerprint = hex(hash.value());
    return set;
  }
  if (o.name == meshes)
    throw Error("data.name: found meshes, whose signals are computed on a device");
  RawImages raw = read(o, WhatIsRead::all);
  check_options(o, raw);
  if (o.pool > 1)
    for (Images *part : {&raw.train, &raw.test})
      part->pixels = average_pool(part->pixels, raw.side, o.pool);
  Dataset set{.name = raw.name,
              .side = raw.side / o.pool,
              .classes = o.labels.empty() ? raw.classes : int(o.labels.size()),
              .channels = raw.channels};
  set.skipped = raw.skipped, set.first_skipped = raw.first_skipped;
  const std::size_t middle = raw.train.size() - o.validation;
  set.train = kept(raw.train, 0, middle, o.labels),
  set.validation = kept(raw.train, middle, raw.train.size(), o.labels);
  set.test = kept(raw.test, 0, raw.test.size(), o.labels);
  if (set.train.size() == 0 || set.test.size() == 0)
    throw InputError("data.labels: found no image of them in ", o.name);

  std::uint64_t sum = 0, squares = 0;
  for (const std::uint64_t p : set.train.pixels)
    sum += p, squares += p * p;
  const double n = double(set.train.pixels.size()), mean = double(sum) / n;
  set.mean = mean / 255, set.std = std::sqrt(std::max(0.0, double(squares) / n - mean * mean)) / 255;
  if (!(set.std > 0))
    throw InputError(o.name, ": found images that are all alike, expected some that differ");

  Hasher hash;
  for (const auto *part : {&set.train, &set.validation, &set.test})
    for (const auto *bytes : {&part->pixels, &part->labels})
      hash.add(bytes->data(), bytes->size());
  set.fingerprint = hex(hash.value());
  return set;
}

} // namespace theta
