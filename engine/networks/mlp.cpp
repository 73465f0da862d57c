// Perceptrons that tell images apart. Any depth: beyond what whole runs have, they go layer by layer.
#include "perceptron.h"

namespace theta {

namespace {

class MlpRuns : public WholeRuns {
public:
  MlpRuns(const NetworkShape &shape, int batch)
      : p_(mlp_training_of(shape, batch)), flops_(perceptron_program(shape).step_flops(batch)) {}

  bool fit(Backend backend) const override { return mlp_training_fits(backend, p_); }
  bool trains_forms(Backend backend) const override { return backend == Backend::cpu && p_.form.is_something(); }
  std::size_t workspace(Backend backend, int networks) const override {
    return mlp_training_workspace(backend, p_, networks);
  }
  double flops_of_a_step() const override { return flops_; }
  double bytes_of_a_step() const override { return double(p_.batch) * p_.widths[0]; }
  void train(Stream &s, const TrainingRuns<float> &runs, const Examples &examples, long first, long last,
             void *workspace) const override {
    train_mlps<float>(s, runs, examples.images, p_, first, last, workspace);
  }
  void evaluate(Stream &s, float *loss, std::uint32_t *wrong, float *logits, const float *theta, const Activation *act,
                const std::uint32_t *, int networks, const Examples &examples, void *workspace) const override {
    evaluate_mlps<float>(s, loss, wrong, logits, theta, act, networks, examples.images, p_, workspace);
  }

private:
  MlpTraining p_;
  double flops_;
};

class MlpKind : public NetworkKind {
public:
  const char *name() const override { return "mlp"; }
  Program program(const NetworkShape &shape) const override { return perceptron_program(shape); }
  // A chain of weights and biases that fit one another, whatever they are called.
  std::optional<Recognised> recognise(const std::vector<TensorShape> &tensors, std::string &why) const override {
    const auto order = chain_of_layers(tensors, why);
    if (!order)
      return {};
    Recognised found{{}, *order};
    found.shape.kind = this;
    for (std::size_t l = 0; l < order->size(); l += 2) {
      const Shape &weight = tensors[(*order)[l]].shape;
      if (l == 0)
        found.shape.widths.push_back(int(weight[1]));
      found.shape.widths.push_back(int(weight[0]));
    }
    return found;
  }
};

} // namespace

std::shared_ptr<const WholeRuns> perceptron_runs(const std::vector<int> &widths, Activation act,
                                                 const NetworkForm &form, int batch) {
  NetworkShape chain{widths, act};
  chain.form = form;
  return std::make_shared<MlpRuns>(chain, batch);
}

std::unique_ptr<const NetworkKind> make_mlp_kind() { return std::make_unique<MlpKind>(); }

} // namespace theta
