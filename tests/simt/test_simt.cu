// The emulator itself: what it must run, and what it must catch.
#include "kernels/parts/warp.cuh"
#include "tests/check.h"
#include <functional>

using namespace theta;
using namespace theta::test;

namespace {

struct Slots {
  float value[64];
};

__global__ void reverse_kernel(float *out, const float *in, bool with_barrier) {
  auto &slots = shared<Slots>();
  slots.value[threadIdx.x] = 0;
  __syncthreads();
  slots.value[threadIdx.x] = in[threadIdx.x];
  if (with_barrier)
    __syncthreads();
  out[threadIdx.x] = slots.value[blockDim.x - 1 - threadIdx.x];
}

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x != 5)
    __syncthreads();
}

__global__ void missing_lane_kernel(float *out) {
  if (threadIdx.x % 32 != 3)
    out[threadIdx.x] = __shfl_xor_sync(~0u, 1.0f, 1);
}

__global__ void different_collectives_kernel(float *out) {
  if (threadIdx.x % 2)
    out[threadIdx.x] = __shfl_xor_sync(~0u, 1.0f, 1);
  else
    __syncwarp();
}

__global__ void collectives_kernel(float *sum, unsigned *votes) {
  sum[threadIdx.x] = warp_reduce<Sum>(float(threadIdx.x));
  if (threadIdx.x < 16)
    votes[threadIdx.x] = __ballot_sync(0xFFFFu, threadIdx.x % 3 == 0);
}

__global__ void write_kernel(float *out, int at) { out[at] = 1; }
__global__ void read_kernel(float *out, const float *in, int at) { out[0] = in[at]; }

__global__ void uninitialised_kernel(float *out) {
  auto &slots = shared<Slots>();
  slots.value[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = slots.value[threadIdx.x + 1];
}

// Lanes of one warp hand a value on: a __syncwarp orders them, a shuffle does not.
__global__ void warp_kernel(float *out, bool with_barrier) {
  auto &slots = shared<Slots>();
  slots.value[threadIdx.x] = float(threadIdx.x);
  if (with_barrier)
    __syncwarp();
  else
    __shfl_xor_sync(~0u, 1, 1);
  out[threadIdx.x] = slots.value[threadIdx.x ^ 1];
}

__global__ void blocks_kernel(float *out) { out[threadIdx.x] = float(blockIdx.x); }
__global__ void atomics_kernel(float *sum, int *count) {
  atomicAdd(sum, 0.5f);
  atomicAdd(count, 2);
  atomicMax(count + 1, int(threadIdx.x));
}
__global__ void mixed_atomics_kernel(int *count) {
  if (threadIdx.x == 0)
    atomicAdd(count, 1);
  else
    *count = 7;
}

std::string message_of(const std::function<void()> &run) {
  try {
    run();
  } catch (const Error &e) {
    return e.what();
  }
  return "";
}

#define CHECK_SAYS(message, part)                                                                                      \
  do {                                                                                                                 \
    CAPTURE(message);                                                                                                  \
    CHECK(message.find(part) != std::string::npos);                                                                    \
  } while (false)

} // namespace

TEST_CASE("simt: barriers and shared memory") {
  Stream s(Device{Backend::cuda, 0});
  const Buffer<float> in(s, random_values<float>(64, 1)), out(s, std::size_t(64));
  launch(reverse_kernel, 1u, 64, sizeof(Slots), s, out.get(), in.get(), true);
  auto expected = in.host();
  std::reverse(expected.begin(), expected.end());
  CHECK(out.host() == expected);
}

TEST_CASE("simt: warp collectives, whole and masked") {
  Stream s(Device{Backend::cuda, 0});
  const Buffer<float> sum(s, std::size_t(64));
  const Buffer<unsigned> votes(s, std::size_t(16));
  launch(collectives_kernel, 1u, 64, 0, s, sum.get(), votes.get());
  CHECK(sum.host()[7] == 31 * 32 / 2);
  CHECK(sum.host()[40] == 31 * 32 / 2 + 32 * 32);
  CHECK(votes.host() == std::vector<unsigned>(16, 0x9249u));
}

