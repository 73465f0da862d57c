// Gzipped IDX files (the format of MNIST and its kin): unsigned bytes with a shape.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace theta {

struct Idx {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
};

// Reads a whole file. Throws InputError when it is missing, not gzip, not IDX of unsigned bytes, truncated or too long.
Idx read_idx(const std::filesystem::path &path);

// The shape alone, from the header. Throws InputError likewise.
std::vector<std::int64_t> read_idx_shape(const std::filesystem::path &path);

} // namespace theta
