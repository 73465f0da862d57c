// Products of bf16 in tiles (AMX): 16 x 16 sums of fp32 lie in one register, and one instruction adds to them the product
// of 16 rows of 16 pairs and 16 columns of as many (pairs.h). Sums of even and of odd products are made apart, k after k,
// and join the tile's at the end of the 16. Plain code makes the same numbers where a test asks for them.
#pragma once
#include "pairs.h"

namespace theta::simd {

inline constexpr int tile_edge = 16; // rows, columns, pairs of a tile

// Where a pack is as long as a tile's row, as it is wherever there are tiles.
inline constexpr bool fits_tiles = lanes<Pair> == tile_edge;

// Whether products of pairs go to tiles.
inline bool multiplies_in_tiles() { return fits_tiles && bf16_unit() == Bf16Unit::tiles; }

// Where a step of 16 pairs begins in either operand.
struct TileStep {
  std::ptrdiff_t a, b;
};

// Two by two tiles: sums of 32 rows, `c_row` apart, of 16 columns at c and 16 others `c_next` on. All of the memory is
// there; operands that are not are zeros.
struct TileBlock {
  float *c;
  std::ptrdiff_t c_row, c_next;
  const Pair *a; // row r of a step at a + r·a_row
  std::ptrdiff_t a_row;
  const Pair *b; // pair k of a step at b + k·b_row, for the other 16 columns b_next on
  std::ptrdiff_t b_row, b_next;
};

// c += Σ over the steps of a·b.
void add_in_tiles(const TileBlock &, const TileStep *steps, int count);

} // namespace theta::simd
