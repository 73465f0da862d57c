// N networks of one shape that go through their layers side by side, one operation after another. Network i is row i of
// theta [N, V].
#pragma once
#include "engine/memory/plan.h"
#include "kernels/device/arithmetic.h"
#include "kernels/device/device.h"
#include "network.h"

namespace theta {

template <class T> class LayeredNetworks {
public:
  virtual ~LayeredNetworks() = default;
  virtual const NetworkShape &shape() const = 0;
  virtual const Layout &layout() const = 0;
  virtual double step_flops(int batch) const = 0; // of one network's training step

  // How products are computed from here on (Gemm, Conv2d): at first in fp32.
  virtual void multiply_in(Arithmetic) = 0;

  // Rehearses a training step (forward, backward) or inference of `networks` networks on `batch` rows each.
  virtual void plan(MemoryPlan &, bool training, int networks, int batch) = 0;

  // Where forward moves the networks' state (Layout::trained) in training, and by how much of the way to that of a batch:
  // theta, [networks, V]. Needed where they have any.
  virtual void move_state_of(T *, double momentum = 0.1) = 0;
  // x [networks, batch, inputs] -> outputs [networks, batch, outputs]. Keeps what backward needs.
  virtual T *forward(Stream &, const T *theta, const T *x) = 0;
  // gradient [N, V] is added to; d_out [networks, batch, outputs] is the gradient of the losses (it may be the
  // outputs).
  virtual void backward(Stream &, const T *theta, T *gradient, const T *d_out, const T *x) = 0;

  // Inference of `networks` networks (at most as many as planned) on the same x [rows, inputs], rows <= batch:
  // outputs [networks, rows, outputs].
  virtual T *infer(Stream &, const T *theta, const T *x, int networks, int rows) = 0;
};

} // namespace theta
