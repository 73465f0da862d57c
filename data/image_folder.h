// One image file: PNG, JPEG or BMP, through stb_image.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace theta {

// The middle square of the image, resized to side x side, as planes [channels, side, side]; channels 1 (gray) or 3.
// Throws InputError for what cannot be decoded, is empty, has 16 bits a sample or four inks (CMYK), or says that it is
// larger than 64 megapixels.
std::vector<std::uint8_t> read_image(const std::filesystem::path &, int side, int channels);

// 1 or 3: what the file has. Throws InputError as read_image does.
int channels_of_image(const std::filesystem::path &);

} // namespace theta
