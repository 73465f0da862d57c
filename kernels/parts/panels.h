// Matrix products of small networks on one core of the cpu, in registers. A matrix of activations [rows, columns] lies
// in panels of as many columns as a pack has lanes: element (b, c) is panel[c / lanes][b][c % lanes], so that the same
// bytes serve a product over columns and one over rows, and every address in a loop is a constant away from the last.
// Rows and columns are padded, rows to a multiple of row_unit and columns to one of lanes; padding stays zero where a
// sum runs over it. Weights are [inputs, outputs]: an output's neighbour is its neighbour in memory.
//
// A tile of the result, R x V packs, stays in registers; 8 of them hide the latency of a multiply-add (4 cycles, 2
// pipes), three quarters of the registers leave room for operands. Loads per multiply-add: (R + V)/(R·V).
#pragma once
#include "simd.h"

namespace theta::simd {

// How matrices of packs of L lanes lie in memory.
template <class T, int L> struct Panels {
  using P = Pack<T, L>;
  static constexpr int row_unit = L < 8 ? 8 : L;
  static int padded_rows(int rows) { return (rows + row_unit - 1) / row_unit * row_unit; }
  static int count(int columns) { return (columns + L - 1) / L; }
  static int padded(int columns) { return count(columns) * L; }
};

// Rows of a tile V packs wide: they divide row_unit and, where inputs are the rows, lanes.
template <int L, int V> constexpr int tile_rows = registers == 32 ? (V == 1 && L == 16 ? 16 : 8) : V == 1 ? 8 : 4;

// z[b, o] = (start[o], or z[b, o] where start is null) + Σ_i x[b, i]·w[i, o], times factor[b, o] unless that is null,
// for V panels of o. Rows of w are w_row apart. factor may be z.
template <class T, int L, int V>
inline void multiply_panels(T *z, const T *x, int in, const T *w, int w_row, const T *start, const T *factor,
                            int rows) {
  using P = Pack<T, L>;
  constexpr int R = tile_rows<L, V>;
  const std::size_t panel = std::size_t(rows) * L;
  for (int b = 0; b < rows; b += R) {
    P sum[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[r][v] = load<P>(start ? start + v * L : z + v * panel + (b + r) * L);
    const T *from = x + std::size_t(b) * L, *weights = w;
    const auto add_input = [&](int k) {
      P of[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        of[v] = load<P>(weights + v * L);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const P value = broadcast<P>(from[r * L + k]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
          sum[r][v] = multiply_add(value, of[v], sum[r][v]);
      }
      weights += w_row;
    };
    for (int i = L; i <= in; i += L, from += panel)
#pragma GCC unroll 4
      for (int k = 0; k < L; ++k)
        add_input(k);
    for (int k = 0; k < in % L; ++k)
      add_input(k);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        if (const std::size_t at = v * panel + (b + r) * L; factor)
          store(z + at, sum[r][v] * load<P>(factor + at));
        else
          store(z + at, sum[r][v]);
  }
}

// Calls use(i, panel, Σ_b x[b, i]·d[b, o]) for V panels of o from `panel` on and every input i < in, and for a few of
// its padding.
template <class T, int L, int V, class Use>
inline void transpose_multiply_panels(const T *x, int in, const T *d, int panel, int rows, Use use) {
  using P = Pack<T, L>;
  constexpr int R = tile_rows<L, V> < L ? tile_rows<L, V> : L;
  const std::size_t panel_size = std::size_t(rows) * L;
  for (int i = 0; i < in; i += R) {
    P sum[R][V] = {};
    const T *from = x + i / L * panel_size + i % L, *gradient = d + panel * panel_size;
#pragma GCC unroll 1
    for (int b = 0; b < rows; ++b, from += L, gradient += L) {
      P of[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        of[v] = load<P>(gradient + v * panel_size);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const P value = broadcast<P>(from[r]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
          sum[r][v] = multiply_add(value, of[v], sum[r][v]);
      }
    }
#pragma GCC unroll 1
    for (int e = 0; e < R * V; ++e) // through memory: a tile's packs are few, and their use is not
      use(i + e / V, panel + e % V, sum[e / V][e % V]);
  }
}

// Calls f.template operator()<V>(first panel) so that all panels are covered: three at a time; two twice where four are
// left, if that leaves sums enough to hide a multiply-add's latency; one by one of double (product.h).
template <class T, class F> inline void for_panels(int panels, F f) {
  int first = 0;
  if constexpr (!std::is_same_v<T, double>) {
    for (; panels - first > (registers == 32 ? 4 : 3) || panels - first == 3; first += 3)
      f.template operator()<3>(first);
    for (; panels - first >= 2; first += 2)
      f.template operator()<2>(first);
  }
  for (; panels > first; ++first)
    f.template operator()<1>(first);
}

// multiply_panels and its transpose for all panels of outputs.
template <class T, int L>
void multiply(T *z, const T *x, int in, const T *w, int out_panels, const T *start, const T *factor, int rows) {
  for_panels<T>(out_panels, [&]<int V>(int first) {
    const std::size_t at = std::size_t(first) * rows * L;
    multiply_panels<T, L, V>(z + at, x, in, w + first * L, out_panels * L, start ? start + first * L : nullptr,
                             factor ? factor + at : nullptr, rows);
  });
}
template <class T, int L, class Use>
void transpose_multiply(const T *x, int in, const T *d, int out_panels, int rows, Use use) {
  for_panels<T>(out_panels, [&]<int V>(int first) { transpose_multiply_panels<T, L, V>(x, in, d, first, rows, use); });
}

// to [columns, rows] = from [rows, columns] transposed, both padded to lanes.
template <class T, int L> void transpose(T *to, const T *from, int rows, int columns) {
  using P = Pack<T, L>;
  for (int r = 0; r < rows; r += L)
    for (int c = 0; c < columns; c += L) {
      P block[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i)
        block[i] = load<P>(from + std::size_t(r + i) * columns + c);
      simd::transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i)
        store(to + std::size_t(c + i) * rows + r, block[i]);
    }
}

} // namespace theta::simd
