// Data sets as other programs store them: MNIST's files, CIFAR's records, folders of images.
#include "data/idx.h"
#include "data/image_file.h"
#include "data/image_folder.h"
#include "data/raw_images.h"
#include "kernels/device/philox.h"
#include "tests/idx_files.h"
#include "tests/image_files.h"
#include "tests/scratch.h"
#include <algorithm>

using namespace theta;
using namespace theta::test;

namespace fs = std::filesystem;

namespace {

std::string refusal(const DatasetOptions &o) {
  try {
    load_dataset(o);
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

std::string noise(std::size_t n, std::uint32_t stream) {
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i)
    bytes += char(philox(3, Purpose::test, stream, i).word[0]);
  return bytes;
}

void same_sizes(const DatasetOptions &o, const Dataset &d) {
  const DatasetSizes planned = dataset_sizes(o), found = sizes_of(d);
  CHECK(planned.train == found.train);
  CHECK(planned.validation == found.validation);
  CHECK(planned.test == found.test);
  CHECK(planned.values() == found.values());
  CHECK(planned.classes == found.classes);
}

// A plain picture of one colour, with a mark in a corner.
std::vector<std::uint8_t> plain(int side, int channels, std::uint8_t value) {
  std::vector<std::uint8_t> pixels(std::size_t(side * side * channels), value);
  for (int c = 0; c < channels; ++c)
    pixels[std::size_t(c)] = std::uint8_t(255 - value + c);
  return pixels;
}

} // namespace

TEST_CASE("idx: plain or gzipped, in either spelling, recorded as what they are") {
  const Scratch folder;
  write_idx_data(folder.path() / "packed", 60, 20);
  const Dataset packed = load_dataset({.name = "idx", .validation = 10, .folder = folder.path() / "packed"});
  CHECK(packed.name == "idx");
  CHECK(packed.side == 28);
  CHECK(packed.train.size() == 50);
  same_sizes({.name = "idx", .validation = 10, .folder = folder.path() / "packed"}, packed);
  const auto plain = folder.path() / "plain";
  for (const auto &[part, count] : {std::pair{"train", 60u}, {"t10k", 20u}}) {
    const Idx images = read_idx(folder.path() / "packed" / (std::string(part) + "-images-idx3-ubyte.gz")),
              labels = read_idx(folder.path() / "packed" / (std::string(part) + "-labels-idx1-ubyte.gz"));
    const auto text = [](const auto &bytes) { return std::string(bytes.begin(), bytes.end()); };
    write_bytes(plain / (std::string(part) + "-images.idx3-ubyte"), idx_header({count, 28, 28}) + text(images.bytes));
    write_bytes(plain / (std::string(part) + "-labels.idx1-ubyte"), idx_header({count}) + text(labels.bytes));
  }
  const Dataset same = load_dataset({.name = "idx", .validation = 10, .folder = plain});
  CHECK(same.fingerprint == packed.fingerprint);
  // A folder of somebody's own is not called Fashion-MNIST.
  CHECK(load_dataset({.validation = 10, .folder = plain}).name == "idx");
  CHECK(refusal({.name = "idx"}).find("data.folder") != std::string::npos);
  CHECK(refusal({.name = "idx", .folder = folder.path()}).find("cannot be read") != std::string::npos);
  CHECK(refusal({.name = "mnist"}).find("fashion-mnist, idx, cifar10") != std::string::npos);
}

TEST_CASE("cifar: records of three planes; what is cut or mislabelled is refused") {
  const Scratch folder;
  const auto records = [&](int n, int labels, std::uint32_t stream) {
    std::string bytes;
    for (int i = 0; i < n; ++i)
      bytes += std::string(std::size_t(labels), char(i % 10)) + noise(3072, stream + std::uint32_t(i));
    return bytes;
  };
  const auto ten = folder.path() / "ten" / "cifar-10-batches-bin", hundred = folder.path() / "hundred";
  for (int b = 1; b <= 5; ++b)
    write_bytes(ten / ("data_batch_" + std::to_string(b) + ".bin"), records(10, 1, std::uint32_t(b) * 100));
  write_bytes(ten / "test_batch.bin", records(10, 1, 900));
  const DatasetOptions o{.name = "cifar10", .validation = 10, .folder = folder.path() / "ten"};
  const Dataset set = load_dataset(o);
  CHECK(set.channels == 3);
  CHECK(set.values() == 3072);
  CHECK(set.train.size() == 40);
  CHECK(std::string(set.train.pixels.begin(), set.train.pixels.begin() + 3072) == noise(3072, 100));
  same_sizes(o, set);
  auto pooled = o;
  pooled.pool = 8, pooled.labels = {1, 3};
  const Dataset small = load_dataset(pooled);
  CHECK(small.values() == 48);
  CHECK(small.classes == 2);
  same_sizes(pooled, small);
  write_bytes(hundred / "train.bin", records(20, 2, 1)), write_bytes(hundred / "test.bin", records(10, 2, 50));
  const Dataset fine = load_dataset({.name = "cifar100", .validation = 5, .folder = hundred});
  CHECK(fine.classes == 100);
  CHECK(fine.train.size() == 15);
  // Before it is here it is planned as it was published, and not trained on.
  const DatasetOptions absent{.name = "cifar10", .labels = {1, 3}, .folder = folder.path() / "absent"};
  CHECK(dataset_sizes(absent).train + dataset_sizes(absent).validation == 10000);
  CHECK(dataset_sizes(absent).test == 2000);
  CHECK(dataset_sizes(absent).values() == 3072);
  CHECK(refusal(absent).find("data_batch_1.bin: cannot be read") != std::string::npos);
  write_bytes(ten / "test_batch.bin", records(3, 1, 900).substr(0, 5000));
  CHECK(refusal(o).find("found 5000 bytes, expected records of 3073") != std::string::npos);
  write_bytes(ten / "test_batch.bin", char(17) + noise(3072, 1));
  CHECK(refusal(o).find("found label 17") != std::string::npos);
}

TEST_CASE(
    "images: a folder a class or one of all, gray or colour, resized; bad ones are named, or left out and counted") {
  const Scratch folder;
  const auto root = folder.path() / "classes";
  for (int c = 0; c < 2; ++c)
    for (int i = 0; i < 10; ++i)
      write_bytes(root / (c == 0 ? "cats" : "dogs") /
                      ("n" + std::to_string(i) +
                       (i % 3 == 0   ? ".png"
                        : i % 3 == 1 ? ".JPG"
                                     : ".bmp")),
                  picture_bytes(i % 3 == 0   ? PictureKind::png
                                : i % 3 == 1 ? PictureKind::jpeg
                                             : PictureKind::bmp,
                                20 + i, 24, 3,
                                std::vector<std::uint8_t>(std::size_t(20 + i) * 24 * 3, std::uint8_t(c * 100 + 40))));
  const DatasetOptions o{.name = "images", .validation = 4, .folder = root, .side = 8};
  const Dataset set = load_dataset(o);
  CHECK(set.channels == 3);
  CHECK(set.side == 8);
  CHECK(set.classes == 2);
  CHECK(set.train.size() + set.validation.size() + set.test.size() == 20);
  CHECK(set.test.size() == 2);
  same_sizes(o, set);
  for (std::size_t i = 0; i < set.train.size(); ++i) // one colour each, jpeg a step beside it
    CHECK(std::abs(int(set.train.pixels[i * 192 + 77]) - (set.train.labels[i] * 100 + 40)) <= 2);
  auto gray = o;
  gray.channels = 1;
  CHECK(load_dataset(gray).values() == 64);

  // Planes, and the middle square: a wide picture whose left third is white.
  std::vector<std::uint8_t> wide;
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 12; ++x)
      for (const int value : {x < 4 ? 255 : 10, 20, 30})
        wide.push_back(std::uint8_t(value));
  write_bytes(folder.path() / "wide.png", picture_bytes(PictureKind::png, 12, 4, 3, wide));
  const auto middle = read_image(folder.path() / "wide.png", 4, 3);
  CHECK(std::count(middle.begin(), middle.begin() + 16, 10) == 16);
  CHECK(middle[16] == 20);
  CHECK(middle[32] == 30);

