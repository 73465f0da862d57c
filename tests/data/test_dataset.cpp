#include "data/dataset.h"
#include "data/idx.h"
#include "tests/idx_files.h"
#include "tests/scratch.h"

using namespace theta;
using namespace theta::test;

namespace fs = std::filesystem;

namespace {

// A data set of 6 training and 2 test images in the format of Fashion-MNIST; pixel p of image n is (n + p) % 251.
void put_small_set(const fs::path &folder) {
  for (const auto &[part, count] : {std::pair{"train", 6u}, {"t10k", 2u}}) {
    std::string pixels, labels;
    for (unsigned n = 0; n < count; ++n) {
      labels += char(n % 10);
      for (unsigned p = 0; p < 28 * 28; ++p)
        pixels += char((n + p) % 251);
    }
    put_gzip(folder / (std::string(part) + "-images-idx3-ubyte.gz"), idx_header({count, 28, 28}) + pixels);
    put_gzip(folder / (std::string(part) + "-labels-idx1-ubyte.gz"), idx_header({count}) + labels);
  }
}

} // namespace

TEST_CASE("idx: shape and bytes are read; damage is refused") {
  const Scratch folder;
  const fs::path path = folder.path() / "x.gz";
  put_gzip(path, idx_header({2, 3}) + "abcdef");
  const Idx idx = read_idx(path);
  CHECK(idx.shape == std::vector<std::int64_t>{2, 3});
  CHECK(std::string(idx.bytes.begin(), idx.bytes.end()) == "abcdef");
  CHECK(read_idx_shape(path) == idx.shape);
  for (const std::string &bad :
       {idx_header({2, 3}) + "abcde", idx_header({2, 3}) + "abcdefg", std::string("\0\0\x0d\1", 4),
        idx_header({2, 3}).substr(0, 7), std::string(), idx_header({0xffffffff, 0xffffffff})}) {
    put_gzip(path, bad);
    CHECK_THROWS_AS(read_idx(path), InputError);
  }
  put_gzip(path, idx_header({2, 3}) + "abcdef");
  const std::string whole = contents(path);
  std::ofstream(path, std::ios::binary) << whole.substr(0, whole.size() - 9); // a truncated gzip stream
  CHECK_THROWS_AS(read_idx(path), InputError);
  CHECK_THROWS_AS(read_idx(folder.path() / "missing.gz"), InputError);
}

TEST_CASE("dataset: split, pooling and normalisation by their definitions") {
  const Scratch folder;
  put_small_set(folder.path());
  const Dataset whole = load_dataset({"fashion-mnist", 1, 2, {}, folder.path()}),
                pooled = load_dataset({"fashion-mnist", 2, 2, {}, folder.path()});
  CHECK(whole.train.size() == 4);
  CHECK(whole.validation.size() == 2);
  CHECK(whole.test.size() == 2);
  CHECK(whole.validation.labels == std::vector<std::uint8_t>{4, 5}); // the last of the training file
  CHECK(whole.validation.pixels[0] == 4);
  CHECK(pooled.side == 14);
  CHECK(int(pooled.train.pixels[0]) == (0 + 1 + 28 + 29 + 2) / 4); // of 2x2, rounding half up
  double mean = 0, square = 0;
  for (const double p : whole.train.pixels)
    mean += p / 255 / (4 * 784), square += p * p / 255 / 255 / (4 * 784);
  CHECK(whole.mean == doctest::Approx(mean));
  CHECK(whole.std == doctest::Approx(std::sqrt(square - mean * mean)));
  CHECK(255 * whole.mean * whole.scale() + whole.shift() == doctest::Approx(0));
  CHECK(whole.fingerprint != pooled.fingerprint);
  const DatasetSizes sizes = dataset_sizes({"fashion-mnist", 2, 2, {}, folder.path()});
  CHECK(sizes.train == 4);
  CHECK(sizes.test == 2);
  CHECK(sizes.pixels == 196);
  const Dataset two = load_dataset({"fashion-mnist", 1, 2, {3, 0}, folder.path()});
  CHECK(two.classes == 2);
  CHECK(two.train.labels == std::vector<std::uint8_t>{1, 0}); // 0 and 3 of 0, 1, 2, 3
  CHECK(std::equal(two.train.pixels.begin() + 784, two.train.pixels.end(), whole.train.pixels.begin() + 3 * 784));
  const DatasetSizes two_sizes = dataset_sizes({"fashion-mnist", 1, 2, {3, 0}, folder.path()});
  CHECK(two_sizes.train == two.train.size());
  CHECK(two_sizes.validation == two.validation.size());
  CHECK(two_sizes.test == two.test.size());
  CHECK(two_sizes.classes == 2);
  for (const std::vector<int> &labels : {std::vector{3}, {3, 3}, {0, 10}, {8, 9}}) // 8 and 9 are nowhere
    CHECK_THROWS_AS(load_dataset({"fashion-mnist", 1, 2, labels, folder.path()}), InputError);
  CHECK_THROWS_AS(load_dataset({"fashion-mnist", 3, 2, {}, folder.path()}), InputError);
  CHECK_THROWS_AS(load_dataset({"fashion-mnist", 1, 6, {}, folder.path()}), InputError);
  CHECK_THROWS_AS(load_dataset({"fashion-mnist", 1, 0, {}, folder.path() / "nowhere"}), InputError);
}

TEST_CASE("solids: some of every cube is inside, each is its own, and a solid does not depend on how many there are") {
  const Dataset few = load_dataset({.name = "solids", .solids = 5, .points = 999}),
                more = load_dataset({.name = "solids", .solids = 9, .points = 999});
  CHECK(few.pixels() == 999);
  CHECK(few.dimensions() == 3);
  CHECK(few.train.size() == 5);
  CHECK(few.coordinates().size() == 3 * 999);
  for (const float x : few.points)
    CHECK(std::abs(x) <= 1);
  CHECK(std::equal(few.train.pixels.begin(), few.train.pixels.end(), more.train.pixels.begin()));
  for (std::size_t i = 0; i < 9; ++i) {
    const auto first = more.train.pixels.begin() + std::ptrdiff_t(i * 999);
    const auto inside = std::count(first, first + 999, std::uint8_t(255));
    CHECK(inside > 10);
    CHECK(inside < 900);
    CHECK(std::count(first, first + 999, std::uint8_t(0)) == 999 - inside);
    if (i > 0)
      CHECK(!std::equal(first, first + 999, first - 999));
  }
  CHECK(dataset_sizes({.name = "solids", .solids = 5, .points = 999}).dimensions == 3);
  CHECK_THROWS_AS(load_dataset({.name = "cubes"}), InputError);
}

TEST_CASE("data set: coordinates are a grid from −1 to 1, rows of pixels one after another") {
  Dataset set;
  set.side = 3;
  CHECK(set.coordinates() == std::vector<float>{-1, -1, 0, -1, 1, -1, -1, 0, 0, 0, 1, 0, -1, 1, 0, 1, 1, 1});
}
