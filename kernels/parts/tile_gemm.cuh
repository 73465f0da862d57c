// The tiled fp32 matrix product that gemm.cu and conv1d.cu share: out(i, j) = Σ_k a(i, k)·b(k, j), where a, b and the
// place of the result are given by an Operands object with
//   int rows, columns, depth;  float a(i, k), b(k, j);  void store(i, j, sum)
// so that a convolution is a product whose operands are gathered while they are loaded.
//
// A block of 256 threads makes a 64x64 tile of the result in steps of 16 along k: each thread loads four elements of
// either operand into shared memory and holds a 4x4 piece of the result in registers. blockIdx.x walks the tiles of a
// row of tiles first. FLOPs 2·rows·columns·depth; each operand element is loaded once for 64 of the result.
#pragma once
#include "kernels/device/launch.h"

namespace theta {

inline constexpr int tile_side = 64, tile_depth = 16;
inline constexpr unsigned tile_threads = 256;

struct GemmTiles {
  float a[tile_depth][tile_side + 4]; // +4: threads that store down a column hit different banks
  float b[tile_depth][tile_side + 4];
};

inline unsigned tiles_along(int n) { return unsigned((n + tile_side - 1) / tile_side); }

template <class Operands> __device__ void multiply_tile(const Operands &operands, int tile_row, int tile_column) {
  auto &tiles = shared<GemmTiles>();
  const int thread = int(threadIdx.x), row = thread / 16 * 4, column = thread % 16 * 4;
  const int first_row = tile_row * tile_side, first_column = tile_column * tile_side;
  float sum[4][4] = {};
  for (int first_k = 0; first_k < operands.depth; first_k += tile_depth) {
    for (int e = thread; e < tile_side * tile_depth; e += int(tile_threads)) {
      const int k = e % tile_depth, i = e / tile_depth; // neighbours along k for a ...
      const bool inside = first_row + i < operands.rows && first_k + k < operands.depth;
      tiles.a[k][i] = inside ? operands.a(first_row + i, first_k + k) : 0.0f;
    }
    for (int e = thread; e < tile_side * tile_depth; e += int(tile_threads)) {
      const int j = e % tile_side, k = e / tile_side; // ... and along j for b
      const bool inside = first_column + j < operands.columns && first_k + k < operands.depth;
      tiles.b[k][j] = inside ? operands.b(first_k + k, first_column + j) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < tile_depth; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sum[i][j] = fmaf(tiles.a[k][row + i], tiles.b[k][column + j], sum[i][j]);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (first_row + row + i < operands.rows && first_column + column + j < operands.columns)
        operands.store(first_row + row + i, first_column + column + j, sum[i][j]);
}

} // namespace theta
