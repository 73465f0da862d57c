// Buffers of random numbers, each element a pure function of its place (philox.h).
#pragma once
#include "kernels/device/device.h"
#include "kernels/device/philox.h"

namespace theta {

// Where the numbers of a [rows, cols] buffer come from: row r is stream `first_stream + r`, column c is draw
// `first_index + c` of it.
struct Draws {
  std::uint64_t seed;
  Purpose purpose;
  std::uint32_t first_stream = 0;
  std::uint64_t first_index = 0;
};

// x[r, c] = scale · N(0, 1).   Bytes: rows·cols·sizeof(T).
template <class T> void fill_normal(Stream &, T *x, int rows, std::size_t cols, double scale, const Draws &);

// x[r, c] uniform in (−bound[c], bound[c]): initial weights, whose bound differs by tensor. bound [cols].
template <class T> void fill_uniform(Stream &, T *x, const T *bound, int rows, std::size_t cols, const Draws &);

} // namespace theta
