#include "image_folder.h"
#include "image_file.h"
#include "kernels/device/error.h"
#include "raw_images.h"
#include <algorithm>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t many = 1000;   // images of a folder from which on bad ones are left out, and counted
constexpr std::size_t most_bad = 10; // one in so many, at most

// The luma of ITU-R BT.601, as PIL's gray images have it; or one gray plane three times.
std::vector<std::uint8_t> with_channels(StoredImage p, int channels) {
  if (channels == p.channels)
    return std::move(p.pixels);
  std::vector<std::uint8_t> pixels;
  const std::size_t n = std::size_t(p.width) * std::size_t(p.height);
  pixels.reserve(n * std::size_t(channels));
  for (std::size_t i = 0; i < n; ++i)
    if (channels == 3)
      pixels.insert(pixels.end(), 3, p.pixels[i]);
    else
      pixels.push_back(
          std::uint8_t((299 * p.pixels[3 * i] + 587 * p.pixels[3 * i + 1] + 114 * p.pixels[3 * i + 2] + 500) / 1000));
  return pixels;
}

bool is_image(const fs::path &path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".bmp";
}

// Image files of a folder, sorted.
std::vector<fs::path> images_in(const fs::path &folder) {
  std::vector<fs::path> files;
  for (const auto &entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && is_image(entry.path()))
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> folders_in(const fs::path &folder) {
  std::vector<fs::path> folders;
  for (const auto &entry : fs::directory_iterator(folder))
    if (entry.is_directory())
      folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

// A folder a class, or one flat folder.
std::vector<std::pair<fs::path, std::uint8_t>> labelled(const fs::path &folder, int &classes) {
  std::vector<std::pair<fs::path, std::uint8_t>> files;
  const auto folders = folders_in(folder);
  if (folders.size() > 256)
    throw InputError(folder.string(), ": found ", folders.size(), " folders, expected at most 256 classes");
  for (std::size_t c = 0; c < folders.size(); ++c)
    for (const fs::path &file : images_in(folders[c]))
      files.emplace_back(file, std::uint8_t(c));
  if (folders.empty())
    for (const fs::path &file : images_in(folder))
      files.emplace_back(file, std::uint8_t(0));
  classes = std::max(1, int(folders.size()));
  return files;
}

} // namespace

std::vector<std::uint8_t> read_image(const fs::path &path, int side, int channels) {
  StoredImage image = read_stored_image(path);
  const int width = image.width, square = std::min(width, image.height);
  const int left = (width - square) / 2, top = (image.height - square) / 2;
  const auto pixels = with_channels(std::move(image), channels);
  std::vector<std::uint8_t> small(std::size_t(side) * std::size_t(side) * std::size_t(channels));
  const std::uint8_t *from =
      pixels.data() + (std::size_t(top) * std::size_t(width) + std::size_t(left)) * std::size_t(channels);
  if (!stbir_resize_uint8(from, square, square, width * channels, small.data(), side, side, side * channels, channels))
    throw Error(path.string(), ": cannot be resized");
  std::vector<std::uint8_t> planes(small.size());
  const std::size_t area = std::size_t(side) * std::size_t(side);
  for (std::size_t p = 0; p < area; ++p)
    for (std::size_t c = 0; c < std::size_t(channels); ++c)
      planes[c * area + p] = small[p * std::size_t(channels) + c];
  return planes;
}

RawImages read_image_folder(const DatasetOptions &o, Reading) {
  if (o.folder.empty() || !fs::is_directory(o.folder))
    throw InputError("data.folder: found '", o.folder.string(),
                     "', expected a folder of images, or of one folder a class");
  RawImages raw{.name = "images", .side = o.side};
  const bool divided = fs::is_directory(o.folder / "train") && fs::is_directory(o.folder / "test");
  int test_classes = 0;
  auto train = labelled(divided ? o.folder / "train" : o.folder, raw.classes);
  std::vector<std::pair<fs::path, std::uint8_t>> test;
  if (divided) {
    test = labelled(o.folder / "test", test_classes);
    if (test_classes != raw.classes)
      throw InputError(o.folder.string(), ": found ", raw.classes, " classes in train and ", test_classes, " in test");
  } else { // every tenth is for the test
    std::vector<std::pair<fs::path, std::uint8_t>> rest;
    for (std::size_t i = 0; i < train.size(); ++i)
      (i % 10 == 9 ? test : rest).push_back(train[i]);
    train = std::move(rest);
  }
  const std::size_t all = train.size() + test.size();
  if (train.empty() || test.empty())
    throw InputError(o.folder.string(), ": found ", train.size(), " images to train on and ", test.size(),
                     " to test on, expected some of each (PNG, JPEG or BMP)");
  raw.channels = o.channels > 0 ? o.channels : image_header(train.front().first).channels;
  for (auto &[files, part] : {std::pair{&train, &raw.train}, {&test, &raw.test}})
    for (const auto &[path, label] : *files)
      try {
        const auto pixels = read_image(path, o.side, raw.channels);
        part->pixels.insert(part->pixels.end(), pixels.begin(), pixels.end());
        part->labels.push_back(label);
      } catch (const InputError &e) {
        if (all < many || ++raw.skipped > all / most_bad)
          throw InputError(e.what(),
                           raw.skipped > 0 ? text(", and ", raw.skipped - 1, " more of ", all, " images") : "");
        if (raw.first_skipped.empty())
          raw.first_skipped = e.what();
      }
  return raw;
}

} // namespace theta
