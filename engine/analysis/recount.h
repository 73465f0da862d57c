// What networks that nobody trained, generated or averaged ones, should normalise by: running statistics counted anew
// over training images, every batch of equal weight (Izmailov et al., 2018; PyTorch's update_bn).
#pragma once
#include "baselines.h"
#include "data/dataset.h"
#include "engine/networks/layered.h"

namespace theta {

// Whether networks of the shape have any.
bool has_statistics(const NetworkShape &);

class Recount {
public:
  // Over `batches` batches of `batch` images. Throws InputError where the networks have no statistics.
  Recount(const NetworkShape &, int batches, int batch);
  Recount(const Recount &) = delete;
  const MemoryPlan &plan() const { return plan_; }

  // The same networks with statistics of their own weights, on images drawn from the training part by `seed`: kept in
  // memory, [networks, V − trained], as long as the set lives. Nothing else of a network changes.
  NetworkSet of(NetworkSet, Device, const Dataset &, std::uint64_t seed);

private:
  std::shared_ptr<LayeredNetworks<float>> networks_;
  int batches_, batch_;
  MemoryPlan plan_{"eval.recount", "eval.recount"};
  Tensor<float> theta_, x_;    // [V], [batches, batch, inputs]
  Tensor<std::uint8_t> bytes_; // [batches, batch, inputs]
};

} // namespace theta
