// Counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), the
// same bits on host and device. Every draw of theta is a pure function of (seed, purpose, stream, index): no state is
// shared, stored or advanced, so any draw can be made again at any time and in any order.
#pragma once
#include "host_device.h"
#include <cmath>
#include <cstdint>

namespace theta {

// What a draw is for: one number a use, so that no two uses share bits.
enum class Purpose : std::uint32_t {
  initialisation = 1,
  batch_order,
  checkpoint_steps,
  input_noise,
  latent_noise,
  diffusion_noise,
  diffusion_time,
  sample_start,
  sample_noise,
  noise_baseline,
  average_baseline,
  gaussian_baseline,
  group_choice,
  test,
  label_noise,
  dropout,
  hyper_parameters,
  unit_order,
  start_choice,
  condition_drop,
  unit_factor,
  base_signals,
  surface_points,
  bootstrap,
  probe_vector,
  augmentation,
  mixture,
  written,
};

struct Bits4 {
  std::uint32_t word[4];
};

THETA_HOST_DEVICE inline Bits4 philox_rounds(Bits4 counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t(0xD2511F53u) * counter.word[0];
    const std::uint64_t p1 = std::uint64_t(0xCD9E8D57u) * counter.word[2];
    counter = {{std::uint32_t(p1 >> 32) ^ counter.word[1] ^ key0, std::uint32_t(p1),
                std::uint32_t(p0 >> 32) ^ counter.word[3] ^ key1, std::uint32_t(p0)}};
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return counter;
}

// 128 random bits. `stream` tells apart networks or rows, `index` counts draws within one.
THETA_HOST_DEVICE inline Bits4 philox(std::uint64_t seed, Purpose purpose, std::uint32_t stream, std::uint64_t index) {
  return philox_rounds({{std::uint32_t(index), std::uint32_t(index >> 32), stream, std::uint32_t(purpose)}},
                       std::uint32_t(seed), std::uint32_t(seed >> 32));
}

// A whole number in 0..n−1, n < 2³², from a word of random bits.
THETA_HOST_DEVICE inline std::uint32_t uniform_below(std::uint32_t bits, std::uint64_t n) {
  return std::uint32_t((std::uint64_t(bits) * n) >> 32);
}

// Uniform in (0, 1): 24 bits, never 0 or 1.
THETA_HOST_DEVICE inline float uniform01(std::uint32_t bits) { return (float(bits >> 8) + 0.5f) * 0x1p-24f; }

// Two standard normal numbers from two words of random bits (Box & Muller, 1958).
struct NormalPair {
  float even, odd;
};
THETA_HOST_DEVICE inline NormalPair normal_pair(std::uint32_t first, std::uint32_t second) {
  const float radius = sqrtf(-2.0f * logf(uniform01(first)));
  const float angle = 6.283185307179586f * uniform01(second);
  return {radius * cosf(angle), radius * sinf(angle)};
}

// Standard normal number `index` of a stream; two of them share one philox call.
THETA_HOST_DEVICE inline float normal(std::uint64_t seed, Purpose purpose, std::uint32_t stream, std::uint64_t index) {
  const Bits4 bits = philox(seed, purpose, stream, index / 2);
  const NormalPair two = normal_pair(bits.word[0], bits.word[1]);
  return index % 2 ? two.odd : two.even;
}

// A random order of 0..n-1, computed instead of stored: a six-round Feistel network on the smallest even number of bits
// that holds n, walked until it lands below n.
struct RandomOrder {
  Bits4 keys;
  std::uint32_t n, half = 1;

  THETA_HOST_DEVICE RandomOrder(std::uint64_t seed, Purpose purpose, std::uint32_t stream, std::uint64_t index,
                                std::uint32_t n_)
      : keys(philox(seed, purpose, stream, index)), n(n_) {
    while ((std::uint64_t(1) << (2 * half)) < n)
      ++half;
  }

  // One walk through the network, of one number or of a pack of them.
  template <class Word> THETA_HOST_DEVICE Word step(Word at) const {
    const std::uint32_t mask = (1u << half) - 1;
    Word left = at >> half, right = at & mask;
    for (int round = 0; round < 6; ++round) {
      Word mixed = ((right + 1) * 0x9E3779B1u) ^ (keys.word[round % 4] + std::uint32_t(round) * 0x7F4A7C15u);
      mixed ^= mixed >> 15, mixed *= 0x2C1B3C6Du, mixed ^= mixed >> 12, mixed *= 0x297A2D39u, mixed ^= mixed >> 15;
      const Word next = left ^ (mixed & mask);
      left = right, right = next;
    }
    return left << half | right;
  }

  THETA_HOST_DEVICE std::uint32_t operator()(std::uint32_t at) const {
    do
      at = step(at);
    while (at >= n);
    return at;
  }
};

// Element `position` of an endless sequence: position p of epoch e is p + e·n; each epoch has an order of its own, and
// every element comes once an epoch.
THETA_HOST_DEVICE inline std::uint32_t shuffled(std::uint64_t seed, Purpose purpose, std::uint32_t stream,
                                                std::uint64_t position, std::uint32_t n) {
  return RandomOrder(seed, purpose, stream, position / n, n)(std::uint32_t(position % n));
}

} // namespace theta
