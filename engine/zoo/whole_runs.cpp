#include "whole_runs.h"
#include <algorithm>

namespace theta {

namespace {

std::variant<MlpTraining, CnnTraining> training_of(const NetworkShape &shape, int batch) {
  layout_of(shape); // checks it
  if (shape.kind == NetworkKind::cnn)
    return cnn_training_of(shape, batch);
  MlpTraining p{.layers = int(shape.widths.size()) - 1, .widths = {}, .batch = batch};
  if (p.layers > most_mlp_layers)
    throw InputError("network.widths: found ", p.layers, " layers, expected at most ", most_mlp_layers);
  std::copy(shape.widths.begin(), shape.widths.end(), p.widths);
  return p;
}

// Calls f(shape) with the kind's own type of shape.
template <class... F> struct Either : F... { using F::operator()...; };
template <class... F> Either(F...) -> Either<F...>;

} // namespace

WholeRuns::WholeRuns(const NetworkShape &shape, int batch) : kind_(shape.kind), shape_(training_of(shape, batch)) {}

bool WholeRuns::fit(Backend backend) const {
  return std::visit(Either{[&](const MlpTraining &p) {
                             return kind_ == NetworkKind::field ? field_training_fits(backend, p)
                                                                : mlp_training_fits(backend, p);
                           },
                           [&](const CnnTraining &p) { return cnn_training_fits(backend, p); }},
                    shape_);
}

std::size_t WholeRuns::workspace(Backend backend, int networks) const {
  return std::visit(Either{[&](const MlpTraining &p) {
                             return kind_ == NetworkKind::field ? field_training_workspace(backend, p, networks)
                                                                : mlp_training_workspace(backend, p, networks);
                           },
                           [&](const CnnTraining &p) { return cnn_training_workspace(backend, p, networks); }},
                    shape_);
}

// Forward, the gradient of the weights, and of every layer's input but the first's.
double WholeRuns::flops_of_a_step() const {
  return std::visit(Either{[](const MlpTraining &p) {
                             double sum = 0;
                             for (int l = 0; l < p.layers; ++l)
                               sum += (l > 0 ? 6.0 : 4.0) * p.widths[l] * p.widths[l + 1];
                             return sum * p.batch;
                           },
                           [](const CnnTraining &p) {
                             double sum = 0;
                             for (int l = 0; l < p.layers; ++l)
                               sum += (l > 0 ? 6.0 : 4.0) * multiply_adds_of(p, l);
                             return sum * p.batch;
                           }},
                    shape_);
}

double WholeRuns::bytes_of_a_step() const {
  return std::visit(Either{[&](const MlpTraining &p) {
                             const bool field = kind_ == NetworkKind::field;
                             return double(p.batch) * (field ? 4.0 * p.widths[0] + p.widths[p.layers] : p.widths[0]);
                           },
                           [](const CnnTraining &p) { return double(p.batch) * p.in_size(0); }},
                    shape_);
}

void WholeRuns::train(Stream &s, const TrainingRuns<float> &runs, const Examples &examples, long first, long last,
                      void *workspace) const {
  std::visit(
      Either{[&](const MlpTraining &p) {
               if (kind_ == NetworkKind::field)
                 train_fields<float>(s, runs, examples.field, p, first, last, workspace);
               else
                 train_mlps<float>(s, runs, examples.images, p, first, last, workspace);
             },
             [&](const CnnTraining &p) { train_cnns<float>(s, runs, examples.images, p, first, last, workspace); }},
      shape_);
}

void WholeRuns::evaluate(Stream &s, float *loss, std::uint32_t *wrong, const float *theta, const Activation *act,
                         const std::uint32_t *signal, int networks, const Examples &examples, void *workspace) const {
  std::visit(Either{[&](const MlpTraining &p) {
                      if (kind_ == NetworkKind::field)
                        evaluate_fields<float>(s, loss, theta, act, signal, networks, examples.field, p, workspace);
                      else
                        evaluate_mlps<float>(s, loss, wrong, theta, act, networks, examples.images, p, workspace);
                    },
                    [&](const CnnTraining &p) {
                      evaluate_cnns<float>(s, loss, wrong, theta, act, networks, examples.images, p, workspace);
                    }},
             shape_);
}

TrainerKind trainer_for(Backend backend, const NetworkShape &shape, int batch) {
  const bool deep = shape.kind == NetworkKind::mlp && int(shape.widths.size()) - 1 > most_mlp_layers;
  if (!deep && WholeRuns(shape, batch).fit(backend))
    return TrainerKind::whole_runs;
  if (shape.kind != NetworkKind::mlp)
    throw InputError(
        "network: such a ", name_of(shape.kind), " of ", layout_of(shape).size(),
        " parameters does not fit into a multiprocessor's shared memory; a smaller one, or the cpu, can train it");
  return TrainerKind::layer_by_layer;
}

TrainerKind exact_evaluator_for(Backend backend, const NetworkShape &shape) {
  return backend == Backend::cuda && shape.kind == NetworkKind::mlp ? TrainerKind::layer_by_layer
                                                                    : trainer_for(backend, shape, 1);
}

} // namespace theta
