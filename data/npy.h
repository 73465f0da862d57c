// numpy's .npy (one array) and .npz (a zip of them), for reading: flattened vectors are what this field stores.
#pragma once
#include "dtype.h"
#include "kernels/device/error.h"
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

// An array of what are no numbers: texts, objects, records.
struct UnknownNpyType : InputError {
  using InputError::InputError;
};
struct NpzArrays {
  std::vector<std::pair<std::string, NpyArray>> each;
  std::vector<std::string> left_out; // arrays of no numbers
};
NpzArrays read_npz(const std::filesystem::path &);

} // namespace theta
