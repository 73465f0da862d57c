// A program's networks on a stream, with weights of their own.
#pragma once
#include "bound.h"
#include "engine/networks/layered_program.h"
#include "engine/weights/symmetry.h"
#include "engine/weights/unit_elements.h"

namespace theta::test {

template <class T> struct ProgramRun {
  ProgramRun(Stream &s, Program p, bool training, int networks, int rows) : program({}, std::move(p)) {
    program.plan(plan, training, networks, rows);
    plan.place();
    arena.emplace(s.device(), plan);
  }
  LayeredProgram<T> program;
  MemoryPlan plan{"test"};
  std::optional<Arena> arena;
};

inline std::vector<float> some_weights(const Layout &layout, int networks) {
  return random_values<float>(layout.size() * std::size_t(networks), 3, 0.4);
}

// Variances are above 0.
inline std::vector<float> as_state(std::vector<float> theta, const Layout &layout) {
  for (std::size_t i = 0; i < theta.size(); ++i)
    if (i % layout.size() >= layout.trained())
      theta[i] = std::abs(theta[i]) + 0.1f;
  return theta;
}

// The units of a group in another order.
inline std::vector<float> rotated(std::vector<float> theta, const Layout &layout, const UnitGroup &group) {
  std::vector<int> order;
  for (int u = 0; u < group.units; ++u)
    order.push_back((u + 2) % group.units);
  permute(theta.data(), elements_of(group, layout), order);
  return theta;
}

// The gradient of a weighted sum of outputs, beside its differences.
inline void check_program(Program p, int networks, int rows) {
  Stream s{Device{}};
  const std::size_t inputs = p.elements({0}), outputs = p.elements(p.result());
  ProgramRun<double> run(s, std::move(p), true, networks, rows);
  LayeredProgram<double> &of = run.program;
  std::vector<double> start;
  for (const float w : some_weights(of.layout(), networks))
    start.push_back(w);
  const Buffer<double> x(s, random_values<double>(std::size_t(networks * rows) * inputs, 1)), theta(s, start),
      gradient(s, std::vector<double>(start.size()));
  const auto weight_of = random_values<double>(std::size_t(networks * rows) * outputs, 2);
  const Buffer<double> d_out(s, weight_of);
  const auto loss = [&](const std::vector<double> &values) {
    const Buffer<double> moved(s, values);
    of.move_state_of(moved);
    const auto out = to_host(s, of.forward(s, moved, x), weight_of.size());
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
      sum += weight_of[i] * out[i];
    return sum;
  };
  of.move_state_of(theta);
  of.forward(s, theta, x);
  of.backward(s, theta, gradient, d_out, x);
  check_gradient(start, gradient.host(), loss);
}

} // namespace theta::test
