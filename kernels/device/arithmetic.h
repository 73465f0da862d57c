// How products (gemm, conv1d, conv2d) are computed.
#pragma once
#include <string_view>

namespace theta {

// Of fp32 tensors: fp32 throughout, or bf16, with operands rounded to bfloat16 on their way in and sums in fp32; they
// stay fp32 in memory either way. On cuda by tensor cores, where an operation has a kernel for them, on the cpu by its
// own bf16 products, or the same numbers by fp32 (kernels/parts/pairs.h). bf16 tensors are multiplied as they lie,
// doubles as doubles, whatever this says.
enum class Arithmetic { fp32, bf16 };

// The arithmetic of that name, "fp32" or "bf16". Throws InputError for another.
Arithmetic arithmetic_named(std::string_view name);
const char *name_of(Arithmetic);

// Who multiplies bf16 on the cpu: fp32, of widened numbers; instructions on vectors (AVX512-BF16); or tiles (AMX), where
// the system lets this process use them.
enum class Bf16Unit { widened, vectors, tiles };
Bf16Unit bf16_unit();
bool has_tiles(); // asked once
// Another one from here on, for tests: tiles that are not there are plain code; vectors and fp32 are what the build has.
// Not while products run.
void use_bf16_unit(Bf16Unit);

} // namespace theta
