// Rows from one place to another: batches of a data set in a random order that is computed, not stored (shuffled() in
// philox.h), and strided rows in theirs.
#pragma once
#include "kernels/device/device.h"
#include "kernels/device/philox.h"

namespace theta {

// Step `step` of training draws `batch` of `examples` for each of `networks`, network i with the order of stream
// first_stream + i: element b is number step·batch + b of that endless, epoch-wise shuffled sequence.
struct BatchOrder {
  int networks, batch;
  std::uint32_t examples;
  std::uint64_t seed;
  std::uint32_t first_stream;
  std::uint64_t step;

  THETA_HOST_DEVICE std::uint32_t example(int network, int b) const {
    return shuffled(seed, Purpose::batch_order, first_stream + std::uint32_t(network),
                    step * std::uint64_t(batch) + std::uint64_t(b), examples);
  }
};

// x[n, b, :] = image·scale + shift as floats, label_out[n, b] its label.
//   x [networks, batch, pixels]; image [examples, pixels], label [examples] bytes.
// Bytes: networks·batch·pixels·(1 + sizeof(T)).
template <class T>
void gather_images(Stream &, T *x, std::uint8_t *label_out, const std::uint8_t *image, const std::uint8_t *label,
                   int pixels, double scale, double shift, const BatchOrder &);

// y[b, :] = x[row of element b, :], for one network's order.   y [batch, cols]; x [examples, cols].
template <class T> void gather_rows(Stream &, T *y, const T *x, std::size_t cols, const BatchOrder &);

// x[i] = image[i]·scale + shift, n pixels.
template <class T>
void normalise_images(Stream &, T *x, const std::uint8_t *image, std::size_t n, double scale, double shift);

// Rows of `cols` elements from one tensor to another, `to_step` and `from_step` elements apart (from_step 0: one row
// again and again). Bytes: 2·rows·cols·sizeof(T).
template <class T>
void copy_rows(Stream &, T *to, std::size_t to_step, const T *from, std::size_t from_step, int rows, std::size_t cols);

} // namespace theta
