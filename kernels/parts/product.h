// What every product of the cpu is made of: a tile of the result that stays in registers while operands stream past it.
//
//   sum[r][v] += Σ_k a(r, k)·b(k, v)      R rows, V packs
//
// a's rows lie anywhere (their addresses are given) and its elements a_step apart; b is read a pack at a time,
// unaligned if need be. So one tile multiplies matrices, transposed or not, and convolves. A sum goes on where it
// stood, k after k: its order is that of k alone, whatever tile or thread it falls to. Operands are numbers, or pairs of
// bf16 (pairs.h), where a step along k is two of them.
//
// Loads per multiply-add: (R + V)/(R·V), 11 for 24 with 32 registers; they hide behind the multiply-adds.
#pragma once
#include "pairs.h"
#include <algorithm>

namespace theta::simd {

constexpr int tile_height = registers == 32 ? 8 : 4;

// How an operand is walked along k: `outer` times `inner` steps.
struct Walk {
  int outer, inner;
  std::ptrdiff_t a_outer, a_inner, b_outer, b_inner; // elements from step to step
};

// A tile of the sums of operands O. Every loop over it is unrolled and every index known, so that it lies in registers
// from read to write.
template <class O, int V> struct ProductTile {
  using T = SumOf<O>;
  using P = Pack<T>;
  static constexpr int R = tile_height, L = lanes<T>, width = V * L;
  P sum[R][V];

  // f(r, v) for every pack.
  template <class F> [[gnu::always_inline]] static void each(F f) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        f(r, v);
  }

  [[gnu::always_inline]] void clear() {
    each([&](int r, int v) { sum[r][v] = P{}; });
  }

  [[gnu::always_inline]] void multiply(const O *const (&row)[R], const O *b, const Walk &walk) {
    const O *at[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      at[r] = row[r];
    for (int o = 0; o < walk.outer; ++o) {
      std::ptrdiff_t a = o * walk.a_outer;
      const O *packs = b + o * walk.b_outer;
#pragma GCC unroll 1
      for (int i = 0; i < walk.inner; ++i, a += walk.a_inner, packs += walk.b_inner) {
        Pack<O> of[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
          of[v] = load<Pack<O>>(packs + v * L);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const auto value = broadcast<Pack<O>>(at[r][a]);
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v)
            sum[r][v] = multiply_add(value, of[v], sum[r][v]);
        }
      }
    }
  }

  // Its upper left `rows` x `columns` part from and to memory, rows `step` apart.
  [[gnu::always_inline]] void read(const T *from, std::ptrdiff_t step, int rows, int columns) {
    if (rows == R && columns == width)
      each([&](int r, int v) { sum[r][v] = load<P>(from + r * step + v * L); });
    else
      each([&](int r, int v) {
        sum[r][v] = r < rows && v * L < columns ? load_some<P>(from + r * step + v * L, columns - v * L) : P{};
      });
  }
  [[gnu::always_inline]] void write(T *to, std::ptrdiff_t step, int rows, int columns) const {
    if (rows == R && columns == width)
      each([&](int r, int v) { store(to + r * step + v * L, sum[r][v]); });
    else
      each([&](int r, int v) {
        if (r < rows && v * L < columns)
          store_some(to + r * step + v * L, sum[r][v], columns - v * L);
      });
  }
  // Every `stride`-th element of such rows.
  [[gnu::always_inline]] void write_apart(T *to, std::ptrdiff_t step, int stride, int rows, int columns) const {
    each([&](int r, int v) {
      if (r < rows)
        for (int lane = 0; lane < L && v * L + lane < columns; ++lane)
          to[r * step + (v * L + lane) * stride] = sum[r][v][lane];
    });
  }
};

// Columns are dealt out in strips of three packs, and two twice where four are left; of double, which only checks what
// float computes, in single packs: fewer tiles to compile.
template <class T> struct Strips {
  static constexpr bool single = std::is_same_v<T, double>;
  int columns, packs = (columns + lanes<T> - 1) / lanes<T>;
  int threes = packs % 3 == 1 ? (packs - 1) / 3 - (packs > 1) : packs / 3, left = packs - 3 * threes; // 0, 1, 2, 4
  int count() const { return single ? packs : threes + (left + 1) / 2; }

  // Calls f.template operator()<V>(first column, columns that exist) for strip i.
  template <class F> void strip(int i, F f) const {
    if constexpr (single)
      return f.template operator()<1>(i * lanes<T>, std::min(lanes<T>, columns - i * lanes<T>));
    else
      wide_strip(i, f);
  }

private:
  template <class F> void wide_strip(int i, F f) const {
    const int first = (i < threes ? 3 * i : 3 * threes + 2 * (i - threes)) * lanes<T>;
    const auto call = [&]<int V>() { f.template operator()<V>(first, std::min(V * lanes<T>, columns - first)); };
    if (i < threes)
      call.template operator()<3>();
    else if (left == 1)
      call.template operator()<1>();
    else
      call.template operator()<2>();
  }
};

// c [rows, columns] = or += a·b over k: element (r, i) of a is a[r·a_row + i·a_step], rows of b and c b_row and c_row
// apart. b is read in whole packs: its rows must be there up to a multiple of lanes.
template <class T>
void multiply_block(T *c, std::ptrdiff_t c_row, const T *a, std::ptrdiff_t a_row, std::ptrdiff_t a_step, const T *b,
                    std::ptrdiff_t b_row, int rows, int columns, int k, bool accumulate) {
  const Strips<T> strips{columns};
  for (int i = 0; i < strips.count(); ++i)
    strips.strip(i, [&]<int V>(int column, int here_columns) {
      for (int r = 0; r < rows; r += tile_height) {
        const int here = std::min(tile_height, rows - r);
        ProductTile<T, V> tile;
        T *to = c + r * c_row + column;
        accumulate ? tile.read(to, c_row, here, here_columns) : tile.clear();
        const T *row[tile_height]; // beyond the last row, that row again: nobody looks at it
        for (int e = 0; e < tile_height; ++e)
          row[e] = a + (r + std::min(e, here - 1)) * a_row;
        tile.multiply(row, b + column, {1, k, 0, a_step, 0, b_row});
        tile.write(to, c_row, here, here_columns);
      }
    });
}

// to [steps along k, `row` apart] = rows of from, `step` apart, transposed: `rows` of them with `k` numbers; rows beyond
// `rows`, up to a multiple of lanes, as zeros. from may be stored as bf16 where O is float, or pairs.
template <class O, class S> void transpose_into(O *to, int row, const S *from, std::ptrdiff_t step, int rows, int k) {
  constexpr int L = lanes<O>, depth = depth_of<O>;
  for (int r = 0; r < rows; r += L) {
    int c = 0;
    for (; c + L * depth <= k; c += L * depth) {
      Pack<O> block[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i)
        block[i] = r + i < rows ? load_steps<O>(from + (r + i) * step + c, L * depth) : Pack<O>{};
      simd::transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i)
        store(to + (c / depth + i) * row + r, block[i]);
    }
    for (; c < k; c += depth)
      for (int i = 0; i < L; ++i)
        to[c / depth * row + r + i] = r + i < rows ? step_of<O>(from + (r + i) * step + c, 1, c + 1 < k) : O(0);
  }
}

} // namespace theta::simd
