// Tensors as other programs store them: named, in any floating type, brought to floats. Each format has a reader of its
// own (safetensors_table below, npy.h, pytorch.h); what is no parameter (counters, masks, quantised numbers) or empty
// is left out and named.
#pragma once
#include "dtype.h"
#include "safetensors.h"

namespace theta {

struct NamedTensor {
  std::string name;
  Shape shape;
  std::vector<float> values;
};

// One network, or what else a file holds, in the file's own order.
struct TensorTable {
  std::vector<NamedTensor> tensors;
  std::vector<std::string> left_out;
};

// F16, BF16, F32 and F64 are.
bool is_floating(Dtype);
// n elements at `bytes`, which need not be aligned, as floats.
std::vector<float> to_floats(Dtype, const std::byte *bytes, std::size_t n);

TensorTable safetensors_table(const std::filesystem::path &); // throws InputError

} // namespace theta
