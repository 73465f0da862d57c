// How products (gemm, conv1d) are computed on cuda.
#pragma once
#include <string_view>

namespace theta {

// Of fp32 tensors: fp32 throughout, or bf16, on tensor cores with operands rounded to bfloat16 on their way in and sums
// in fp32; they stay fp32 in memory either way. bf16 tensors are multiplied as they lie. The cpu computes in the type
// of its operands, whatever this says.
enum class Arithmetic { fp32, bf16 };

// The arithmetic of that name, "fp32" or "bf16". Throws InputError for another.
Arithmetic arithmetic_named(std::string_view name);
const char *name_of(Arithmetic);

} // namespace theta
