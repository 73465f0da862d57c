// Where a layer finds its numbers: it knows offsets, and is handed these flat vectors at every call. Nothing that
// computes owns memory.
#pragma once
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
