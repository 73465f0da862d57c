// Where a layer finds its numbers: it knows offsets, and is handed these flat vectors at every call. Nothing that
// computes owns memory.
#pragma once
#include "kernels/device/bf16.h"
#include <cstddef>
#include <vector>

namespace theta {

// A tensor's place in the flat vector, in elements.
struct TensorRange {
  std::size_t offset, size;
};

// Tensors whose gradient does not outlive their layer's backward: the optimiser moves them as soon as it is complete.
// In the flat gradient they have no room; they take turns in a buffer of the largest's size. Ascending.
using EarlyTensors = std::vector<TensorRange>;

template <class T> struct Parameters {
  const T *value;        // every parameter of the network
  T *gradient = nullptr; // added to by backward; null where nothing is trained. Without the early tensors.
  T *buffer = nullptr;   // running statistics
  const EarlyTensors *early = nullptr;
  T *early_gradient = nullptr;
  const bf16 *narrow_value = nullptr; // value, rounded; where layers compute in bf16 (Trainable keeps it)

  // The parameters as layers with activations of type A multiply them. Gradients are T whatever A is.
  template <class A> const A *value_as() const {
    if constexpr (std::is_same_v<A, T>)
      return value;
    else
      return narrow_value;
  }

  // Where the gradient of the tensor at `offset` of the flat vector is added up.
  T *gradient_of(std::size_t offset) const {
    std::size_t before = 0;
    if (early)
      for (const TensorRange &range : *early) {
        if (range.offset == offset)
          return early_gradient;
        before += range.offset < offset ? range.size : 0;
      }
    return gradient + (offset - before);
  }
};

enum class Mode { train, infer };

} // namespace theta
