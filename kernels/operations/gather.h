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

// How an image differs whenever it is drawn: shifted by up to `crop` pixels each way, bytes of 0 coming in; left and
// right exchanged every other time; a square of side `cutout` around any pixel 0, after scale and shift (DeVries &
// Taylor, 2017). Images are [channels, height, width].
struct Augmentation {
  int crop = 0;
  bool flip = false;
  int cutout = 0, channels = 1, height = 1, width = 1;

  THETA_HOST_DEVICE bool any() const { return crop > 0 || flip || cutout > 0; }

  struct Drawn {
    int down, right; // the image's shift
    bool flipped;
    int top, left; // of the square
  };
  THETA_HOST_DEVICE Drawn draw(const BatchOrder &order, int network, int b) const {
    const Bits4 bits = philox(order.seed, Purpose::augmentation, order.first_stream + std::uint32_t(network),
                              order.step * std::uint64_t(order.batch) + std::uint64_t(b));
    const std::uint32_t *word = bits.word, shifts = 2 * std::uint32_t(crop) + 1;
    return {int(word[0] % shifts) - crop, int(word[1] % shifts) - crop, flip && (word[2] & 1) != 0,
            int((word[2] >> 8) % std::uint32_t(height)) - cutout / 2, int(word[3] % std::uint32_t(width)) - cutout / 2};
  }

  // Where value i of the image comes from; outside: from a byte of 0; nowhere: it is 0.
  static constexpr int outside = -1, nowhere = -2;
  THETA_HOST_DEVICE int source(const Drawn &d, int i) const {
    const int plane = i / (height * width), u = i / width % height, v = i % width;
    if (u >= d.top && u < d.top + cutout && v >= d.left && v < d.left + cutout)
      return nowhere;
    const int row = u - d.down, column = (d.flipped ? width - 1 - v : v) - d.right;
    return row < 0 || row >= height || column < 0 || column >= width ? outside
                                                                     : (plane * height + row) * width + column;
  }
};

// x[n, b, :] = image·scale + shift as floats, label_out[n, b] its label.
//   x [networks, batch, pixels]; image [examples, pixels], label [examples] bytes.
// Bytes: networks·batch·pixels·(1 + sizeof(T)).
template <class T>
void gather_images(Stream &, T *x, std::uint8_t *label_out, const std::uint8_t *image, const std::uint8_t *label,
                   int pixels, double scale, double shift, const BatchOrder &, const Augmentation & = {});

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
