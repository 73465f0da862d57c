// The named tensors of a network inside one flat vector, and what each starts as.
#pragma once
#include "data/zoo_format.h"
#include "kernels/device/philox.h"
#include <string>
#include <vector>

namespace theta {

// A tensor starts as `constant` plus a uniform draw from (−bound, bound).
struct Start {
  double constant = 0, bound = 0;
};

class Layout {
public:
  // Appends a tensor and returns its offset. Throws Error for a name that is there already.
  std::size_t add(std::string name, Shape shape, Start start);

  const std::vector<TensorPlace> &places() const { return places_; }
  const TensorPlace &operator[](std::string_view name) const; // throws Error
  std::size_t size() const { return size_; }                  // V

  // Per coordinate: the bound of its draw, and its constant.
  std::vector<float> bounds() const;
  std::vector<float> constants() const;

  // The V initial values of stream `stream`.
  std::vector<float> initial_values(std::uint64_t seed, std::uint32_t stream) const;

private:
  std::vector<TensorPlace> places_;
  std::vector<Start> starts_;
  std::size_t size_ = 0;
};

std::size_t elements_of(const TensorPlace &);

// PyTorch's default for Linear and Conv: weight and bias uniform in ±1/√fan_in.
Start default_start(int fan_in);

} // namespace theta
