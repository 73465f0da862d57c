// Softmax cross-entropy with label smoothing, as PyTorch's cross_entropy:
//   loss = −Σ_c q_c·log softmax(x)_c,   q = (1 − smoothing)·onehot(label) + smoothing/classes
#pragma once
#include "kernels/device/device.h"
#include <cstdint>

namespace theta {

struct CrossEntropy {
  int rows, classes;
  int label_rows; // row r has label[r % label_rows]: networks of one batch may share their labels
  double smoothing = 0;
  double gradient = 1; // what multiplies dlogits: 1/batch for a mean
};

// loss[r] and, unless dlogits is null, dlogits[r] = gradient·(softmax(x) − q).
//   logits, dlogits [rows, classes]; loss [rows]; label [label_rows]. dlogits may be logits.
// Bytes: 2·rows·classes·sizeof(T). One thread a row: classes are few.
template <class T>
void softmax_cross_entropy(Stream &, T *loss, T *dlogits, const T *logits, const std::uint8_t *label,
                           const CrossEntropy &);

} // namespace theta
