// One image as a data set takes it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace theta {

// The middle square of the image, resized to side x side, as planes [channels, side, side]; channels 1 (gray) or 3.
// Throws InputError as read_stored_image does.
std::vector<std::uint8_t> read_image(const std::filesystem::path &, int side, int channels);

} // namespace theta
