// One image as its file holds it: PNG through libpng, JPEG through libjpeg-turbo, BMP through stb_image.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace theta {

struct StoredImage {
  int width = 0, height = 0;
  int channels = 0;                 // of the file: 1 (gray) or 3 (colour, or a palette); an alpha channel is left out
  std::vector<std::uint8_t> pixels; // [height, width, channels]
};

// Sizes and channels alone, or all of it. Throws InputError for what cannot be decoded, is cut, is empty, has 16 bits a
// sample or four inks (CMYK), or says that it is larger than 64 megapixels.
StoredImage image_header(const std::filesystem::path &);
StoredImage read_stored_image(const std::filesystem::path &);

} // namespace theta
