#include "dataset.h"
#include "hash.h"
#include "idx.h"
#include "kernels/device/error.h"
#include "solids.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr int raw_side = 28, classes = 10;

// Where data sets may be: THETA_DATA, beside the program (in its build tree, or installed), the system.
std::vector<fs::path> dataset_roots() {
  std::vector<fs::path> roots;
  if (const char *named = std::getenv("THETA_DATA"))
    roots.emplace_back(named);
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown).parent_path();
  for (const fs::path &above : {program / "..", program / ".." / ".."}) // build/theta, build/cpu/theta
    roots.push_back(above / ".deps/usr/share/datasets");
  roots.push_back(program / ".." / "share/theta/datasets");
  for (const char *root : {".deps/usr/share/datasets", "/usr/share/datasets", "/usr/local/share/datasets"})
    roots.emplace_back(root);
  return roots;
}

fs::path find_folder(const fs::path &folder) {
  if (!folder.empty())
    return folder;
  for (const fs::path &root : dataset_roots())
    if (fs::exists(root / "fashion-mnist"))
      return root / "fashion-mnist";
  throw InputError("fashion-mnist: found neither in THETA_DATA, nor beside the program, nor in /usr/share/datasets; "
                   "`make deps` fetches Debian's package dataset-fashion-mnist");
}

// Averages pool x pool pixels to one, rounding half up.
std::vector<std::uint8_t> average_pool(const std::vector<std::uint8_t> &images, std::size_t count, int pool) {
  const int side = raw_side / pool, area = pool * pool;
  std::vector<std::uint8_t> small(count * std::size_t(side * side));
  for (std::size_t n = 0; n < count; ++n)
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x) {
        int sum = area / 2;
        for (int dy = 0; dy < pool; ++dy)
          for (int dx = 0; dx < pool; ++dx)
            sum += images[(n * raw_side + std::size_t(y * pool + dy)) * raw_side + std::size_t(x * pool + dx)];
        small[(n * std::size_t(side) + std::size_t(y)) * std::size_t(side) + std::size_t(x)] = std::uint8_t(sum / area);
      }
  return small;
}

fs::path label_file(const fs::path &folder, const std::string &part) {
  return folder / (part + "-labels-idx1-ubyte.gz");
}

void check_options(const DatasetOptions &o, std::size_t training_images) {
  if (o.pool < 1 || raw_side % o.pool != 0)
    throw InputError("data.pool: found ", o.pool, ", expected 1, 2, 4, 7, 14 or 28");
  if (o.validation >= training_images)
    throw InputError("data.validation: found ", o.validation, ", expected less than the ", training_images,
                     " training images");
  for (std::size_t i = 0; i < o.labels.size(); ++i) {
    if (o.labels[i] < 0 || o.labels[i] >= classes)
      throw InputError("data.labels: found ", o.labels[i], ", expected 0 to ", classes - 1);
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

Images load_part(const fs::path &folder, const std::string &part, int pool) {
  const auto image_path = folder / (part + "-images-idx3-ubyte.gz"), label_path = label_file(folder, part);
  Idx images = read_idx(image_path), labels = read_idx(label_path);
  if (images.shape.size() != 3 || images.shape[1] != raw_side || images.shape[2] != raw_side)
    throw InputError(image_path.string(), ": expected images of 28x28 pixels");
  if (labels.shape.size() != 1 || labels.shape[0] != images.shape[0])
    throw InputError(label_path.string(), ": found ", labels.shape[0], " labels, expected ", images.shape[0]);
  if (std::any_of(labels.bytes.begin(), labels.bytes.end(), [](auto label) { return label >= classes; }))
    throw InputError(label_path.string(), ": found a label above ", classes - 1);
  auto pixels = pool == 1 ? std::move(images.bytes) : average_pool(images.bytes, labels.bytes.size(), pool);
  return {std::move(pixels), std::move(labels.bytes)};
}

DatasetSizes fashion_mnist_sizes(const DatasetOptions &o) {
  const fs::path from = find_folder(o.folder);
  const auto all = std::size_t(read_idx_shape(label_file(from, "train")).at(0));
  check_options(o, all);
  const int side = raw_side / o.pool, pixels = side * side;
  if (o.labels.empty())
    return {all - o.validation, o.validation, std::size_t(read_idx_shape(label_file(from, "t10k")).at(0)), pixels,
            classes};
  const auto train = read_idx(label_file(from, "train")).bytes, test = read_idx(label_file(from, "t10k")).bytes;
  const auto count = [&](auto first, auto last) {
    return std::size_t(std::count_if(first, last, [&](std::uint8_t l) { return kept_as(l, o.labels).has_value(); }));
  };
  const auto middle = train.end() - std::ptrdiff_t(o.validation);
  return {count(train.begin(), middle), count(middle, train.end()), count(test.begin(), test.end()), pixels,
          int(o.labels.size())};
}

Dataset load_fashion_mnist(const DatasetOptions &o) {
  const fs::path from = find_folder(o.folder);
  check_options(o, std::size_t(read_idx_shape(label_file(from, "train")).at(0)));
  Dataset set{
      .name = "fashion-mnist", .side = raw_side / o.pool, .classes = o.labels.empty() ? classes : int(o.labels.size())};
  const Images train = load_part(from, "train", o.pool), test = load_part(from, "t10k", o.pool);
  const std::size_t middle = train.size() - o.validation;
  set.train = kept(train, 0, middle, o.labels), set.validation = kept(train, middle, train.size(), o.labels);
  set.test = kept(test, 0, test.size(), o.labels);
  if (set.train.size() == 0 || set.test.size() == 0)
    throw InputError("data.labels: found no image of them in ", from.string());

  std::uint64_t sum = 0, squares = 0;
  for (const std::uint64_t p : set.train.pixels)
    sum += p, squares += p * p;
  const double n = double(set.train.pixels.size()), mean = double(sum) / n;
  set.mean = mean / 255, set.std = std::sqrt(double(squares) / n - mean * mean) / 255;

  Hasher hash;
  for (const auto *part : {&set.train, &set.validation, &set.test})
    for (const auto *bytes : {&part->pixels, &part->labels})
      hash.add(bytes->data(), bytes->size());
  set.fingerprint = hex(hash.value());
  return set;
}

void check_name(const std::string &name) {
  if (name != "fashion-mnist" && name != "solids")
    throw InputError("data.name: found '", name, "', expected fashion-mnist or solids");
}

} // namespace

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
  return {d.train.size(), d.validation.size(), d.test.size(), d.pixels(), d.classes, d.dimensions()};
}

int dataset_side(const DatasetOptions &o) { return raw_side / std::max(1, o.pool); }

DatasetSizes dataset_sizes(const DatasetOptions &o) {
  check_name(o.name);
  constexpr double most = 1 << 30; // bytes
  if (o.name == "solids" && double(o.solids) * o.points > most)
    throw InputError("data: found ", o.solids, " solids of ", o.points, " points, expected at most ", std::size_t(most),
                     " bytes of them");
  return o.name == "solids" ? DatasetSizes{std::size_t(o.solids), 0, 0, o.points, 1, 3} : fashion_mnist_sizes(o);
}

Dataset load_dataset(const DatasetOptions &o) {
  check_name(o.name);
  return o.name == "solids" ? make_solids(o.solids, o.points) : load_fashion_mnist(o);
}

} // namespace theta
