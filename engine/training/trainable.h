// The flat vectors of one model in training: parameters, gradient, AdamW's moments, an optional moving average, and
// running statistics. They are planned, stepped, saved and loaded as one.
#pragma once
#include "engine/layers/parameters.h"
#include "engine/memory/plan.h"
#include "engine/networks/layout.h"
#include "kernels/operations/optimizer.h"
#include "state_file.h"
#include <map>

namespace theta {

class Trainable {
public:
  // `early`: tensors of the layout without room in the gradient (parameters.h). `keep_narrow`: the parameters are kept
  // as bf16 too, rounded from those of fp32 at every step (Parameters::narrow_value).
  Trainable(std::string name, const Layout &parameters, const Layout &buffers, bool keep_ema, EarlyTensors early = {},
            bool keep_narrow = false)
      : name_(std::move(name)), parameters_(&parameters), buffers_(&buffers), keep_ema_(keep_ema),
        keep_narrow_(keep_narrow), early_(std::move(early)) {}

  // `hint`: the settings that make the model smaller.
  void plan(MemoryPlan &, const std::string &hint = "");

  // Fresh initial values (PyTorch's defaults) of stream `stream`; moments zero.
  void initialise(Stream &, std::uint64_t seed, std::uint32_t stream);

  // `finish`: what moves early tensors, where there are any; it must live as long.
  Parameters<float> parameters(const FinishEarly<float> *finish = nullptr) const {
    return {value_, gradient_, buffer_, early_.empty() ? nullptr : &early_, nullptr, finish, narrow_};
  }
  std::size_t parameters_size() const { return parameters_->packed_size(); }

  // AdamW, clipped to `max_norm` where that is above 0; clears the gradient. Early tensors are not among what it moves:
  // step_early moves one of them by its gradient, and knows no clipping.
  void step(Stream &, Adam options, double max_norm);
  void step_early(Stream &, const TensorRange &, float *gradient, const Adam &options);

  // NAME.value, NAME.moment1, NAME.moment2, NAME.buffer, NAME.ema, packed (Layout::packed).
  void save(Stream &, std::vector<StateTensor> &) const;
  void load(Stream &, const SavedState &); // throws InputError where one is missing or of another size

  // What the model is: the average where one is kept, else the parameters; and the running statistics.
  std::vector<float> result(Stream &) const;
  // The same when training is over: what it took beside is given back first, where that is host memory too.
  std::vector<float> finish(Stream &);
  std::vector<float> buffers(Stream &) const;

private:
  struct Vector {
    float *values;
    const Layout *layout;
  };
  std::map<std::string, Vector> vectors() const;
  std::size_t gradient_size() const;
  void step(Stream &, const TensorRange &, float *gradient, const Adam &);
  void round(Stream &) const; // value to narrow
  std::string name_;
  const Layout *parameters_, *buffers_;
  bool keep_ema_, keep_narrow_;
  EarlyTensors early_;
  Tensor<float> value_, moment1_, moment2_, ema_; // [parameters]
  Tensor<float> gradient_;                        // [parameters less early tensors]
  Tensor<float> buffer_;                          // [buffers]
  Tensor<float> norm_, partials_;                 // [1], [partial_sums]
  Tensor<bf16> narrow_;                           // [parameters]
};

} // namespace theta