TEST_CASE("simt: atomics") {
  Stream s(Device{Backend::cuda, 0});
  const Buffer<float> sum(s, std::vector<float>{0});
  const Buffer<int> count(s, std::vector<int>{0, 0});
  launch(atomics_kernel, 3u, 40, 0, s, sum.get(), count.get());
  CHECK(sum.host()[0] == 60);
  CHECK(count.host() == std::vector<int>{240, 39});
  CHECK_SAYS(message_of([&] { launch(mixed_atomics_kernel, 1u, 2, 0, s, count.get()); }), "race: ");
}

TEST_CASE("simt: races are reported with both places") {
  Stream s(Device{Backend::cuda, 0});
  const Buffer<float> in(s, random_values<float>(64, 1)), out(s, std::size_t(64));
  for (std::uint64_t seed = 1; seed < 9; ++seed) {
    simt::set_schedule(seed);
    const auto message =
        message_of([&] { launch(reverse_kernel, 1u, 64, sizeof(Slots), s, out.get(), in.get(), false); });
    CHECK_SAYS(message, "race: ");
    CHECK_SAYS(message, "of shared memory");
    CHECK_SAYS(message, "reverse_kernel, launched at");
    CHECK(message.find("test_simt.cu:") != message.rfind("test_simt.cu:"));
  }
  CHECK(message_of([&] { launch(warp_kernel, 1u, 32, sizeof(Slots), s, out.get(), true); }) == "");
  CHECK_SAYS(message_of([&] { launch(warp_kernel, 1u, 32, sizeof(Slots), s, out.get(), false); }), "shared memory");
  CHECK(message_of([&] { launch(blocks_kernel, 1u, 64, 0, s, out.get()); }) == "");
  CHECK_SAYS(message_of([&] { launch(blocks_kernel, 2u, 64, 0, s, out.get()); }), "a thread of another block");
}

TEST_CASE("simt: divergent barriers and missing lanes are reported, not waited for") {
  Stream s(Device{Backend::cuda, 0});
  const auto barrier = message_of([&] { launch(divergent_barrier_kernel, 2u, 64, 0, s); });
  CHECK_SAYS(barrier, "63 threads wait at __syncthreads");
  CHECK_SAYS(barrier, "thread 5");
  CHECK_SAYS(barrier, "divergent_barrier_kernel");
  const Buffer<float> out(s, std::size_t(64));
  CHECK_SAYS(message_of([&] { launch(missing_lane_kernel, 1u, 64, 0, s, out.get()); }), "wait in __shfl_xor_sync");
  CHECK_SAYS(message_of([&] { launch(different_collectives_kernel, 1u, 64, 0, s, out.get()); }), "divergence: ");
}

TEST_CASE("simt: accesses past the end of a buffer, of shared memory, or of host memory") {
  Stream s(Device{Backend::cuda, 0});
  const Buffer<float> out(s, std::size_t(10)), in(s, random_values<float>(64, 1)), reversed(s, std::size_t(64));
  CHECK(message_of([&] { launch(write_kernel, 1u, 1, 0, s, out.get(), 9); }) == "");
  CHECK_SAYS(message_of([&] { launch(write_kernel, 1u, 1, 0, s, out.get(), 10); }), "4 bytes are written");
  CHECK_SAYS(message_of([&] { launch(read_kernel, 1u, 1, 0, s, out.get(), in.get(), 64); }),
             "at offset 256 of a device buffer of 256 bytes");
  CHECK_SAYS(message_of([&] { launch(read_kernel, 1u, 1, 0, s, out.get(), in.get(), -1); }), "4 bytes are read");
  CHECK_SAYS(message_of([&] { launch(reverse_kernel, 1u, 64, sizeof(Slots) - 4, s, reversed.get(), in.get(), true); }),
             "at offset 252 of 252 bytes of shared memory");
  CHECK_SAYS(message_of([&] { launch(uninitialised_kernel, 1u, 63, sizeof(Slots), s, reversed.get()); }),
             "nothing has written it");
  const std::vector<float> host(64);
  CHECK_SAYS(message_of([&] { launch(read_kernel, 1u, 1, 0, s, out.get(), host.data(), 0); }), "host memory");
  const float *gone = Buffer<float>(s, std::size_t(4)).get();
  CHECK_SAYS(message_of([&] { launch(read_kernel, 1u, 1, 0, s, out.get(), gone, 0); }), "of a device buffer");
}
