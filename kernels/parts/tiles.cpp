#include "tiles.h"
#include <cmath>

namespace theta::simd {

namespace {

#if defined(__AMX_BF16__) && defined(__AMX_TILE__)
// Eight tiles of 16 rows of 64 bytes, as LDTILECFG reads them (palette 1).
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);

void add_by_processor(const TileBlock &p, const TileStep *steps, int count) {
  thread_local const bool is_shaped = [] {
    static const TileShapes shapes;
    _tile_loadconfig(&shapes);
    return true;
  }();
  static_cast<void>(is_shaped);
  const int c_row = int(p.c_row * 4), a_row = int(p.a_row * 4), b_row = int(p.b_row * 4);
  float *const lower = p.c + tile_edge * p.c_row;
  _tile_loadd(0, p.c, c_row);
  _tile_loadd(1, p.c + p.c_next, c_row);
  _tile_loadd(2, lower, c_row);
  _tile_loadd(3, lower + p.c_next, c_row);
  for (const TileStep *step = steps; step != steps + count; ++step) {
    const Pair *const a = p.a + step->a, *const b = p.b + step->b;
    _tile_loadd(4, a, a_row);
    _tile_loadd(6, b, b_row);
    _tile_loadd(7, b + p.b_next, b_row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + tile_edge * p.a_row, a_row);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, p.c, c_row);
  _tile_stored(1, p.c + p.c_next, c_row);
  _tile_stored(2, lower, c_row);
  _tile_stored(3, lower + p.c_next, c_row);
}
#else
void add_by_processor(const TileBlock &, const TileStep *, int) {}
#endif

void add_plainly(const TileBlock &p, const TileStep *steps, int count) {
  const auto low = [](Pair x) { return std::bit_cast<float>(x << 16); };
  const auto high = [](Pair x) { return std::bit_cast<float>(x & 0xFFFF0000u); };
  for (const TileStep *step = steps; step != steps + count; ++step)
    for (int r = 0; r < 2 * tile_edge; ++r)
      for (int v = 0; v < 2 * tile_edge; ++v) {
        const Pair *const a = p.a + step->a + r * p.a_row, *const b =
                                                               p.b + step->b + v / tile_edge * p.b_next + v % tile_edge;
        float even = 0, odd = 0;
        for (int k = 0; k < tile_edge; ++k) {
          even = std::fma(low(a[k]), low(b[k * p.b_row]), even);
          odd = std::fma(high(a[k]), high(b[k * p.b_row]), odd);
        }
        p.c[r * p.c_row + v / tile_edge * p.c_next + v % tile_edge] += even + odd;
      }
}

} // namespace

void add_in_tiles(const TileBlock &block, const TileStep *steps, int count) {
  if (has_tiles())
    add_by_processor(block, steps, count);
  else
    add_plainly(block, steps, count);
}

} // namespace theta::simd
