// What mlp_worker.h's networks learn from labelled images: a byte a pixel, cross-entropy of the logits.
#pragma once
#include "classifier.h"
#include "mlp_worker.h"

namespace theta::simd {

template <class T, int L> class ImageTask {
public:
  using P = Pack<T, L>;
  using Set = ImageSet;
  explicit ImageTask(const ImageSet &set) : set_(set) {}
  std::uint32_t examples() const { return set_.examples; }

  void lay_out(Pieces<T> &pieces, const MlpTraining &p, int rows) {
    classes_ = p.widths[p.layers];
    image_ = pieces.template take_as<const std::uint8_t *>(std::size_t(rows));
    label_ = pieces.take(std::size_t(rows));
    logits_ = pieces.take(std::size_t(Panels<T, L>::padded(classes_)) * L);
  }

  void take(const std::uint32_t *example, int rows, int count, const RunSeen &run) {
    for (int b = 0; b < rows; ++b) {
      const std::uint32_t e = example[std::min(b, count - 1)];
      image_[b] = set_.image + std::size_t(e) * set_.pixels;
      label_[b] = T(seen_label(set_.label[e], set_.classes, run.label_noise, run.seed, run.run, e));
    }
  }

  void unpack(T *x, int rows, int first, int count) {
    prefetch((first + count) * L, (first + 2 * count) * L, rows);
    const P scale = broadcast<P>(T(set_.scale)), shift = broadcast<P>(T(set_.shift));
    for (int at = first * L; at < (first + count) * L; at += L) {
      const int pixels = std::min(L, set_.pixels - at);
      if (pixels == L)
        for (int b = 0; b < rows; ++b, x += L)
          store(x, multiply_add(from_bytes<P>(image_[b] + at), scale, shift));
      else
        for (int b = 0; b < rows; ++b, x += L) {
          std::uint8_t tail[L] = {};
          for (int i = 0; i < pixels; ++i)
            tail[i] = image_[b][at + i];
          store(x, first_lanes(multiply_add(from_bytes<P>(tail), scale, shift), pixels));
        }
    }
  }

  double gradient(T *z, int rows, int count, T weight, float smoothing, bool tell) {
    double loss = 0;
    for (int b = 0; b < rows; b += L) {
      softmax_gradient<P>(logits(z, rows, b), classes_, load<P>(label_ + b), count - b, weight, smoothing,
                          tell ? &loss : nullptr);
      for (int panel = 0; panel < Panels<T, L>::count(classes_); ++panel) {
        P d[L];
#pragma GCC unroll 16
        for (int c = 0; c < L; ++c)
          d[c] = panel * L + c < classes_ ? load<P>(logits_ + (panel * L + c) * L) : P{};
        transpose(d);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          store(z + (std::size_t(panel) * rows + b + i) * L, d[i]);
      }
    }
    return loss;
  }

  // Rows b..b+lanes−1 of the logits z, class by class.
  T *logits(const T *z, int rows, int b) {
    for (int panel = 0; panel < Panels<T, L>::count(classes_); ++panel) {
      P x[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i)
        x[i] = load<P>(z + (std::size_t(panel) * rows + b + i) * L);
      transpose(x);
#pragma GCC unroll 16
      for (int c = 0; c < L; ++c)
        store(logits_ + (panel * L + c) * L, x[c]);
    }
    return logits_;
  }

private:
  // Asks for pixels [first, last) of all rows, which lie anywhere in memory, while what was unpacked is multiplied.
  void prefetch(int first, int last, int rows) const {
    constexpr int line = 64;
    last = std::min(last, set_.pixels);
    for (int at = first; at < last; at += line)
      for (int b = 0; b < rows; ++b)
        __builtin_prefetch(image_[b] + std::min(at + line, last) - 1);
  }

  ImageSet set_;
  int classes_ = 0;
  const std::uint8_t **image_ = nullptr;
  T *label_ = nullptr, *logits_ = nullptr;
};

} // namespace theta::simd
