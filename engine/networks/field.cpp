// Fields: perceptrons of a point's coordinates, with a signal's value there for their output (SIREN: Sitzmann et al.,
// 2020; occupancies with octaves: Mildenhall et al., "NeRF", 2020).
#include "field.h"
#include "data/json.h"
#include "kernels/runs/field_training.h"
#include "perceptron.h"
#include <cmath>
#include <numbers>

namespace theta {

namespace {

double omega_of(const NetworkShape &shape) { return shape.as<FieldSettings>().omega; }
Program field_program(const NetworkShape &shape) { return perceptron_program(shape, omega_of(shape)); }

class FieldRuns : public WholeRuns {
public:
  FieldRuns(const NetworkShape &shape, int batch)
      : p_(mlp_training_of(shape, batch, omega_of(shape))), flops_(field_program(shape).step_flops(batch)) {}

  bool fit(Backend backend) const override { return field_training_fits(backend, p_); }
  std::size_t workspace(Backend backend, int networks) const override {
    return field_training_workspace(backend, p_, networks);
  }
  double flops_of_a_step() const override { return flops_; }
  double bytes_of_a_step() const override { return double(p_.batch) * (4.0 * p_.widths[0] + p_.widths[p_.layers]); }
  void train(Stream &s, const TrainingRuns<float> &runs, const Examples &examples, long first, long last,
             void *workspace) const override {
    train_fields<float>(s, runs, examples.field, p_, first, last, workspace);
  }
  void evaluate(Stream &s, float *loss, std::uint32_t *, float *, const float *theta, const Activation *act,
                const std::uint32_t *signal, int networks, const Examples &examples, void *workspace) const override {
    evaluate_fields<float>(s, loss, theta, act, signal, networks, examples.field, p_, workspace);
  }

private:
  MlpTraining p_;
  double flops_;
};

class FieldKind : public NetworkKind {
public:
  const char *name() const override { return "field"; }
  const char *learns(const NetworkShape &) const override { return "signals"; }
  void describe(Keys &keys, NetworkShape &shape) const override {
    auto &own = shape.as<FieldSettings>();
    keys(
        {"octaves", "field: each coordinate enters as itself and as sines and cosines of 2^k·π times it, k below this"},
        own.octaves, Limits{0, 16});
    keys({"omega", "field: frequency of sine units: sin(omega·x)"}, own.omega, Limits{0.01, 1000});
  }
  void check_unused(const NetworkShape &shape) const override {
    if (octaves_of(shape) > 0)
      throw InputError("network.octaves: found ", octaves_of(shape), ", expected 0 but with kind = \"field\"");
    if (omega_of(shape) != usual_omega)
      throw InputError("network.omega: found ", omega_of(shape), ", expected ", usual_omega,
                       " but with kind = \"field\"");
  }
  Program program(const NetworkShape &shape) const override { return field_program(shape); }
  void check_fits(const NetworkShape &shape, const DatasetSizes &sizes) const override {
    const int inputs = field_inputs(sizes.dimensions, octaves_of(shape));
    if (shape.widths.front() != inputs || shape.widths.back() != sizes.channels)
      throw InputError("network.widths: found ", shape.widths.front(), " inputs and ", shape.widths.back(),
                       " outputs, expected ", inputs, " for ", sizes.dimensions, " coordinates with ",
                       octaves_of(shape), " octaves, and ", sizes.channels);
  }
  std::shared_ptr<const WholeRuns> whole_runs(const NetworkShape &shape, int batch) const override {
    if (int(shape.widths.size()) - 1 > most_mlp_layers)
      return nullptr;
    return std::make_shared<FieldRuns>(shape, batch);
  }
  void write(Json &to, const NetworkShape &shape) const override {
    to["octaves"] = octaves_of(shape);
    if (omega_of(shape) != usual_omega)
      to["omega"] = omega_of(shape);
  }
  void read(const Json &from, NetworkShape &shape) const override {
    shape.own = FieldSettings{from.value("octaves", 0), from.value("omega", double(usual_omega))};
  }
};

} // namespace

std::vector<float> encoded(const std::vector<float> &points, int octaves) {
  std::vector<float> all;
  for (const float x : points) {
    all.push_back(x);
    for (int k = 0; k < octaves; ++k) {
      const double angle = std::ldexp(std::numbers::pi, k) * double(x);
      all.push_back(float(std::sin(angle))), all.push_back(float(std::cos(angle)));
    }
  }
  return all;
}

std::unique_ptr<const NetworkKind> make_field_kind() { return std::make_unique<FieldKind>(); }

} // namespace theta
