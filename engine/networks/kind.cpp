#include "kind.h"
#include "data/json.h"
#include "layered_program.h"
#include "perceptron.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {

NetworkKinds &kinds() {
  static NetworkKinds all = [] {
    NetworkKinds made;
    made.push_back(make_mlp_kind());
    made.push_back(make_field_kind());
    made.push_back(make_cnn_kind());
    made.push_back(make_pixel_kind());
    made.push_back(make_resnet_kind());
    made.push_back(make_vit_kind());
    made.push_back(make_convnext_kind());
    made.push_back(make_gpt_kind());
    made.push_back(make_subset_kind());
    made.push_back(make_coded_kind());
    return made;
  }();
  return all;
}

} // namespace

const NetworkKinds &network_kinds() { return kinds(); }

bool add_network_kind(std::unique_ptr<const NetworkKind> kind) {
  kinds().push_back(std::move(kind));
  return true;
}

const NetworkKind *network_kind_named(std::string_view name) {
  std::string known;
  for (std::size_t i = 0; i < kinds().size(); ++i) {
    if (name == kinds()[i]->name())
      return kinds()[i].get();
    known += text(i == 0 ? "" : i + 1 == kinds().size() ? " or " : ", ", kinds()[i]->name());
  }
  throw InputError("kind: found '", name, "', expected ", known);
}

const char *name_of(const NetworkKind *kind) { return kind->name(); }
const NetworkKind *mlp_kind() { return kinds().front().get(); }

Program NetworkKind::program(const NetworkShape &) const {
  throw Error("network.kind: ", name(), " says nothing of what its networks compute");
}

void NetworkKind::for_hidden_widths(NetworkShape &shape, const std::function<void(int &)> &f) const {
  for (std::size_t i = 1; i + 1 < shape.widths.size(); ++i)
    f(shape.widths[i]);
}

int NetworkKind::inputs(const NetworkShape &shape) const { return int(program(shape).elements({0})); }
int NetworkKind::outputs(const NetworkShape &shape) const {
  const Program p = program(shape);
  return int(p.elements(p.result()));
}

std::shared_ptr<const WholeRuns> NetworkKind::whole_runs(const NetworkShape &shape, int batch) const {
  const Program p = program(shape);
  const auto widths = p.chain(shape.act);
  const bool is_perceptron = !widths.empty() && int(widths.size()) <= most_mlp_layers + 1;
  return is_perceptron ? perceptron_runs(widths, shape.act, shape.form, batch) : nullptr;
}

namespace {

template <class T> std::shared_ptr<LayeredNetworks<T>> layered_of(const NetworkShape &shape, const NetworkKind &kind) {
  Program p = kind.program(shape);
  return LayeredProgram<T>::can(p) ? std::make_shared<LayeredProgram<T>>(shape, std::move(p)) : nullptr;
}

} // namespace

std::shared_ptr<LayeredNetworks<float>> NetworkKind::layered(const NetworkShape &shape) const {
  return layered_of<float>(shape, *this);
}
std::shared_ptr<LayeredNetworks<double>> NetworkKind::layered_exactly(const NetworkShape &shape) const {
  return layered_of<double>(shape, *this);
}

std::optional<Recognised> NetworkKind::recognise(const std::vector<TensorShape> &, std::string &) const { return {}; }

void NetworkKind::check_fits(const NetworkShape &shape, const DatasetSizes &sizes) const {
  if (sizes.dimensions != 2)
    throw InputError("network.kind: found ", name(), ", expected field: the data are not images");
  if (inputs(shape) != sizes.values() || outputs(shape) != sizes.classes)
    throw InputError("network.widths: found ", inputs(shape), " inputs and ", outputs(shape),
                     " outputs, but the data has ", sizes.values(), " pixels and ", sizes.classes, " classes");
}

void add_layer(Layout &layout, const std::string &name, Shape weight_shape, int in, int of_an_input, bool first,
               Initialisation initialisation, double omega, bool has_bias) {
  Start weight = default_start(in), bias = weight;
  switch (initialisation) {
  case Initialisation::pytorch:
    break;
  case Initialisation::he:
  case Initialisation::xavier:
    weight.bound = std::sqrt(6.0 / (initialisation == Initialisation::he ? in : in + of_an_input)), bias.bound = 0;
    break;
  case Initialisation::siren:
    weight.bound = first ? 1.0 / in : std::sqrt(6.0 / in) / omega;
    break;
  }
  const std::int64_t out = weight_shape[0];
  layout.add(name + ".weight", std::move(weight_shape), weight);
  if (has_bias)
    layout.add(name + ".bias", {out}, bias);
}

void check_width(int width) {
  if (width < 1)
    throw InputError("network.widths: found a width of ", width, ", expected at least 1");
}

} // namespace theta
