#include "codes.h"
#include "kernels/device/parallel.h"
#include "kernels/device/trace.h"
#include <algorithm>

namespace theta {

namespace cuda {
decltype(theta::round_to_codes<float>) round_to_codes;
decltype(theta::keep_largest<float>) keep_largest;
decltype(theta::keep_two_of_four<float>) keep_two_of_four;
decltype(theta::hold_zeros<float>) hold_zeros;
} // namespace cuda

namespace {

// theta[at] and its moments become zero.
template <class T> void clear(std::size_t at, T *theta, T *moment1, T *moment2) {
  for (T *of : {theta, moment1, moment2})
    if (of)
      of[at] = 0;
}

double all_elements(const std::vector<CodedTensor> &tensors, int networks) {
  double n = 0;
  for (const CodedTensor &t : tensors)
    n += double(t.elements()) * networks;
  return n;
}

} // namespace

template <class T>
void round_to_codes(Stream &s, T *rounded, const T *theta, int networks, std::size_t parameters,
                    const std::vector<CodedTensor> &tensors, int most) {
  const double n = all_elements(tensors, networks);
  const Span span(s, "round_to_codes", 3 * sizeof(T) * n);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::round_to_codes(s, rounded, theta, networks, parameters, tensors, most);
  parallel_for(networks, n, [&](int i) {
    const T *from = theta + std::size_t(i) * parameters;
    T *to = rounded + std::size_t(i) * parameters;
    std::copy_n(from, parameters, to);
    for (const CodedTensor &tensor : tensors)
      for (std::size_t g = 0; g < tensor.groups(); ++g) {
        const auto group = tensor.group(g);
        T sum = 0, largest = 0;
        for (std::size_t k = 0; k < group.count; ++k) {
          const T a = std::abs(from[group.at(k)]);
          sum += a, largest = std::max(largest, a);
        }
        const T scale = code_scale(most, sum, largest, group.count);
        for (std::size_t k = 0; k < group.count; ++k)
          to[group.at(k)] = nearest_coded(from[group.at(k)], scale, most);
      }
  });
}

template <class T>
void keep_largest(Stream &s, T *theta, T *moment1, T *moment2, int networks, std::size_t parameters,
                  const std::vector<CodedTensor> &tensors, std::size_t keep) {
  const double n = all_elements(tensors, networks);
  const Span span(s, "keep_largest", 2 * sizeof(T) * n);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::keep_largest(s, theta, moment1, moment2, networks, parameters, tensors, keep);
  parallel_for(networks, n, [&](int i) {
    const std::size_t base = std::size_t(i) * parameters;
    std::vector<std::pair<T, std::size_t>> order; // −magnitude, place: of equal ones the first come first
    for (const CodedTensor &t : tensors)
      for (std::size_t at = base + t.offset; at < base + t.offset + t.elements(); ++at)
        order.push_back({-std::abs(theta[at]), at});
    if (keep >= order.size())
      return;
    std::nth_element(order.begin(), order.begin() + std::ptrdiff_t(keep), order.end());
    for (auto one = order.begin() + std::ptrdiff_t(keep); one != order.end(); ++one)
      clear(one->second, theta, moment1, moment2);
  });
}

template <class T>
void keep_two_of_four(Stream &s, T *theta, T *moment1, T *moment2, int networks, std::size_t parameters,
                      const std::vector<CodedTensor> &tensors) {
  const double n = all_elements(tensors, networks);
  const Span span(s, "keep_two_of_four", 4 * sizeof(T) * n);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::keep_two_of_four(s, theta, moment1, moment2, networks, parameters, tensors);
  parallel_for(networks, n, [&](int i) {
    for (const CodedTensor &t : tensors)
      for (std::size_t four = 0; four < std::size_t(t.out) * t.fours(); ++four) {
        const std::size_t first = std::size_t(i) * parameters + t.four(four);
        const int count = t.in_four(four);
        bool stays[4];
        for (int k = 0; k < count; ++k)
          stays[k] = larger_before(theta + first, k, count) < 2;
        for (int k = 0; k < count; ++k)
          if (!stays[k])
            clear(first + std::size_t(k), theta, moment1, moment2);
      }
  });
}

template <class T>
void hold_zeros(Stream &s, T *gradient, const T *theta, int networks, std::size_t parameters,
                const std::vector<CodedTensor> &tensors) {
  const double n = all_elements(tensors, networks);
  const Span span(s, "hold_zeros", 2 * sizeof(T) * n);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::hold_zeros(s, gradient, theta, networks, parameters, tensors);
  parallel_for(networks, n, [&](int i) {
    for (const CodedTensor &t : tensors)
      for (std::size_t k = 0, at = std::size_t(i) * parameters + t.offset; k < t.elements(); ++k, ++at)
        if (theta[at] == 0)
          gradient[at] = 0;
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void round_to_codes(Stream &, T *, const T *, int, std::size_t, const std::vector<CodedTensor> &, int);     \
  template void keep_largest(Stream &, T *, T *, T *, int, std::size_t, const std::vector<CodedTensor> &,              \
                             std::size_t);                                                                             \
  template void keep_two_of_four(Stream &, T *, T *, T *, int, std::size_t, const std::vector<CodedTensor> &);         \
  template void hold_zeros(Stream &, T *, const T *, int, std::size_t, const std::vector<CodedTensor> &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
