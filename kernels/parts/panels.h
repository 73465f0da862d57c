// Matrix products of small networks on one core of the cpu, in registers. A matrix of activations [rows, columns] lies
// in panels of as many columns as a pack has lanes: element (b, c) is panel[c / lanes][b][c % lanes], so that the same
// bytes serve a product over columns and one over rows, and every address in a loop is a constant away from the last.
// Rows and columns are padded, rows to a multiple of row_unit and columns to one of lanes; padding stays zero where a
// sum runs over it. Weights are [inputs, outputs]: an output's neighbour is its neighbour in memory.
//
// A tile of the result, R x V packs, stays in registers; 8 of them hide the latency of a multiply-add (4 cycles, 2
// pipes), and 12 leave room for operands. Loads per multiply-add: (R + V)/(R·V).
#pragma once
#include "simd.h"

namespace theta::simd {

constexpr int row_unit = 8;
inline int padded_rows(int rows) { return (rows + row_unit - 1) / row_unit * row_unit; }
template <class T> int panels_of(int columns) { return (columns + lanes<T> - 1) / lanes<T>; }
template <class T> int padded(int columns) { return panels_of<T>(columns) * lanes<T>; }

#if defined(__AVX512VL__)
template <int V> constexpr int tile_rows = V <= 2 ? 8 : 4; // twice as many registers
#else
template <int V> constexpr int tile_rows = V == 4 ? 2 : V == 1 ? 8 : 4;
#endif

// z[b, o] = (start[o], or z[b, o] where start is null) + Σ_i x[b, i]·w[i, o], for V panels of o.
template <class T, int V>
inline void multiply_panels(T *z, const T *x, int in, const T *w, int w_row, const T *start, int rows) {
  constexpr int L = lanes<T>, R = tile_rows<V>;
  const std::size_t panel = std::size_t(rows) * L;
  for (int b = 0; b < rows; b += R) {
    Pack<T> sum[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[r][v] = start ? load(start + v * L) : load(z + v * panel + (b + r) * L);
    const T *from = x + std::size_t(b) * L, *weights = w;
    const auto add_input = [&](int k) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Pack<T> of = load(weights + v * L);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
          sum[r][v] += from[r * L + k] * of;
      }
      weights += w_row;
    };
    for (int i = L; i <= in; i += L, from += panel)
#pragma GCC unroll 8
      for (int k = 0; k < L; ++k)
        add_input(k);
    for (int k = 0; k < in % L; ++k)
      add_input(k);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        store(z + v * panel + (b + r) * L, sum[r][v]);
  }
}

// Calls use(i, o / lanes, Σ_b x[b, i]·d[b, o]) for V panels of o and every input i < in, and for a few of its padding.
template <class T, int V, class F>
inline void transpose_multiply_panels(const T *x, int in, const T *d, int rows, int first_panel, F use) {
  constexpr int L = lanes<T>, R = tile_rows<V> < L ? tile_rows<V> : L;
  const std::size_t panel = std::size_t(rows) * L;
  for (int i = 0; i < in; i += R) {
    Pack<T> sum[R][V] = {};
    const T *from = x + i / L * panel + i % L, *gradient = d;
    for (int b = 0; b < rows; ++b, from += L, gradient += L) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Pack<T> of = load(gradient + v * panel);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
          sum[r][v] += from[r] * of;
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        use(i + r, first_panel + v, sum[r][v]);
  }
}

// Calls f.template operator()<V>(first panel) so that all panels are covered, four at a time and then the rest.
template <class F> inline void for_panels(int panels, F f) {
  int first = 0;
  for (; panels - first >= 4; first += 4)
    f.template operator()<4>(first);
  switch (panels - first) {
  case 3:
    return f.template operator()<3>(first);
  case 2:
    return f.template operator()<2>(first);
  case 1:
    return f.template operator()<1>(first);
  default:
    return;
  }
}

// z [rows, outputs] as multiply_panels, for all panels of outputs.
template <class T> void multiply(T *z, const T *x, int in, const T *w, int out_panels, const T *start, int rows) {
  for_panels(out_panels, [&]<int V>(int first) {
    constexpr int L = lanes<T>;
    multiply_panels<T, V>(z + std::size_t(first) * rows * L, x, in, w + first * L, out_panels * L,
                          start ? start + first * L : nullptr, rows);
  });
}

template <class T, class F> void transpose_multiply(const T *x, int in, const T *d, int out_panels, int rows, F use) {
  for_panels(out_panels, [&]<int V>(int first) {
    transpose_multiply_panels<T, V>(x, in, d + std::size_t(first) * rows * lanes<T>, rows, first, use);
  });
}

} // namespace theta::simd
