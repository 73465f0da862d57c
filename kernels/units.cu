#include "each.cuh"
#include "units.h"
#include "warp.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 128, warps = threads / 32;

struct Layer {
  int in, units, out;
  std::size_t weight; // its offset
};

// One warp a unit; units of a layer share nothing, and each lane writes what it alone read. The bias counts as the last
// incoming weight.
__global__ void balance_kernel(float *theta, int networks, std::size_t parameters, Layer l, UnitBalance kind) {
  const std::size_t item = std::size_t(blockIdx.x) * warps + threadIdx.x / 32;
  const int lane = int(threadIdx.x) % 32;
  if (item >= std::size_t(networks) * l.units) // whole warps
    return;
  const int u = int(item % l.units);
  float *weight = theta + item / l.units * parameters + l.weight, *next = weight + std::size_t(l.in + 1) * l.units + u;
  const auto incoming = [&](int i) -> float & {
    return weight[i < l.in ? std::size_t(u) * l.in + i : std::size_t(l.in) * l.units + u];
  };
  float factor = 1, turns = 0; // half turns taken from the bias
  if (kind == UnitBalance::phases)
    turns = warp_reduce<Sum>(lane == l.in % 32 ? rintf(incoming(l.in) * 9.549296585513721f) : 0);
  const auto turned = [&](int i) { // π/30 in two parts, so that nothing is lost but the result's own rounding
    return i < l.in ? incoming(i) : fmaf(-turns, -2.91409268e-9f, fmaf(-turns, 0.104719758f, incoming(i)));
  };
  if (kind == UnitBalance::norms) {
    float in = 0, out = 0;
    for (int i = lane; i <= l.in; i += 32)
      in += incoming(i) * incoming(i);
    for (int o = lane; o < l.out; o += 32)
      out += next[std::size_t(o) * l.units] * next[std::size_t(o) * l.units];
    in = warp_reduce<Sum>(in), out = warp_reduce<Sum>(out);
    if (in > 0 && out > 0)
      factor = sqrtf(sqrtf(out / in));
  } else {
    // The largest size, and then the sign of the first weight that has it.
    float largest = 0;
    int at = l.in + 1;
    for (int i = lane; i <= l.in; i += 32)
      if (const float w = turned(i); fabsf(w) > fabsf(largest))
        largest = w, at = i;
    const float most = warp_reduce<Max>(fabsf(largest));
    const float first = -warp_reduce<Max>(fabsf(largest) == most ? -float(at) : -float(l.in + 1));
    if (warp_reduce<Sum>(float(at) == first ? largest : 0) < 0)
      factor = -1;
  }
  for (int i = lane; i <= l.in; i += 32)
    incoming(i) = turned(i) * factor;
  const float leaving = fmodf(turns, 2) != 0 ? -1 / factor : 1 / factor;
  for (int o = lane; o < l.out; o += 32)
    next[std::size_t(o) * l.units] *= leaving;
}

} // namespace

void balance_units(Stream &s, float *theta, int networks, const PerceptronWidths &w, UnitBalance kind) {
  Layer layer{};
  for (int l = 0; l + 1 < w.layers; ++l) {
    layer = {w.width[l], w.width[l + 1], w.width[l + 2], layer.weight};
    launch(balance_kernel, blocks_for(std::size_t(networks) * std::size_t(layer.units), warps), threads, 0, s, theta,
           networks, w.parameters(), layer, kind);
    layer.weight += std::size_t(layer.in + 1) * std::size_t(layer.units);
  }
}

void shuffle_units(Stream &s, float *to, const float *from, int networks, int pair, const PerceptronWidths &w,
                   const UnitFactors &f, const Draws &d) {
  const std::size_t v = w.parameters();
  each(s, std::size_t(networks) * v, [=] __device__(std::size_t e) {
    const std::size_t n = e / v;
    const auto stream = d.first_stream + std::uint32_t(pair > 0 ? n % pair : n);
    const auto source = [&](int l, std::uint32_t unit) { // of what stands at unit `unit` of layer l, 0 the inputs
      if (l == 0 || l == w.layers)
        return unit;
      return RandomOrder(d.seed, d.purpose, stream, d.first_index + std::uint64_t(l), std::uint32_t(w.width[l]))(unit);
    };
    const auto factor = [&](int l, std::uint32_t unit) {
      return l == 0 || l == w.layers ? 1.0f : unit_factor(f, d, stream, l, unit);
    };
    std::size_t at = e % v, offset = 0;
    int l = 0;
    for (; at >= std::size_t(w.width[l] + 1) * w.width[l + 1]; ++l)
      at -= std::size_t(w.width[l] + 1) * w.width[l + 1], offset += std::size_t(w.width[l] + 1) * w.width[l + 1];
    const std::size_t in = std::size_t(w.width[l]), weights = in * w.width[l + 1];
    const bool weight = at < weights;
    const auto row = std::uint32_t(weight ? at / in : at - weights), column = std::uint32_t(weight ? at % in : 0);
    const std::size_t of = weight ? source(l + 1, row) * in + source(l, column) : weights + source(l + 1, row);
    to[e] = from[n * v + offset + of] * (weight ? factor(l + 1, row) / factor(l, column) : factor(l + 1, row));
  });
}

void gather_tokens(Stream &s, float *tokens, const float *theta, const std::int32_t *place, const float *mean,
                   const float *std, int networks, int repeat, std::size_t parameters, std::size_t size) {
  each(s, std::size_t(networks) * repeat * size, [=] __device__(std::size_t i) {
    const std::size_t r = i / size, e = i % size;
    tokens[i] = place[e] < 0 ? 0 : (theta[r / repeat * parameters + place[e]] - mean[e]) / std[e];
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
