// Image files for tests, written by stb_image_write.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace theta::test {

enum class Picture { png, jpeg, bmp };
// pixels [height, width, channels]. Defined in tests/image_files.cpp.
std::string picture_bytes(Picture, int width, int height, int channels, const std::vector<std::uint8_t> &pixels);

inline void write_bytes(const std::filesystem::path &path, const std::string &bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

} // namespace theta::test
