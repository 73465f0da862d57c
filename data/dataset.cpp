#include "dataset.h"
#include "hash.h"
#include "idx.h"
#include "kernels/error.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr int raw_side = 28, classes = 10;

fs::path find_folder(const fs::path &folder) {
  if (!folder.empty())
    return folder;
  for (const fs::path root : {".deps/usr/share/datasets", "/usr/share/datasets", "/usr/local/share/datasets"})
    if (fs::exists(root / "fashion-mnist"))
      return root / "fashion-mnist";
  throw InputError("fashion-mnist: found neither in .deps/usr/share/datasets nor in /usr/share/datasets; "
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

void check_options(int pool, std::size_t validation, std::size_t training_images) {
  if (pool < 1 || raw_side % pool != 0)
    throw InputError("data.pool: found ", pool, ", expected 1, 2, 4, 7, 14 or 28");
  if (validation >= training_images)
    throw InputError("data.validation: found ", validation, ", expected less than the ", training_images,
                     " training images");
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

} // namespace

DatasetSizes fashion_mnist_sizes(int pool, std::size_t validation, const fs::path &folder) {
  const fs::path from = find_folder(folder);
  const auto count = [&](const char *part) { return std::size_t(read_idx_shape(label_file(from, part)).at(0)); };
  const std::size_t all = count("train");
  check_options(pool, validation, all);
  return {all - validation, validation, count("t10k"), raw_side / pool * (raw_side / pool), classes};
}

Dataset load_fashion_mnist(int pool, std::size_t validation, const fs::path &folder) {
  const fs::path from = find_folder(folder);
  check_options(pool, validation, std::size_t(read_idx_shape(label_file(from, "train")).at(0)));
  Dataset set{.name = "fashion-mnist", .side = raw_side / pool, .classes = classes};
  set.train = load_part(from, "train", pool);
  set.test = load_part(from, "t10k", pool);

  const std::size_t kept = set.train.size() - validation, area = std::size_t(set.pixels());
  set.validation.labels.assign(set.train.labels.begin() + std::ptrdiff_t(kept), set.train.labels.end());
  set.validation.pixels.assign(set.train.pixels.begin() + std::ptrdiff_t(kept * area), set.train.pixels.end());
  set.train.labels.resize(kept), set.train.pixels.resize(kept * area);

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

} // namespace theta
