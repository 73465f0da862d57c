// Where a layer finds its numbers: it knows offsets, and is handed these flat vectors at every call. Nothing that
// computes owns memory.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"
#include <algorithm>
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

// Calls, with the tensor and its gradient, a function that outlives it: an early tensor's gradient is complete, and
// nothing needs its value any more.
template <class T> class FinishEarly {
public:
  template <class F>
  explicit FinishEarly(const F &f)
      : function_(&f), call_([](const void *function, const TensorRange &tensor, T *gradient) {
          (*static_cast<const F *>(function))(tensor, gradient);
        }) {}
  template <class F> explicit FinishEarly(const F &&) = delete;
  void operator()(const TensorRange &tensor, T *gradient) const { call_(function_, tensor, gradient); }

private:
  const void *function_;
  void (*call_)(const void *, const TensorRange &, T *);
};

template <class T> struct Parameters {
  const T *value;        // every parameter of the network
  T *gradient = nullptr; // added to by backward; null where nothing is trained. Without the early tensors.
  T *buffer = nullptr;   // running statistics
  const EarlyTensors *early = nullptr;
  T *early_gradient = nullptr; // the buffer that they share: the model's
  const FinishEarly<T> *finish = nullptr;
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

  // Where the gradient of a tensor is added up, before its layer's backward; and what that layer does after it.
  T *begin_gradient(Stream &s, const TensorRange &tensor) const {
    T *to = gradient_of(tensor.offset);
    if (is_early(to))
      fill_zero(s, to, tensor.size * sizeof(T));
    return to;
  }
  void end_gradient(const TensorRange &tensor) const {
    if (T *of = gradient_of(tensor.offset); is_early(of))
      (*finish)(tensor, of);
  }

private:
  bool is_early(const T *of) const { return early_gradient && of == early_gradient; }
};

// The largest of them: what their buffer holds.
inline std::size_t largest_of(const EarlyTensors &tensors) {
  std::size_t most = 0;
  for (const TensorRange &tensor : tensors)
    most = std::max(most, tensor.size);
  return most;
}

enum class Mode { train, infer };

} // namespace theta
