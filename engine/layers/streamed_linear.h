// y = x·wᵀ + b, whose weights are not on the device: blocks of their rows stream by under the products, the next one
// read, and copied to the device, while one is multiplied. In training the optimiser moves a block as soon as its
// gradient is there, and its weights and moments go back: 28 bytes a weight and step to and from where they are, and
// memory for two blocks.
//   x [rows, in], y [rows, out], w [out, in] outside, b [out] in the layout.
// The numbers are Linear's, bit by bit on the cpu: a sum goes on along k from block to block.
#pragma once
#include "engine/memory/plan.h"
#include "engine/networks/layout.h"
#include "kernels/device/arithmetic.h"
#include "parameters.h"
#include <array>
#include <functional>

namespace theta {

class StreamedLinear {
public:
  // Adds name.weight, outside, and name.bias to the layout, as Linear does.
  StreamedLinear(Layout &, const std::string &name, int in, int out, Arithmetic, std::size_t block_bytes);

  int in() const { return in_; }
  int out() const { return out_; }
  std::size_t tensor() const { return tensor_; } // which of the layout's outside tensors its weights are
  void plan(MemoryPlan &, Backend, Mode);

  // Where the weights are: elements first..first+count−1; the moments too, one behind the other, where `moments` are
  // given; and where they go after a step.
  struct Weights {
    std::function<void(std::size_t first, std::size_t count, float *value)> read;
    std::function<void(std::size_t first, std::size_t count, float *moment1, float *moment2)> read_moments{};
    std::function<void(std::size_t first, std::size_t count, const float *value, const float *moment1,
                       const float *moment2)>
        write{};
  };
  void work_on(Weights weights) { weights_ = std::move(weights); }

  void forward(Stream &, const Parameters<float> &, float *y, const float *x, int rows) const;
  // dx written, by the weights as they were; step(value, moment1, moment2, gradient, n) moves a block of n; the bias'
  // gradient is added to.
  using Step = std::function<void(float *value, float *moment1, float *moment2, float *gradient, std::size_t n)>;
  void backward(Stream &, const Parameters<float> &, float *dx, const float *dy, const float *x, int rows,
                const Step &step) const;

private:
  // Blocks' numbers, of the even ones and of the odd: in host memory, and on the stream's device, where that is
  // another.
  struct Block {
    Tensor<float> value, moment1, moment2;
  };
  template <class F> void for_blocks(Stream &, bool trains, F f) const; // f(first row, rows, block on the device)

  int in_, out_, at_once_; // rows of w
  Arithmetic arithmetic_;
  std::size_t tensor_, bias_;
  Weights weights_;
  std::array<Block, 2> host_, device_;
  Tensor<float> gradient_;
};

} // namespace theta
