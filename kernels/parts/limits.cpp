#include "limits.h"
#include "kernels/device/parallel.h"
#include "tiles.h"
#include <algorithm>
#include <chrono>
#include <vector>

namespace theta {

namespace {

using namespace simd;

// 12 sums hide the latency of a multiply-add (4 cycles, 2 pipes), and fit 16 registers.
constexpr int sums = 12;
constexpr int turns = 5;

// The best of some turns, in units/s: work(thread) does `units` on each of `threads` threads at once.
template <class F> double best_rate(int threads, double units, F work) {
  double best = 0;
  for (int turn = 0; turn < turns; ++turn) {
    const auto start = std::chrono::steady_clock::now();
    parallel_each(threads, work);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, threads * units / took.count());
  }
  return best;
}

// Keeps a value in a register, where the compiler knows nothing of it.
template <class P> inline void keep(P &x) {
#if defined(__x86_64__)
  asm volatile("" : "+v"(x));
#else
  asm volatile("" : "+w"(x));
#endif
}

} // namespace

double multiply_add_rate(int threads) {
  constexpr long steps = 4'000'000;
  return best_rate(threads, 2.0 * lanes<float> * sums * steps, [](long) {
    Floats sum[sums], factor = broadcast<Floats>(0.5f), more = broadcast<Floats>(0.25f);
    keep(factor), keep(more);
    for (Floats &x : sum)
      x = factor, keep(x); // or they would be one
    for (long step = 0; step < steps; ++step)
#pragma GCC unroll 12
      for (int i = 0; i < sums; ++i)
        sum[i] = multiply_add(sum[i], factor, more);
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i)
      keep(sum[i]);
  });
}

namespace {

double tile_rate(int threads) {
  constexpr int steps = 4096, block = 2 * tile_edge;
  const std::vector<TileStep> same(steps);
  return best_rate(threads, 4.0 * block * block * tile_edge * steps, [&](long) {
    alignas(64) Pair a[block * tile_edge] = {}, b[block * tile_edge] = {};
    alignas(64) float c[block * block] = {};
    add_in_tiles({c, block, tile_edge, a, tile_edge, b, block, tile_edge}, same.data(), steps);
  });
}

} // namespace

double pair_rate(int threads) {
  if (multiplies_in_tiles())
    return tile_rate(threads);
  constexpr long steps = 4'000'000;
  return best_rate(threads, 4.0 * lanes<Pair> * sums * steps, [](long) {
    Words a = broadcast<Words>(pack_bf16(0.5f, -0.5f)), b = broadcast<Words>(pack_bf16(0.25f, 0.25f));
    Floats sum[sums] = {};
    keep(a), keep(b);
    for (Floats &x : sum)
      keep(x); // or they would be one
    for (long step = 0; step < steps; ++step)
#pragma GCC unroll 12
      for (int i = 0; i < sums; ++i)
        sum[i] = multiply_add(a, b, sum[i]);
#pragma GCC unroll 12
    for (int i = 0; i < sums; ++i)
      keep(sum[i]);
  });
}

double read_rate(std::size_t bytes, int threads) {
  constexpr int at_once = 8;
  const std::size_t n = bytes / sizeof(float), step = at_once * lanes<float>;
  const long rounds = std::max(1L, long((std::size_t(1) << 28) / bytes));
  std::vector<std::vector<float>> of(std::size_t(threads), std::vector<float>(n, 1.0f));
  return best_rate(threads, double(rounds) * double(n / step * step * sizeof(float)), [&](long thread) {
    const float *from = of[std::size_t(thread)].data();
    for (long round = 0; round < rounds; ++round)
      for (std::size_t i = 0; i + step <= n; i += step)
#pragma GCC unroll 8
        for (int k = 0; k < at_once; ++k) {
          Floats x = load<Floats>(from + i + std::size_t(k) * lanes<float>);
          keep(x);
        }
  });
}

} // namespace theta
