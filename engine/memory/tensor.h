// A tensor on a device: planned by name and shape (plan.h), and there once an arena has taken the plan. Its declaration
// says its shape: Tensor<float> x_; // [N, batch, inputs]
#pragma once
#include <cstddef>
#include <memory>

namespace theta {

template <class T> class Tensor {
public:
  Tensor() = default;

  // Its elements; null where it is not planned, or no arena holds its plan now.
  T *get() const { return at_ ? reinterpret_cast<T *>(*at_) : nullptr; }
  operator T *() const { return get(); }
  bool planned() const { return bool(at_); }

private:
  friend class MemoryPlan;
  Tensor(std::size_t entry, std::shared_ptr<std::byte *> at) : entry_(entry), at_(std::move(at)) {}
  std::size_t entry_ = 0;             // of its plan
  std::shared_ptr<std::byte *> at_{}; // the arena writes it; copies of the tensor and of its plan share it
};

} // namespace theta
