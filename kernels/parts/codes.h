// Weights as whole numbers times a scale that a group of weights shares, a number at a time.
#pragma once
#include "kernels/device/host_device.h"
#include <cmath>
#include <cstddef>

namespace theta {

// Which weights of a matrix share a scale: those of an output, or stretches of them; those of an input unit; all.
enum class ScaleOf { rows, columns, whole };

// A tensor of weights [out, in, run] inside a network's vector. run: neighbours that belong to one input unit, as a
// kernel's taps do.
struct CodedTensor {
  std::size_t offset;
  int out, in, run;
  ScaleOf scale;
  int block = 0; // of rows: so many neighbours share a scale; 0: all of them

  THETA_HOST_DEVICE std::size_t row() const { return std::size_t(in) * std::size_t(run); }
  THETA_HOST_DEVICE std::size_t elements() const { return row() * std::size_t(out); }
  THETA_HOST_DEVICE std::size_t stretch() const { return block > 0 ? std::size_t(block) : row(); }
  THETA_HOST_DEVICE std::size_t stretches() const { return (row() + stretch() - 1) / stretch(); } // of a row
  THETA_HOST_DEVICE std::size_t groups() const {
    return scale == ScaleOf::rows      ? std::size_t(out) * stretches()
           : scale == ScaleOf::columns ? std::size_t(in)
                                       : std::size_t(1);
  }

  // A group's elements: `count`, element k of them at first + k / inner · stride + k % inner of the vector.
  struct Group {
    std::size_t first, count, inner, stride;
    THETA_HOST_DEVICE std::size_t at(std::size_t k) const { return first + k / inner * stride + k % inner; }
  };
  THETA_HOST_DEVICE Group group(std::size_t g) const {
    if (scale == ScaleOf::columns)
      return {offset + g * std::size_t(run), std::size_t(out) * std::size_t(run), std::size_t(run), row()};
    if (scale == ScaleOf::whole)
      return {offset, elements(), elements(), 0};
    const std::size_t begin = g % stretches() * stretch(), left = row() - begin;
    const std::size_t count = left < stretch() ? left : stretch();
    return {offset + g / stretches() * row() + begin, count, count, 0};
  }

  // Four neighbours along a row, the last of which may be fewer: of a row how many; where one begins in the vector, and
  // how many they are.
  THETA_HOST_DEVICE std::size_t fours() const { return (row() + 3) / 4; }
  THETA_HOST_DEVICE std::size_t four(std::size_t i) const { return offset + i / fours() * row() + i % fours() * 4; }
  THETA_HOST_DEVICE int in_four(std::size_t i) const {
    const std::size_t left = row() - i % fours() * 4;
    return left < 4 ? int(left) : 4;
  }
};

// How many of `count` neighbours come before the k-th by magnitude, of equal ones the first.
template <class T> THETA_HOST_DEVICE inline int larger_before(const T *of, int k, int count) {
  const T mine = std::abs(of[k]);
  int before = 0;
  for (int j = 0; j < count; ++j) {
    const T other = std::abs(of[j]);
    before += other > mine || (other == mine && j < k);
  }
  return before;
}

// The scale of n weights, of what their magnitudes sum to and the largest of them: their mean for codes −1, 0, 1
// (BitNet b1.58: Ma et al., 2024, eq. 3), else such that the largest has the code `most`.
template <class T> THETA_HOST_DEVICE inline T code_scale(int most, T sum, T largest, std::size_t n) {
  const T scale = most == 1 ? sum / T(n) : largest / T(most);
  return scale > T(1e-8) ? scale : T(1e-8);
}

// The nearest multiple of the scale that has a code from −most to most.
template <class T> THETA_HOST_DEVICE inline T nearest_coded(T w, T scale, int most) {
  const T code = std::nearbyint(w / scale), limit = T(most);
  return (code > limit ? limit : code < -limit ? -limit : code) * scale;
}

} // namespace theta
