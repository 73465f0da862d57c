// Binds a model to memory for a test: its flat vectors, filled from golden tensors or from its own initial values.
#pragma once
#include "engine/layers/parameters.h"
#include "engine/memory/arena.h"
#include "engine/networks/layout.h"
#include "tests/check.h"
#include <functional>
#include <map>

namespace theta::test {

template <class T> struct Vectors {
  Buffer<T> value, gradient, buffer;
  Buffer<bf16> narrow_value;
  std::map<std::size_t, std::vector<T>> early_gradients;
  std::function<void(const TensorRange &, const T *)> keep;
  FinishEarly<T> take_early{keep};
  Vectors(Stream &s, const std::vector<T> &values, const std::vector<T> &buffers)
      : value(s, values), gradient(s, std::vector<T>(values.size())), buffer(s, buffers),
        narrow_value(s, narrowed<bf16>(values)), keep([this, &s](const TensorRange &tensor, const T *of) {
          early_gradients[tensor.offset] = to_host(s, of, tensor.size);
        }) {}
  Vectors(const Vectors &) = delete;
  // Early tensors' gradients are kept as they come.
  Parameters<T> parameters(const EarlyTensors &early = {}) const {
    return {value.get(), gradient.get(), buffer.get(),      early.empty() ? nullptr : &early,
            nullptr,     &take_early,    narrow_value.get()};
  }

  // And then the whole gradient in the layout's order.
  std::vector<T> all_gradients(const EarlyTensors &early) const {
    auto all = gradient.host();
    for (const TensorRange &tensor : early) {
      const auto &values = early_gradients.at(tensor.offset);
      all.insert(all.begin() + std::ptrdiff_t(tensor.offset), values.begin(), values.end());
    }
    all.resize(value.size());
    return all;
  }
};

// A flat vector gathered from the tensors PREFIX + name of a golden file.
template <class T> std::vector<T> flat(const Golden &golden, const Layout &layout, const std::string &prefix) {
  std::vector<T> all(layout.size());
  for (const auto &place : layout.places()) {
    CAPTURE(place.name);
    REQUIRE(golden.file().tensor(prefix + place.name).shape == place.shape);
    const auto values = golden.get<T>(prefix + place.name);
    std::copy(values.begin(), values.end(), all.begin() + std::ptrdiff_t(place.offset));
  }
  return all;
}

template <class T> std::vector<T> cast(const std::vector<float> &x) { return {x.begin(), x.end()}; }

// Compares found (flat) with golden PREFIX + name, tensor by tensor.
template <class T>
void check_tensors(const std::vector<T> &found, const Golden &golden, const Layout &layout, const std::string &prefix,
                   double tolerance) {
  for (const auto &place : layout.places()) {
    CAPTURE(place.name);
    const std::vector<T> part(found.begin() + std::ptrdiff_t(place.offset),
                              found.begin() + std::ptrdiff_t(place.offset + elements_of(place)));
    CHECK(relative_error(part, golden.get<T>(prefix + place.name)) <= tolerance);
  }
}

// Central differences in double, of `loss(values)` along random directions: compares with gradient·direction. The step
// is 1e-6 of unit-variance directions: truncation is about h²·|loss'''|, rounding about 1e-16·|loss|/h = 1e-10.
template <class F>
void check_gradient(const std::vector<double> &at, const std::vector<double> &gradient, F loss,
                    double tolerance = 1e-6) {
  constexpr double h = 1e-6;
  REQUIRE(at.size() == gradient.size());
  for (int trial = 0; trial < 8; ++trial) {
    const auto direction = random_values<double>(at.size(), 1000 + trial);
    auto plus = at, minus = at;
    double expected = 0, size = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      plus[i] += h * direction[i], minus[i] -= h * direction[i];
      expected += gradient[i] * direction[i], size += std::abs(gradient[i] * direction[i]);
    }
    const double found = (loss(plus) - loss(minus)) / (2 * h);
    CAPTURE(trial);
    CHECK(std::abs(found - expected) <= tolerance * size);
  }
}

} // namespace theta::test
