// The largest of every window of an image (PyTorch's MaxPool2d), and its backward.
//   y[n,c,u,v] = max of x[n, c, u·stride + s − padding, v·stride + t − padding], 0 <= s, t < window, within the image
#pragma once
#include "kernels/device/device.h"

namespace theta {

// x [planes, in_height, in_width] -> y [planes, out_height(), out_width()]; planes: batch·channels. 2·padding <= window.
struct Pool2d {
  std::size_t planes;
  int in_height, in_width;
  int window = 2, stride = 2, padding = 0;

  int out_height() const { return (in_height + 2 * padding - window) / stride + 1; }
  int out_width() const { return (in_width + 2 * padding - window) / stride + 1; }
  std::size_t x_size() const { return planes * std::size_t(in_height) * std::size_t(in_width); }
  std::size_t y_size() const { return planes * std::size_t(out_height()) * std::size_t(out_width()); }
};

// y written, and of each which of its window it is, row by row, the first of equals: for the backward. A NaN is the
// largest. Bytes: 4(x + y) + y.
template <class T> void max_pool2d(Stream &, T *y, std::uint8_t *which, const T *x, const Pool2d &);

// dx written, or added to: every element gathers from the windows that it was the largest of. Bytes: 4(x + y) + y.
template <class T>
void max_pool2d_backward(Stream &, T *dx, const T *dy, const std::uint8_t *which, const Pool2d &,
                         bool accumulate = false);

} // namespace theta
