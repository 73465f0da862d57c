#include "perceptron.h"
#include "form.h"
#include <algorithm>

namespace theta {

Program perceptron_program(const NetworkShape &shape, double omega) {
  const std::size_t layers = shape.widths.size() - 1;
  if (shape.widths.size() < 2)
    throw InputError("network.widths: found ", shape.widths.size(),
                     " widths, expected inputs, hidden widths and outputs");
  check_width(shape.widths[0]);
  Program p("mlp", shape, omega);
  Value x = p.input({shape.widths[0]});
  for (std::size_t l = 0; l < layers; ++l)
    x = linear(p, text(2 * l), x, shape.widths[l + 1], l + 1 < layers ? shape.act : Activation::none);
  return p;
}

MlpTraining mlp_training_of(const NetworkShape &shape, int batch, double omega) {
  perceptron_program(shape, omega); // checks it
  MlpTraining p{.layers = int(shape.widths.size()) - 1, .widths = {}, .batch = batch, .omega = float(omega)};
  if (p.layers > most_mlp_layers)
    throw InputError("network.widths: found ", p.layers, " layers, expected at most ", most_mlp_layers);
  std::copy(shape.widths.begin(), shape.widths.end(), p.widths);
  if (const auto coded = coded_tensors(shape); !coded.empty()) {
    p.form.most = most_code(shape.form), p.form.block = coded.front().block;
    p.form.first = coded.front().scale, p.form.others = coded.back().scale;
    p.form.of_four = shape.form.kind == FormKind::two_of_four;
    p.form.prunes = shape.form.kind == FormKind::sparse || p.form.of_four;
  }
  return p;
}

} // namespace theta
