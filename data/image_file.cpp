#include "image_file.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include <memory>
#include <png.h>
#include <string>
#include <turbojpeg.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace theta {

namespace {

constexpr long most_pixels = 64l << 20;
constexpr std::size_t most_bytes = std::size_t(1) << 30;

struct File {
  const std::string name;
  const unsigned char *bytes;
  std::size_t size;

  [[noreturn]] void unknown(const char *why) const {
    throw InputError(name, ": is not a PNG, JPEG or BMP that can be read: ", why);
  }
  [[noreturn]] void damaged(const char *why) const { throw InputError(name, ": cannot be decoded: ", why); }
  [[noreturn]] void deep() const { throw InputError(name, ": found 16 bits a sample, expected 8"); }

  bool begins(std::string_view with) const {
    return std::string_view(reinterpret_cast<const char *>(bytes), std::min(size, with.size())) == with;
  }
};

void check_size(const File &f, long width, long height) {
  if (width < 1 || height < 1 || width > most_pixels / height)
    throw InputError(f.name, ": found ", width, "x", height, " pixels, expected 1 to ", most_pixels);
}

// samples are laid out [pixel, stride]; the first `channels` of each are kept.
std::vector<std::uint8_t> first_channels(const std::vector<std::uint8_t> &samples, std::size_t stride,
                                         std::size_t channels) {
  std::vector<std::uint8_t> kept;
  kept.reserve(samples.size() / stride * channels);
  for (std::size_t at = 0; at < samples.size(); at += stride)
    kept.insert(kept.end(), samples.begin() + long(at), samples.begin() + long(at + channels));
  return kept;
}

// The file without what it says of colours' meaning (gamma, primaries, profiles), which the decoder would convert by:
// training takes the values as they are stored.
std::vector<unsigned char> without_gamma(const File &f) {
  constexpr std::size_t signature = 8, around = 12; // a chunk's length, name and checksum
  std::vector<unsigned char> kept(f.bytes, f.bytes + std::min(f.size, signature));
  std::size_t at = kept.size();
  while (f.size - at >= around) {
    const unsigned char *chunk = f.bytes + at;
    const std::size_t length =
        std::size_t(chunk[0]) << 24 | std::size_t(chunk[1]) << 16 | std::size_t(chunk[2]) << 8 | chunk[3];
    if (length > f.size - at - around)
      break;
    const std::string_view name(reinterpret_cast<const char *>(chunk) + 4, 4);
    if (name != "gAMA" && name != "cHRM" && name != "sRGB" && name != "iCCP" && name != "cICP")
      kept.insert(kept.end(), chunk, chunk + around + length);
    at += around + length;
  }
  kept.insert(kept.end(), f.bytes + at, f.bytes + f.size);
  return kept;
}

StoredImage png(const File &f, bool whole) {
  const auto bytes = without_gamma(f);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, void (*)(png_image *)> owned(&image, png_image_free);
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()))
    f.unknown(image.message);
  check_size(f, image.width, image.height);
  if (image.format & PNG_FORMAT_FLAG_LINEAR)
    f.deep();
  const bool colour = image.format & PNG_FORMAT_FLAG_COLOR;
  StoredImage p{.width = int(image.width), .height = int(image.height), .channels = colour ? 3 : 1};
  if (!whole)
    return p;
  image.format = colour ? PNG_FORMAT_RGBA : PNG_FORMAT_GA; // with alpha: nothing is blended
  std::vector<std::uint8_t> samples(PNG_IMAGE_SIZE(image));
  if (!png_image_finish_read(&image, nullptr, samples.data(), 0, nullptr))
    f.damaged(image.message);
  p.pixels = first_channels(samples, colour ? 4 : 2, colour ? 3 : 1);
  return p;
}

StoredImage jpeg(const File &f, bool whole) {
  const std::unique_ptr<void, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  StoredImage p;
  int subsampling = 0, space = 0;
  if (!decoder || tjDecompressHeader3(decoder.get(), f.bytes, f.size, &p.width, &p.height, &subsampling, &space) != 0)
    f.unknown(tjGetErrorStr2(decoder.get()));
  check_size(f, p.width, p.height);
  if (space == TJCS_CMYK || space == TJCS_YCCK)
    throw InputError(f.name, ": found a JPEG of four inks (CMYK), expected gray or colour");
  p.channels = space == TJCS_GRAY ? 1 : 3;
  if (!whole)
    return p;
  p.pixels.resize(std::size_t(p.width) * std::size_t(p.height) * std::size_t(p.channels));
  // A warning is damage too, for what is cut would end in gray; but for bytes between segments, which no pixel misses.
  const auto decode = [&](int flags) {
    return tjDecompress2(decoder.get(), f.bytes, f.size, p.pixels.data(), p.width, 0, p.height,
                         p.channels == 1 ? TJPF_GRAY : TJPF_RGB, flags | TJFLAG_ACCURATEDCT) == 0;
  };
  if (!decode(TJFLAG_STOPONWARNING)) {
    const auto harmless = [&] {
      return tjGetErrorCode(decoder.get()) == TJERR_WARNING &&
             std::string_view(tjGetErrorStr2(decoder.get())).find("extraneous bytes before marker") !=
                 std::string_view::npos;
    };
    if (!harmless() || (!decode(0) && !harmless()))
      f.damaged(tjGetErrorStr2(decoder.get()));
  }
  return p;
}

StoredImage bmp(const File &f, bool whole) {
  StoredImage p;
  const int n = int(f.size);
  if (!stbi_info_from_memory(f.bytes, n, &p.width, &p.height, &p.channels))
    f.unknown(stbi_failure_reason());
  check_size(f, p.width, p.height);
  p.channels = 3; // of a BMP: a palette, or colour
  if (!whole)
    return p;
  int width = 0, height = 0, samples = 0;
  const std::unique_ptr<stbi_uc, void (*)(void *)> decoded(
      stbi_load_from_memory(f.bytes, n, &width, &height, &samples, 3), stbi_image_free);
  if (!decoded)
    f.damaged(stbi_failure_reason());
  p.width = width, p.height = height;
  p.pixels.assign(decoded.get(), decoded.get() + std::size_t(width) * std::size_t(height) * 3);
  return p;
}

StoredImage decoded(const std::filesystem::path &path, bool whole) {
  const MappedFile mapped(path);
  const File f{path.string(), reinterpret_cast<const unsigned char *>(mapped.bytes().data()), mapped.bytes().size()};
  if (f.size == 0)
    f.unknown("it is empty");
  if (f.size > most_bytes)
    throw InputError(f.name, ": found ", f.size, " bytes, expected at most ", most_bytes, " of an image");
  if (f.begins("\x89PNG"))
    return png(f, whole);
  if (f.begins("\xff\xd8"))
    return jpeg(f, whole);
  if (f.begins("BM"))
    return bmp(f, whole);
  f.unknown("its first bytes are of none of them");
}

} // namespace

StoredImage image_header(const std::filesystem::path &path) { return decoded(path, false); }
StoredImage read_stored_image(const std::filesystem::path &path) { return decoded(path, true); }

} // namespace theta
