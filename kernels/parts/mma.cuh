// Tensor-core products of warps, and the loads that lay their operands out: wrappers of the PTX instructions
// mma.sync.m16n8k16 and ldmatrix (PTX ISA, "Warp-level matrix instructions"). All lanes of a warp call them together.
//
// Fragments, with group = lane / 4 and pair = lane % 4 (two bf16 a word):
//   A [16, 16]: a[0] row group, a[1] row group + 8, columns 2·pair, 2·pair + 1; a[2], a[3] the same 8 columns on
//   B [16, 8]:  b[0] rows 2·pair, 2·pair + 1, b[1] 8 rows on, of column group
//   D [16, 8]:  d[0], d[1] row group, columns 2·pair, 2·pair + 1; d[2], d[3] row group + 8
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/launch.h"

namespace theta {

// d += a·b.
__device__ inline void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if THETA_SIMT
  simt::mma_m16n8k16(d, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four 8x8 matrices of bf16 from shared memory: lane l gives the address of row l % 8 of matrix l / 8 (16 bytes,
// aligned); r[m] is then elements 2·pair, 2·pair + 1 of row `group` of matrix m.
__device__ inline void load_matrices(std::uint32_t (&r)[4], const bf16 *row) {
#if THETA_SIMT
  simt::load_matrices(r, row, false);
#else
  const auto address = std::uint32_t(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
#endif
}

// The same of the transposed matrices: r[m] is elements `group` of rows 2·pair, 2·pair + 1.
__device__ inline void load_matrices_transposed(std::uint32_t (&r)[4], const bf16 *row) {
#if THETA_SIMT
  simt::load_matrices(r, row, true);
#else
  const auto address = std::uint32_t(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
#endif
}

// sum [16, 16] += A·B over `depth` of k: A 16 rows from `a` [m, k], B 16 columns; pitches in elements, rows 16 bytes
// aligned.
//   Straight: b [n, k], as weights [out, in] forward. Across: b [k, n].
enum class Lies { straight, across };
template <Lies A, Lies B>
__device__ inline void multiply_strip(float (&sum)[2][4], const bf16 *a, int a_pitch, const bf16 *b, int b_pitch,
                                      int depth, int lane) {
  const int row = lane % 8, quarter = lane / 8;
  for (int k = 0; k < depth; k += 16) {
    std::uint32_t left[4], right[4];
    if constexpr (A == Lies::straight)
      load_matrices(left, a + (quarter % 2 * 8 + row) * a_pitch + k + quarter / 2 * 8);
    else
      load_matrices_transposed(left, a + (k + quarter / 2 * 8 + row) * a_pitch + quarter % 2 * 8);
    if constexpr (B == Lies::straight)
      load_matrices(right, b + (quarter / 2 * 8 + row) * b_pitch + k + quarter % 2 * 8);
    else
      load_matrices_transposed(right, b + (k + quarter % 2 * 8 + row) * b_pitch + quarter / 2 * 8);
    multiply_add(sum[0], left, {right[0], right[1]});
    multiply_add(sum[1], left, {right[2], right[3]});
  }
}

// Calls f(row, column, which half, which element) for the eight elements that a lane has of a 16x16 tile.
template <class F> __device__ inline void for_elements(int lane, F f) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      f(e / 2 * 8 + lane / 4, half * 8 + lane % 4 * 2 + e % 2, half, e);
}

} // namespace theta
