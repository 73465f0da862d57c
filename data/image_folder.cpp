#include "image_folder.h"
#include "image_file.h"
#include "kernels/device/error.h"
#include "labelled_files.h"
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

RawImages read_image_folder(const DatasetOptions &o, WhatIsRead) {
  if (o.folder.empty() || !fs::is_directory(o.folder))
    throw InputError("data.folder: found '", o.folder.string(),
                     "', expected a folder of images, or of one folder a class");
  RawImages raw{.name = "images", .side = o.side};
  std::vector<std::pair<fs::path, std::uint8_t>> train, test;
  if (has_parts(o.folder)) {
    LabelledParts parts = labelled_parts(o.folder, is_image);
    raw.classes = parts.train.classes();
    train = std::move(parts.train.files), test = std::move(parts.test.files);
  } else { // every tenth is for the test
    const LabelledFiles all = labelled_files(o.folder, is_image);
    raw.classes = all.classes();
    for (std::size_t i = 0; i < all.files.size(); ++i)
      (i % 10 == 9 ? test : train).push_back(all.files[i]);
  }
  if (train.empty() || test.empty())
    throw InputError(o.folder.string(), ": found ", train.size(), " images to train on and ", test.size(),
                     " to test on, expected some of each (PNG, JPEG or BMP)");
  SkippedFiles skipped(train.size() + test.size(), "images");
  raw.channels = o.channels > 0 ? o.channels : image_header(train.front().first).channels;
  for (auto &[files, part] : {std::pair{&train, &raw.train}, {&test, &raw.test}})
    for (const auto &[path, label] : *files)
      try {
        const auto pixels = read_image(path, o.side, raw.channels);
        part->pixels.insert(part->pixels.end(), pixels.begin(), pixels.end());
        part->labels.push_back(label);
      } catch (const InputError &e) {
        skipped.add(e.what());
      }
  raw.skipped = skipped.count(), raw.first_skipped = skipped.first();
  return raw;
}

} // namespace theta
