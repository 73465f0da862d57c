#include "codes.h"
#include "kernels/parts/each.cuh"
#include "kernels/parts/warp.cuh"

namespace theta::cuda {

namespace {

constexpr unsigned threads = 256;
struct Partials {
  int count[32];
};

// A warp a group.
__global__ void round_kernel(float *rounded, const float *theta, std::size_t groups, std::size_t parameters,
                             CodedTensor tensor, int most) {
  const std::size_t warp = (std::size_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (warp >= groups) // of all networks: whole warps leave
    return;
  const auto group = tensor.group(warp % tensor.groups());
  const std::size_t base = warp / tensor.groups() * parameters;
  float sum = 0, largest = 0;
  for (std::size_t k = threadIdx.x % 32; k < group.count; k += 32) {
    const float a = fabsf(theta[base + group.at(k)]);
    sum += a, largest = fmaxf(largest, a);
  }
  const float scale = code_scale(most, warp_reduce<Sum>(sum), warp_reduce<Max>(largest), group.count);
  for (std::size_t k = threadIdx.x % 32; k < group.count; k += 32)
    rounded[base + group.at(k)] = nearest_coded(theta[base + group.at(k)], scale, most);
}

struct Stretches {
  int count = 0;
  struct {
    std::size_t first, end;
  } of[most_coded_tensors];
};

Stretches stretches_of(const std::vector<CodedTensor> &tensors) {
  Stretches all;
  if (tensors.size() > most_coded_tensors)
    throw InputError("network.form: found ", tensors.size(), " matrices, expected at most ", most_coded_tensors);
  for (const CodedTensor &t : tensors)
    all.of[all.count++] = {t.offset, t.offset + t.elements()};
  return all;
}

// Magnitudes of finite numbers are ordered as their bits are.
__device__ std::uint32_t magnitude(float w) { return __float_as_uint(w) & 0x7fffffffu; }

// How many weights, of one network, have a magnitude of `least` or more: in every thread.
__device__ int count_from(const float *theta, const Stretches &of, std::uint32_t least, int *partial) {
  int count = 0;
  for (int t = 0; t < of.count; ++t)
    for (std::size_t at = of.of[t].first + threadIdx.x; at < of.of[t].end; at += threads)
      count += magnitude(theta[at]) >= least;
  return block_reduce<Sum>(count, partial);
}

// A block a network.
__global__ void keep_kernel(float *theta, float *moment1, float *moment2, std::size_t parameters, Stretches of,
                            int keep) {
  auto &partials = shared<Partials>();
  float *mine = theta + blockIdx.x * parameters;
  std::uint32_t least = 0; // the magnitude of the last one that stays
  for (int bit = 30; bit >= 0; --bit)
    if (count_from(mine, of, least | 1u << bit, partials.count) >= keep)
      least |= 1u << bit;
  const int larger = count_from(mine, of, least + 1, partials.count);
  const auto clear = [&](std::size_t at) {
    mine[at] = 0;
    if (moment1)
      moment1[blockIdx.x * parameters + at] = 0;
    if (moment2)
      moment2[blockIdx.x * parameters + at] = 0;
  };
  for (int t = 0; t < of.count; ++t)
    for (std::size_t at = of.of[t].first + threadIdx.x; at < of.of[t].end; at += threads)
      if (magnitude(mine[at]) < least)
        clear(at);
  __syncthreads();
  if (threadIdx.x > 0 || least == 0)
    return;
  int left = keep - larger; // of those that are as large as the last one
  for (int t = 0; t < of.count; ++t)
    for (std::size_t at = of.of[t].first; at < of.of[t].end; ++at)
      if (magnitude(mine[at]) == least && left-- <= 0)
        clear(at);
}

} // namespace

void round_to_codes(Stream &s, float *rounded, const float *theta, int networks, std::size_t parameters,
                    const std::vector<CodedTensor> &tensors, int most) {
  copy(s, rounded, theta, std::size_t(networks) * parameters * sizeof(float));
  for (const CodedTensor &tensor : tensors) {
    const std::size_t groups = tensor.groups() * std::size_t(networks);
    launch(round_kernel, blocks_for(groups * 32, threads), threads, 0, s, rounded, theta, groups, parameters, tensor,
           most);
  }
}

void keep_largest(Stream &s, float *theta, float *moment1, float *moment2, int networks, std::size_t parameters,
                  const std::vector<CodedTensor> &tensors, std::size_t keep) {
  std::size_t all = 0;
  for (const CodedTensor &t : tensors)
    all += t.elements();
  if (keep < all)
    launch(keep_kernel, unsigned(networks), threads, sizeof(Partials), s, theta, moment1, moment2, parameters,
           stretches_of(tensors), int(keep));
}

void keep_two_of_four(Stream &s, float *theta, float *moment1, float *moment2, int networks, std::size_t parameters,
                      const std::vector<CodedTensor> &tensors) {
  for (const CodedTensor &tensor : tensors) {
    const CodedTensor t = tensor;
    const std::size_t fours = std::size_t(t.out) * t.fours();
    each(s, fours * std::size_t(networks), [=] __device__(std::size_t i) {
      const std::size_t first = i / fours * parameters + t.four(i % fours);
      const int count = t.in_four(i % fours);
      float w[4] = {};
      for (int k = 0; k < count; ++k)
        w[k] = theta[first + k];
      for (int k = 0; k < count; ++k)
        if (larger_before(w, k, count) >= 2) {
          theta[first + k] = 0;
          if (moment1)
            moment1[first + k] = 0;
          if (moment2)
            moment2[first + k] = 0;
        }
    });
  }
}

void hold_zeros(Stream &s, float *gradient, const float *theta, int networks, std::size_t parameters,
                const std::vector<CodedTensor> &tensors) {
  for (const CodedTensor &tensor : tensors) {
    const std::size_t offset = tensor.offset, n = tensor.elements();
    each(s, n * std::size_t(networks), [=] __device__(std::size_t i) {
      const std::size_t at = i / n * parameters + offset + i % n;
      if (theta[at] == 0)
        gradient[at] = 0;
    });
  }
}

} // namespace theta::cuda
