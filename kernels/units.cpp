#include "units.h"
#include "parallel.h"
#include <algorithm>
#include <cmath>
#include <numbers>

namespace theta {

namespace cuda {
decltype(theta::balance_units<float>) balance_units;
decltype(theta::shuffle_units<float>) shuffle_units;
decltype(theta::gather_tokens<float>) gather_tokens;
decltype(theta::scatter_tokens<float>) scatter_tokens;
} // namespace cuda

PerceptronWidths PerceptronWidths::of(const std::vector<int> &widths) {
  if (widths.size() < 2 || widths.size() > most_layers + 1)
    throw InputError("perceptron: found ", widths.size(), " widths, expected 2 to ", most_layers + 1);
  PerceptronWidths w;
  w.layers = int(widths.size()) - 1;
  std::copy(widths.begin(), widths.end(), w.width);
  return w;
}

namespace {

// Takes half turns from a sine's bias; an odd number of them changes the sign of what leaves unit u.
template <class T> void take_half_turns(T &bias, T *next, int u, int units, int out) {
  const T turns = std::rint(bias * T(30 / std::numbers::pi));
  bias = T(double(bias) - double(turns) * std::numbers::pi / 30);
  if (std::remainder(turns, T(2)) != 0)
    for (int o = 0; o < out; ++o)
      next[std::size_t(o) * std::size_t(units) + std::size_t(u)] *= -1;
}

// The factor for what comes into unit u, whose inverse is for what leaves it.
template <class T>
double balancing(const T *weight, const T *bias, const T *next, int u, int in, int units, int out, UnitBalance kind) {
  const T *row = weight + std::size_t(u) * std::size_t(in);
  if (kind != UnitBalance::norms) {
    T largest = 0;
    for (int i = 0; i < in; ++i)
      largest = std::abs(row[i]) > std::abs(largest) ? row[i] : largest;
    largest = std::abs(bias[u]) > std::abs(largest) ? bias[u] : largest;
    return largest < 0 ? -1 : 1;
  }
  double incoming = double(bias[u]) * double(bias[u]), outgoing = 0;
  for (int i = 0; i < in; ++i)
    incoming += double(row[i]) * double(row[i]);
  for (int o = 0; o < out; ++o) {
    const auto w = double(next[std::size_t(o) * std::size_t(units) + std::size_t(u)]);
    outgoing += w * w;
  }
  return incoming > 0 && outgoing > 0 ? std::pow(outgoing / incoming, 0.25) : 1;
}

} // namespace

template <class T> void balance_units(Stream &s, T *theta, int networks, const PerceptronWidths &w, UnitBalance kind) {
  if (kind == UnitBalance::none)
    return;
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::balance_units(s, theta, networks, w, kind);
  const std::size_t v = w.parameters();
#pragma omp parallel for if (worth_threads(4 * double(networks) * double(v)))
  for (int n = 0; n < networks; ++n) {
    T *weight = theta + std::size_t(n) * v;
    for (int l = 0; l + 1 < w.layers; ++l) {
      const int in = w.width[l], units = w.width[l + 1], out = w.width[l + 2];
      T *bias = weight + std::size_t(in) * std::size_t(units), *next = bias + units;
      for (int u = 0; u < units; ++u) {
        if (kind == UnitBalance::phases)
          take_half_turns(bias[u], next, u, units, out);
        const double factor = balancing(weight, bias, next, u, in, units, out, kind);
        for (int i = 0; i < in; ++i)
          weight[std::size_t(u) * std::size_t(in) + std::size_t(i)] *= T(factor);
        bias[u] *= T(factor);
        for (int o = 0; o < out; ++o)
          next[std::size_t(o) * std::size_t(units) + std::size_t(u)] *= T(1 / factor);
      }
      weight = next;
    }
  }
}

namespace {
// Which unit takes a place, and what it is multiplied by.
struct Source {
  int unit;
  float factor;
};
} // namespace

template <class T>
void shuffle_units(Stream &s, T *to, const T *from, int networks, int pair, const PerceptronWidths &w,
                   const UnitFactors &f, const Draws &d) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::shuffle_units(s, to, from, networks, pair, w, f, d);
  const std::size_t v = w.parameters();
#pragma omp parallel for if (worth_threads(2 * double(networks) * double(v)))
  for (int n = 0; n < networks; ++n) {
    const T *read = from + std::size_t(n) * v;
    T *write = to + std::size_t(n) * v;
    const auto stream = d.first_stream + std::uint32_t(pair > 0 ? n % pair : n);
    std::vector<Source> columns;
    for (int i = 0; i < w.width[0]; ++i)
      columns.push_back({i, 1});
    for (int l = 0; l < w.layers; ++l) {
      const int in = w.width[l], out = w.width[l + 1];
      std::vector<Source> rows;
      const RandomOrder order(d.seed, d.purpose, stream, d.first_index + std::uint64_t(l) + 1, std::uint32_t(out));
      for (int o = 0; o < out; ++o)
        rows.push_back(l + 1 < w.layers
                           ? Source{int(order(std::uint32_t(o))), unit_factor(f, d, stream, l + 1, std::uint32_t(o))}
                           : Source{o, 1});
      for (const Source &row : rows)
        for (const Source &column : columns)
          *write++ =
              read[std::size_t(row.unit) * std::size_t(in) + std::size_t(column.unit)] * T(row.factor / column.factor);
      read += std::size_t(in) * std::size_t(out);
      for (const Source &row : rows)
        *write++ = read[row.unit] * T(row.factor);
      read += out, columns = std::move(rows);
    }
  }
}

template <class T>
void gather_tokens(Stream &s, T *tokens, const T *theta, const std::int32_t *place, const T *mean, const T *std,
                   int networks, int repeat, std::size_t parameters, std::size_t size) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::gather_tokens(s, tokens, theta, place, mean, std, networks, repeat, parameters, size);
#pragma omp parallel for if (worth_threads(double(networks) * repeat * double(size)))
  for (int r = 0; r < networks * repeat; ++r)
    for (std::size_t e = 0; e < size; ++e)
      tokens[std::size_t(r) * size + e] =
          place[e] < 0 ? T(0)
                       : (theta[std::size_t(r / repeat) * parameters + std::size_t(place[e])] - mean[e]) / std[e];
}

template <class T>
void scatter_tokens(Stream &s, T *theta, const T *tokens, const std::int32_t *place, const T *mean, const T *std,
                    int networks, std::size_t parameters, std::size_t size) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::scatter_tokens(s, theta, tokens, place, mean, std, networks, parameters, size);
#pragma omp parallel for if (worth_threads(double(networks) * double(size)))
  for (int r = 0; r < networks; ++r)
    for (std::size_t e = 0; e < size; ++e)
      if (place[e] >= 0)
        theta[std::size_t(r) * parameters + std::size_t(place[e])] =
            tokens[std::size_t(r) * size + e] * std[e] + mean[e];
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void balance_units(Stream &, T *, int, const PerceptronWidths &, UnitBalance);                              \
  template void shuffle_units(Stream &, T *, const T *, int, int, const PerceptronWidths &, const UnitFactors &,       \
                              const Draws &);                                                                          \
  template void gather_tokens(Stream &, T *, const T *, const std::int32_t *, const T *, const T *, int, int,          \
                              std::size_t, std::size_t);                                                               \
  template void scatter_tokens(Stream &, T *, const T *, const std::int32_t *, const T *, const T *, int, std::size_t, \
                               std::size_t);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
