// A bias and the element-wise non-linearity that follows it.
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"
#include "kernels/parts/activations.h"

namespace theta {

// A matrix of `rows` x `cols` for each of `groups` networks; the bias of group g starts at bias + g * bias_stride.
struct BiasAct {
  int groups, rows, cols;
  std::size_t bias_stride = 0;
  Activation act = Activation::none;
  float omega = usual_omega; // of sine
};

// y = act(x + bias).   y, x [groups, rows, cols]; bias [groups][cols] or null; y may be x. T is float or bf16, double
// on the cpu; sums of bf16 are fp32. Bytes: 2·groups·rows·cols·sizeof(T) and the biases. One thread four elements.
template <class T> void bias_act_forward(Stream &, T *y, const T *x, const T *bias, const BiasAct &);

// dx = dy · act'(x + bias), written; dbias[g][c] += Σ_rows dx.   dx, dy, x as above; dx may be dy.
// Bytes: 3·groups·rows·cols·sizeof(T) and the biases. One block for 32 columns of a group: its warps walk down the rows
// and meet in shared memory, so that the sum has one order.
template <class T>
void bias_act_backward(Stream &, T *dx, Wide<T> *dbias, const T *dy, const T *x, const T *bias, const BiasAct &);

} // namespace theta
