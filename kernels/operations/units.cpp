#include "units.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/scratch.h"
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace theta {

namespace cuda {
decltype(theta::balance_units<float>) balance_units;
decltype(theta::gather_tokens<float>) gather_tokens;
decltype(theta::scatter_tokens<float>) scatter_tokens;
} // namespace cuda

UnitLayers UnitLayers::of(const std::vector<int> &widths) {
  if (widths.size() < 2)
    throw InputError("units: found ", widths.size(), " widths, expected at least 2");
  UnitLayers all;
  all.width[0] = widths.front();
  for (std::size_t l = 1; l < widths.size(); ++l)
    all.add(widths[l], 1, false);
  return all;
}

void UnitLayers::add(int out, int taps_of_it, bool is_pooled) {
  if (layers == most_layers)
    throw InputError("units: found more than ", most_layers, " layers, expected at most as many");
  taps[layers] = taps_of_it, pooled[layers] = is_pooled, width[++layers] = out;
}

namespace {

// A unit's weights: those that come in, its bias, and those that leave it, `leaving` of them, taps by taps.
template <class T> struct Unit {
  T *incoming, *bias, *next;           // next: those of the first output
  std::size_t in, leaving, taps, step; // step: from one output's to the next's

  T &outgoing(std::size_t i) const { return next[i / taps * step + i % taps]; }
};

// Takes half turns from a sine's bias; an odd number of them changes the sign of what leaves.
template <class T> void take_half_turns(const Unit<T> &unit, double omega) {
  const T turns = std::rint(*unit.bias * T(omega / std::numbers::pi));
  *unit.bias = T(double(*unit.bias) - double(turns) * std::numbers::pi / omega);
  if (std::remainder(turns, T(2)) != 0)
    for (std::size_t i = 0; i < unit.leaving; ++i)
      unit.outgoing(i) *= -1;
}

// The factor for what comes in, whose inverse is for what leaves.
template <class T> double balancing(const Unit<T> &unit, UnitBalance kind) {
  if (kind != UnitBalance::norms) {
    double cubes = 0;
    for (std::size_t i = 0; i < unit.leaving; ++i)
      cubes += std::pow(double(unit.outgoing(i)), 3);
    return cubes < 0 ? -1 : 1;
  }
  double incoming = double(*unit.bias) * double(*unit.bias), outgoing = 0;
  for (std::size_t i = 0; i < unit.in; ++i)
    incoming += double(unit.incoming[i]) * double(unit.incoming[i]);
  for (std::size_t i = 0; i < unit.leaving; ++i)
    outgoing += double(unit.outgoing(i)) * double(unit.outgoing(i));
  return incoming > 0 && outgoing > 0 ? std::pow(outgoing / incoming, 0.25) : 1;
}

template <class T> void balance_unit(const Unit<T> &unit, UnitBalance kind, double omega) {
  if (kind == UnitBalance::phases)
    take_half_turns(unit, omega);
  const double factor = balancing(unit, kind);
  for (std::size_t i = 0; i < unit.in; ++i)
    unit.incoming[i] *= T(factor);
  *unit.bias *= T(factor);
  for (std::size_t i = 0; i < unit.leaving; ++i)
    unit.outgoing(i) *= T(1 / factor);
}

} // namespace

template <class T> void balance_units(Stream &s, T *theta, int networks, const UnitLayers &w, UnitBalance kind) {
  const Span span(s, "balance_units", 2.0 * networks * double(w.parameters()) * sizeof(T));
  if (kind == UnitBalance::none)
    return;
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::balance_units(s, theta, networks, w, kind);
  const std::size_t v = w.parameters();
  parallel_for(networks, 4 * double(networks) * double(v), [&](int n) {
    T *weight = theta + std::size_t(n + 1) * v - w.size(w.layers - 1);
    for (int l = w.layers - 2; l >= 0; --l) {
      weight -= w.size(l);
      if (kind != UnitBalance::norms && w.pooled[l])
        continue;
      const std::size_t in = w.incoming(l), taps = std::size_t(w.taps[l + 1]), units = std::size_t(w.width[l + 1]);
      for (std::size_t u = 0; u < units; ++u)
        balance_unit<T>({weight + u * in, weight + w.weights(l) + u, weight + w.size(l) + u * taps, in,
                         std::size_t(w.width[l + 2]) * taps, taps, units * taps},
                        kind, w.omega);
    }
  });
}

template <class T>
void gather_tokens(Stream &s, T *tokens, const T *theta, const std::int32_t *place, const T *mean, const T *std,
                   int networks, int repeat, std::size_t parameters, std::size_t size, const UnitShuffle &shuffle) {
  const Span span(s, "gather_tokens", double(networks) * (double(parameters) + repeat * double(size)) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gather_tokens(s, tokens, theta, place, mean, std, networks, repeat, parameters, size, shuffle);
  const UnitLayers &w = shuffle.layers;
  const int units = w.layers == 0 ? 0 : std::accumulate(w.width, w.width + w.layers + 1, 0);
  parallel_for(networks, double(networks) * repeat * double(size), [&](int n) {
    const T *network = theta + std::size_t(n) * parameters;
    T *const first = tokens + std::size_t(n) * std::size_t(repeat) * size;
    const auto gather = [&](auto weight) {
      for (std::size_t e = 0; e < size; ++e)
        first[e] = place[e] < 0 ? T(0) : (weight(unsigned(place[e])) - mean[e]) / std[e];
    };
    if (w.layers == 0) {
      gather([&](unsigned at) { return network[at]; });
    } else {
      const Scratch scratch;
      const UnitSource *of_layer[most_layers + 1]; // what source_of says of all units
      UnitSource *source = scratch.take<UnitSource>(std::size_t(units));
      for (int l = 0; l <= w.layers; ++l) {
        of_layer[l] = source;
        for (int u = 0; u < w.width[l]; ++u)
          *source++ = source_of(shuffle, std::uint32_t(n), l, std::uint32_t(u));
      }
      gather([&](unsigned at) { return shuffled(network, w, at, [&](int l, unsigned u) { return of_layer[l][u]; }); });
    }
    for (int r = 1; r < repeat; ++r)
      std::copy_n(first, size, first + std::size_t(r) * size);
  });
}

template <class T>
void scatter_tokens(Stream &s, T *theta, const T *tokens, const std::int32_t *place, const T *mean, const T *std,
                    int networks, std::size_t parameters, std::size_t size) {
  const Span span(s, "scatter_tokens", 1.0 * networks * double(parameters + size) * sizeof(T));
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::scatter_tokens(s, theta, tokens, place, mean, std, networks, parameters, size);
  parallel_for(networks, double(networks) * double(size), [&](int r) {
    for (std::size_t e = 0; e < size; ++e)
      if (place[e] >= 0)
        theta[std::size_t(r) * parameters + std::size_t(place[e])] =
            tokens[std::size_t(r) * size + e] * std[e] + mean[e];
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void balance_units(Stream &, T *, int, const UnitLayers &, UnitBalance);                                    \
  template void gather_tokens(Stream &, T *, const T *, const std::int32_t *, const T *, const T *, int, int,          \
                              std::size_t, std::size_t, const UnitShuffle &);                                          \
  template void scatter_tokens(Stream &, T *, const T *, const std::int32_t *, const T *, const T *, int, std::size_t, \
                               std::size_t);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
