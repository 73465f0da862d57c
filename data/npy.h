// numpy's .npy (one array) and .npz (a zip of them), for reading: flattened vectors are what this field stores.
#pragma once
#include "dtype.h"
#include "safetensors.h"
#include "tensor_table.h"

namespace theta {

struct NpyArray {
  Shape shape;
  Dtype dtype;
  std::vector<std::byte> bytes; // in C's order, little-endian, whatever the file's
};

// Throw InputError for what is damaged, or of a type that is not of numbers.
NpyArray read_npy(const std::filesystem::path &);
NpyArray parse_npy(std::span<const std::byte> file, const std::string &where);
std::vector<std::pair<std::string, NpyArray>> read_npz(const std::filesystem::path &);

} // namespace theta
