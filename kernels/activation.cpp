#include "activation.h"
#include "names.h"
#include "parallel.h"

namespace theta {

namespace cuda {
decltype(theta::bias_act_forward<float>) bias_act_forward;
decltype(theta::bias_act_backward<float>) bias_act_backward;
} // namespace cuda

namespace {
constexpr std::array names{"none", "relu", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh", "tanh", "sine"};
}

Activation activation_named(std::string_view name) { return value_named<Activation>(name, names, "activation"); }

const char *name_of(Activation act) { return names[std::size_t(act)]; }

template <class T> void bias_act_forward(Stream &s, T *y, const T *x, const T *bias, const BiasAct &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::bias_act_forward(s, y, x, bias, p);
#pragma omp parallel for collapse(2) if (worth_threads(double(p.groups) * p.rows * p.cols))
  for (int g = 0; g < p.groups; ++g)
    for (int r = 0; r < p.rows; ++r) {
      const std::size_t row = (std::size_t(g) * p.rows + r) * p.cols;
      for (int c = 0; c < p.cols; ++c)
        y[row + c] = activate(p.act, x[row + c] + bias[g * p.bias_stride + c]);
    }
}

template <class T>
void bias_act_backward(Stream &s, T *dx, T *dbias, const T *dy, const T *x, const T *bias, const BiasAct &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::bias_act_backward(s, dx, dbias, dy, x, bias, p);
#pragma omp parallel for if (worth_threads(double(p.groups) * p.rows * p.cols))
  for (int g = 0; g < p.groups; ++g) {
    const T *b = bias + g * p.bias_stride;
    T *db = dbias + g * p.bias_stride;
    for (int r = 0; r < p.rows; ++r) {
      const std::size_t row = (std::size_t(g) * p.rows + r) * p.cols;
      for (int c = 0; c < p.cols; ++c) {
        dx[row + c] = dy[row + c] * activation_slope(p.act, x[row + c] + b[c]);
        db[c] += dx[row + c];
      }
    }
  }
}

template void bias_act_forward(Stream &, float *, const float *, const float *, const BiasAct &);
template void bias_act_forward(Stream &, double *, const double *, const double *, const BiasAct &);
template void bias_act_backward(Stream &, float *, float *, const float *, const float *, const float *,
                                const BiasAct &);
template void bias_act_backward(Stream &, double *, double *, const double *, const double *, const double *,
                                const BiasAct &);

} // namespace theta