  const auto bad = [&](const std::string &bytes, const char *part) {
    write_bytes(root / "cats" / "bad.png", bytes);
    const auto said = refusal(o);
    CAPTURE(said);
    CHECK(said.find("bad.png") != std::string::npos);
    CHECK(said.find(part) != std::string::npos);
    fs::remove(root / "cats" / "bad.png");
  };
  const std::string good = picture_bytes(PictureKind::png, 8, 8, 3, plain(8, 3, 9));
  bad("", "empty");
  bad("not a picture", "is not a PNG");
  bad(good.substr(0, good.size() / 2), "cannot be decoded");
  bad(with_png_header(good, 16, std::string("\x00\x00\x23\x28\x00\x00\x23\x28", 8)), "9000x9000 pixels");
  bad(with_png_header(good, 24, "\x10"), "16 bits");
  const std::string lossy = picture_bytes(PictureKind::jpeg, 40, 40, 3, plain(40, 3, 90));
  bad(lossy.substr(0, lossy.size() - 12), "cannot be decoded");
  std::string zero = lossy; // the frame header: marker, length, bits, height, width
  zero.replace(zero.find("\xff\xc0") + 5, 2, std::string(2, '\0'));
  bad(zero, "is not a PNG, JPEG");
  bad(cmyk_jpeg(8), "four inks");

  // Beside the colours a file may hold how much of them is seen: that is left out.
  const std::vector<std::uint8_t> seen{200, 100, 50, 0, 200, 100, 50, 255, 200, 100, 50, 7, 200, 100, 50, 90};
  write_bytes(folder.path() / "seen.png", picture_bytes(PictureKind::png, 2, 2, 4, seen));
  CHECK(read_stored_image(folder.path() / "seen.png").pixels ==
        std::vector<std::uint8_t>{200, 100, 50, 200, 100, 50, 200, 100, 50, 200, 100, 50});
  CHECK(read_image(folder.path() / "seen.png", 1, 1) == std::vector<std::uint8_t>{124}); // 0.299·200 + 0.587·100 + ...
  write_bytes(folder.path() / "gray.png", picture_bytes(PictureKind::png, 2, 2, 1, {1, 2, 3, 4}));
  CHECK(image_header(folder.path() / "gray.png").channels == 1);
  CHECK(read_image(folder.path() / "gray.png", 2, 3) == std::vector<std::uint8_t>{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4});
  CHECK(refusal({.name = "images", .folder = folder.path() / "nowhere"}).find("expected a folder of images") !=
        std::string::npos);

  const auto many = folder.path() / "many";
  for (int i = 0; i < 1010; ++i)
    write_bytes(many / ("i" + std::to_string(1000 + i) + ".bmp"),
                i % 200 == 5 ? "broken" : picture_bytes(PictureKind::bmp, 3, 3, 1, plain(3, 1, std::uint8_t(i % 200))));
  const Dataset most = load_dataset({.name = "images", .validation = 10, .folder = many, .side = 3, .channels = 1});
  CHECK(most.skipped == 6);
  CHECK(most.first_skipped.find("i1005.bmp") != std::string::npos);
  CHECK(most.train.size() + most.validation.size() + most.test.size() == 1004);
}
