// The emulator itself: what it must run, and what it must catch.
#include "kernels/warp.cuh"
#include "tests/check.h"
#include <sys/wait.h>
#include <unistd.h>

using namespace theta;
using namespace theta::test;

namespace {

struct Slots {
  float value[64];
};

__global__ void reverse_kernel(float *out, const float *in, bool with_barrier) {
  auto &slots = shared<Slots>();
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

__global__ void collectives_kernel(float *sum, unsigned *votes) {
  sum[threadIdx.x] = warp_reduce<Sum>(float(threadIdx.x));
  if (threadIdx.x < 16)
    votes[threadIdx.x] = __ballot_sync(0xFFFFu, threadIdx.x % 3 == 0);
}

__global__ void write_kernel(float *out, int at) { out[at] = 1; }

std::string message_of(const std::function<void()> &run) {
  try {
    run();
  } catch (const Error &e) {
    return e.what();
  }
  return "";
}

// True when `run` ends the process it runs in (as a sanitizer's report does).
bool dies(const std::function<void()> &run) {
  const pid_t child = fork();
  if (child == 0) {
    freopen("/dev/null", "w", stderr);
    run();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

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

TEST_CASE("simt: a missing barrier shows") { // threads run in random order, and unwritten shared memory is NaN
  Stream s(Device{Backend::cuda, 0});
  const Buffer<float> in(s, random_values<float>(64, 1)), out(s, std::size_t(64));
  launch(reverse_kernel, 1u, 64, sizeof(Slots), s, out.get(), in.get(), false);
  auto expected = in.host();
  std::reverse(expected.begin(), expected.end());
  CHECK(out.host() != expected);
}

TEST_CASE("simt: divergent barriers and missing lanes are reported, not waited for") {
  Stream s(Device{Backend::cuda, 0});
  const auto barrier = message_of([&] { launch(divergent_barrier_kernel, 2u, 64, 0, s); });
  CHECK(barrier.find("63 threads wait at a barrier") != std::string::npos);
  CHECK(barrier.find("thread 5") != std::string::npos);
  CHECK(barrier.find("test_simt.cpp") != std::string::npos);
  const Buffer<float> out(s, std::size_t(64));
  const auto lane = message_of([&] { launch(missing_lane_kernel, 1u, 64, 0, s, out.get()); });
  CHECK(lane.find("wait in a warp collective") != std::string::npos);
}

TEST_CASE("simt: a write past the end of a buffer or of shared memory ends the run") {
  Stream s(Device{Backend::cuda, 0});
  const Buffer<float> out(s, std::size_t(10)), in(s, random_values<float>(64, 1)), reversed(s, std::size_t(64));
  CHECK(!dies([&] { launch(write_kernel, 1u, 1, 0, s, out.get(), 9); }));
  CHECK(dies([&] { launch(write_kernel, 1u, 1, 0, s, out.get(), 10); }));
  CHECK(dies([&] { launch(reverse_kernel, 1u, 64, sizeof(Slots) - 4, s, reversed.get(), in.get(), true); }));
}
