// The named tensors of a network inside one flat vector, and what each starts as.
#pragma once
#include "data/zoo_format.h"
#include "kernels/device/philox.h"
#include <functional>
#include <string>
#include <vector>

namespace theta {

// A tensor starts as `constant` plus a uniform draw from (−bound, bound).
struct Start {
  double constant = 0, bound = 0;
};

// Elements that tensors of a model in training begin at multiples of: 64 bytes of fp32, so that packs load whole cache
// lines, and 32 of the bf16 copy, where cuBLASLt wants 16.
inline constexpr std::size_t model_alignment = 16;

// A tensor of a model that is kept elsewhere: it has no room in the vector, but its place among the names, and its
// initial values are those that it would have there.
struct OutsideTensor {
  std::string name;
  Shape shape;
  Start start;
  std::uint64_t first_draw; // of its initial values
  std::size_t before;       // which of places() it stands before
  std::size_t elements() const;
};

// A zoo's vectors are packed. A model's tensors begin at multiples of `alignment` elements, with zeros between, which
// nothing reads and no file holds.
class Layout {
public:
  explicit Layout(std::size_t alignment = 1) : alignment_(alignment) {}

  // Appends a tensor and returns its offset. Throws Error for a name that is there already.
  std::size_t add(std::string name, Shape shape, Start start);
  void add_outside(std::string name, Shape shape, Start start);
  // The same behind all that is trained, of which none may follow: state, which comes about in training (running
  // statistics) and is kept with the weights.
  std::size_t add_state(std::string name, Shape shape, Start start);
  std::size_t trained() const { return state_ > 0 ? size_ - state_ : size_; } // elements before the state

  const std::vector<TensorPlace> &places() const { return places_; }
  const std::vector<OutsideTensor> &outside() const { return outside_; }
  const TensorPlace &operator[](std::string_view name) const; // throws Error
  std::size_t size() const { return size_; } // V of packed vectors; of others with what lies between tensors

  // The elements of all tensors one after another, from a vector of size(), and back. `spread` throws Error where there
  // are more or fewer than these.
  std::vector<float> packed(const std::vector<float> &values) const;
  std::vector<float> spread(const std::vector<float> &values) const;
  std::size_t packed_size() const;

  double bound(std::size_t tensor) const { return starts_[tensor].bound; } // of places()[tensor]
  double constant(std::size_t tensor) const { return starts_[tensor].constant; }
  // Per coordinate: its constant.
  std::vector<float> constants() const;

  // The initial values of stream `stream`: the same for a tensor wherever it begins. Whole, or some at a time: put(at,
  // values, n) takes elements at..at+n−1 of the vector; what lies between tensors is left out.
  std::vector<float> initial_values(std::uint64_t seed, std::uint32_t stream) const;
  using Put = std::function<void(std::size_t at, const float *values, std::size_t n)>;
  void initial_values(std::uint64_t seed, std::uint32_t stream, const Put &put) const;

private:
  std::vector<TensorPlace> places_;
  std::vector<Start> starts_;
  std::vector<std::uint64_t> first_draws_; // of places
  std::vector<OutsideTensor> outside_;
  std::uint64_t draws_ = 0;
  std::size_t size_ = 0, state_ = 0, alignment_; // state_: elements of it
};

std::size_t elements_of(const TensorPlace &);

// Initial value `index` of a stream's draws.
float initial_value(const Start &, std::uint64_t seed, std::uint32_t stream, std::uint64_t index);

// PyTorch's default for Linear and Conv: weight and bias uniform in ±1/√fan_in.
Start default_start(int fan_in);

} // namespace theta
