#include "image_folder.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include "raw_images.h"
#include <algorithm>
#include <memory>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr long most_pixels = 64l << 20;
constexpr std::size_t many = 1000;   // images of a folder from which on bad ones are left out, and counted
constexpr std::size_t most_bad = 10; // one in so many, at most

struct Header {
  int width, height, samples;
};

Header header_of(const MappedFile &file, const std::string &where) {
  const auto *bytes = reinterpret_cast<const stbi_uc *>(file.bytes().data());
  const int n = int(std::min<std::size_t>(file.bytes().size(), std::size_t(1) << 30));
  Header h{};
  if (n == 0 || !stbi_info_from_memory(bytes, n, &h.width, &h.height, &h.samples))
    throw InputError(where,
                     ": is not a PNG, JPEG or BMP that can be read: ", n == 0 ? "it is empty" : stbi_failure_reason());
  if (h.width < 1 || h.height < 1 || long(h.width) * h.height > most_pixels)
    throw InputError(where, ": found ", h.width, "x", h.height, " pixels, expected 1 to ", most_pixels);
  if (stbi_is_16_bit_from_memory(bytes, n))
    throw InputError(where, ": found 16 bits a sample, expected 8");
  if (h.samples == 4 && bytes[0] == 0xff)
    throw InputError(where, ": found a JPEG of four inks (CMYK), expected gray or colour");
  return h;
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

int channels_of_image(const fs::path &path) {
  const MappedFile file(path);
  return header_of(file, path.string()).samples >= 3 ? 3 : 1;
}

std::vector<std::uint8_t> read_image(const fs::path &path, int side, int channels) {
  const MappedFile file(path);
  const Header h = header_of(file, path.string());
  int width = 0, height = 0, samples = 0;
  const std::unique_ptr<stbi_uc, void (*)(void *)> decoded(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc *>(file.bytes().data()), int(file.bytes().size()), &width,
                            &height, &samples, channels),
      stbi_image_free);
  if (!decoded || width != h.width || height != h.height)
    throw InputError(path.string(), ": cannot be decoded: ", decoded ? "its sizes differ" : stbi_failure_reason());
  const int square = std::min(width, height), left = (width - square) / 2, top = (height - square) / 2;
  std::vector<std::uint8_t> small(std::size_t(side) * std::size_t(side) * std::size_t(channels));
  const stbi_uc *from =
      decoded.get() + (std::size_t(top) * std::size_t(width) + std::size_t(left)) * std::size_t(channels);
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
  raw.channels = o.channels > 0 ? o.channels : channels_of_image(train.front().first);
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
