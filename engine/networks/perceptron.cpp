#include "perceptron.h"
#include <algorithm>

namespace theta {

Layout perceptron_layout(const NetworkShape &shape) {
  if (shape.widths.size() < 2)
    throw InputError("network.widths: found ", shape.widths.size(),
                     " widths, expected inputs, hidden widths and outputs");
  Layout layout;
  for (std::size_t l = 0; l + 1 < shape.widths.size(); ++l) {
    const int in = shape.widths[l], out = shape.widths[l + 1];
    check_width(in), check_width(out);
    add_layer(layout, text(2 * l), {out, in}, in, out, l == 0, shape.initialisation, shape.omega);
  }
  return layout;
}

Symmetries perceptron_symmetries(const NetworkShape &shape) {
  Symmetries groups;
  for (std::size_t l = 0; l + 2 < shape.widths.size(); ++l)
    groups.push_back({shape.widths[l + 1],
                      {{UnitAxis::Role::bias, 2 * l + 1, 0},
                       {UnitAxis::Role::incoming, 2 * l, 0},
                       {UnitAxis::Role::outgoing, 2 * l + 2, 1}}});
  return groups;
}

MlpTraining mlp_training_of(const NetworkShape &shape, int batch) {
  perceptron_layout(shape); // checks it
  MlpTraining p{.layers = int(shape.widths.size()) - 1, .widths = {}, .batch = batch, .omega = float(shape.omega)};
  if (p.layers > most_mlp_layers)
    throw InputError("network.widths: found ", p.layers, " layers, expected at most ", most_mlp_layers);
  std::copy(shape.widths.begin(), shape.widths.end(), p.widths);
  return p;
}

double perceptron_flops(const MlpTraining &p) {
  double sum = 0;
  for (int l = 0; l < p.layers; ++l)
    sum += (l > 0 ? 6.0 : 4.0) * p.widths[l] * p.widths[l + 1];
  return sum * p.batch;
}

} // namespace theta
