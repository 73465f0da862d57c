#include "kernels/parts/each.cuh"
#include "kernels/parts/warp.cuh"
#include "units.h"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 128, warps = threads / 32;

struct Layer {
  int in, units, out; // in: weights that come into a unit
  int taps;           // of the layer behind
  std::size_t weight; // its offset
  // omega/π, and π/omega in two parts: what a half turn of a sine is of its bias.
  float half_turns, half_turn, half_turn_rest;
};

// One warp a unit; units of a layer share nothing, and each lane writes what it alone read. The bias counts as the last
// incoming weight.
__global__ void balance_kernel(float *theta, int networks, std::size_t parameters, Layer l, UnitBalance kind) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const int lane = int(threadIdx.x) % 32;
  if (item >= std::size_t(networks) * l.units) // whole warps
    return;
  const int u = int(item % l.units);
  float *weight = theta + item / l.units * parameters + l.weight, *next = weight + std::size_t(l.in + 1) * l.units;
  const auto incoming = [&](int i) -> float & {
    return weight[i < l.in ? std::size_t(u) * l.in + i : std::size_t(l.in) * l.units + u];
  };
  const int leaving = l.out * l.taps;
  const auto outgoing = [&](int i) -> float & {
    return next[(std::size_t(i / l.taps) * l.units + u) * l.taps + i % l.taps];
  };
  float factor = 1, turns = 0; // half turns taken from the bias
  if (kind == UnitBalance::phases)
    turns = warp_reduce<Sum>(lane == l.in % 32 ? rintf(incoming(l.in) * l.half_turns) : 0);
  const auto turned = [&](int i) { // π/omega in two parts, so that nothing is lost but the result's own rounding
    return i < l.in ? incoming(i) : fmaf(-turns, l.half_turn_rest, fmaf(-turns, l.half_turn, incoming(i)));
  };
  if (kind == UnitBalance::norms) {
    float in = 0, out = 0;
    for (int i = lane; i <= l.in; i += 32)
      in += incoming(i) * incoming(i);
    for (int i = lane; i < leaving; i += 32)
      out += outgoing(i) * outgoing(i);
    in = warp_reduce<Sum>(in), out = warp_reduce<Sum>(out);
    if (in > 0 && out > 0)
      factor = sqrtf(sqrtf(out / in));
  } else {
    float cubes = 0;
    for (int i = lane; i < leaving; i += 32)
      cubes += outgoing(i) * outgoing(i) * outgoing(i);
    if (warp_reduce<Sum>(fmodf(turns, 2) != 0 ? -cubes : cubes) < 0)
      factor = -1;
  }
  for (int i = lane; i <= l.in; i += 32)
    incoming(i) = turned(i) * factor;
  const float inverse = fmodf(turns, 2) != 0 ? -1 / factor : 1 / factor;
  for (int i = lane; i < leaving; i += 32)
    outgoing(i) *= inverse;
}

} // namespace

void balance_units(Stream &s, float *theta, int networks, const UnitLayers &w, UnitBalance kind) {
  constexpr double pi = 3.14159265358979323846;
  const auto half_turn = float(pi / w.omega);
  std::size_t weight = w.parameters() - w.size(w.layers - 1);
  for (int l = w.layers - 2; l >= 0; --l) {
    weight -= w.size(l);
    if (kind == UnitBalance::norms || !w.pooled[l])
      launch(balance_kernel, blocks_for(std::size_t(networks) * std::size_t(w.width[l + 1]), warps), threads, 0, s,
             theta, networks, w.parameters(),
             Layer{int(w.incoming(l)), w.width[l + 1], w.width[l + 2], w.taps[l + 1], weight, float(w.omega / pi),
                   half_turn, float(pi / w.omega - double(half_turn))},
             kind);
  }
}

void gather_tokens(Stream &s, float *tokens, const float *theta, const std::int32_t *place, const float *mean,
                   const float *std, int networks, int repeat, std::size_t parameters, std::size_t size,
                   const UnitShuffle &shuffle) {
  each(s, std::size_t(networks) * repeat * size, [=] __device__(std::size_t i) {
    const std::size_t e = i % size;
    const auto n = unsigned(i / size / repeat), at = unsigned(place[e]);
    const auto unit = [&](int l, unsigned u) { return source_of(shuffle, n, l, u); };
    tokens[i] = place[e] < 0 ? 0 : (shuffled(theta + n * parameters, shuffle.layers, at, unit) - mean[e]) / std[e];
  });
}

void scatter_tokens(Stream &s, float *theta, const float *tokens, const std::int32_t *place, const float *mean,
                    const float *std, int networks, std::size_t parameters, std::size_t size) {
  each(s, networks * size, [=] __device__(std::size_t i) {
    const std::size_t r = i / size, e = i % size;
    if (place[e] >= 0)
      theta[r * parameters + place[e]] = tokens[i] * std[e] + mean[e];
  });
}

} // namespace theta::cuda
