#include "network.h"
#include "data/json.h"
#include "kernels/device/names.h"
#include <algorithm>
#include <array>
#include <cmath>

namespace theta {

namespace {
constexpr std::array kind_names{"mlp", "field", "cnn"};
constexpr std::array initialisation_names{"pytorch", "he", "xavier", "siren"};

// Adds a layer of `out` outputs with `in` weights each; an input has `of_an_input` weights.
void add_layer(Layout &layout, const std::string &name, Shape weight_shape, int in, int of_an_input, bool first,
               Initialisation initialisation) {
  Start weight = default_start(in), bias = weight;
  switch (initialisation) {
  case Initialisation::pytorch:
    break;
  case Initialisation::he:
  case Initialisation::xavier:
    weight.bound = std::sqrt(6.0 / (initialisation == Initialisation::he ? in : in + of_an_input)), bias.bound = 0;
    break;
  case Initialisation::siren:
    weight.bound = first ? 1.0 / in : std::sqrt(6.0 / in) / 30;
    break;
  }
  const std::int64_t out = weight_shape[0];
  layout.add(name + ".weight", std::move(weight_shape), weight);
  layout.add(name + ".bias", {out}, bias);
}

void check_width(int width) {
  if (width < 1)
    throw InputError("network.widths: found a width of ", width, ", expected at least 1");
}

Layout cnn_layout(const NetworkShape &shape) {
  const CnnTraining p = cnn_training_of(shape, 1);
  Layout layout;
  for (int l = 0; l < p.layers; ++l) {
    const CnnLayer &layer = p.layer[l];
    const std::int64_t out = layer.channels, in = p.in_channels(l), kernel = layer.kernel;
    const bool linear = l >= int(shape.convolutions.size());
    add_layer(layout, linear ? text("fc", l + 1 - int(shape.convolutions.size())) : text("conv", l + 1),
              linear ? Shape{out, p.in_size(l)} : Shape{out, in, kernel, kernel}, p.taps(l),
              linear ? layer.channels : int(out * kernel * kernel), l == 0, shape.initialisation);
  }
  return layout;
}

} // namespace

NetworkKind network_kind_named(std::string_view name) { return value_named<NetworkKind>(name, kind_names, "kind"); }
const char *name_of(NetworkKind kind) { return kind_names[std::size_t(kind)]; }

Initialisation initialisation_named(std::string_view name) {
  return value_named<Initialisation>(name, initialisation_names, "initialisation");
}
const char *name_of(Initialisation i) { return initialisation_names[std::size_t(i)]; }

Layout layout_of(const NetworkShape &shape) {
  if (shape.kind == NetworkKind::cnn)
    return cnn_layout(shape);
  if (shape.widths.size() < 2)
    throw InputError("network.widths: found ", shape.widths.size(),
                     " widths, expected inputs, hidden widths and outputs");
  Layout layout;
  for (std::size_t l = 0; l + 1 < shape.widths.size(); ++l) {
    const int in = shape.widths[l], out = shape.widths[l + 1];
    check_width(in), check_width(out);
    add_layer(layout, text(2 * l), {out, in}, in, out, l == 0, shape.initialisation);
  }
  return layout;
}

int inputs_of(const NetworkShape &shape) {
  return shape.kind == NetworkKind::cnn ? shape.side * shape.side : shape.widths.front();
}
int outputs_of(const NetworkShape &shape) { return shape.widths.back(); }

CnnTraining cnn_training_of(const NetworkShape &shape, int batch) {
  CnnTraining p{.channels = 1, .side = shape.side, .layers = 0, .layer = {}, .batch = batch};
  if (shape.widths.empty() || shape.convolutions.size() + shape.widths.size() > most_cnn_layers)
    throw InputError("network: found ", shape.convolutions.size(), " convolutions and ", shape.widths.size(),
                     " linear layers, expected at least one linear layer and ", most_cnn_layers, " layers at most");
  const auto add = [&](const CnnLayer &layer, const char *what) {
    check_width(layer.channels);
    const int side = p.in_side(p.layers);
    if (layer.kernel < 1 || (layer.pool != 1 && layer.pool != 2) || (side - layer.kernel + 1) / layer.pool < 1)
      throw InputError("network: ", what, ' ', p.layers + 1, ": a kernel of ", layer.kernel, " and pooling by ",
                       layer.pool, " leave nothing of an image of side ", side);
    p.layer[p.layers++] = layer;
  };
  for (const CnnLayer &layer : shape.convolutions)
    add(layer, "convolution");
  for (const int width : shape.widths)
    add({width, p.in_side(p.layers), 1}, "layer");
  return p;
}

void check_fits(const NetworkShape &shape, const DatasetSizes &sizes) {
  if (!is_classifier(shape)) {
    const int inputs = sizes.dimensions * (1 + 2 * shape.octaves);
    if (shape.widths.front() != inputs || shape.widths.back() != 1)
      throw InputError("network.widths: found ", shape.widths.front(), " inputs and ", shape.widths.back(),
                       " outputs, expected ", inputs, " for ", sizes.dimensions, " coordinates with ", shape.octaves,
                       " octaves, and 1");
    return;
  }
  if (sizes.dimensions != 2)
    throw InputError("network.kind: found ", name_of(shape.kind), ", expected field: the data are not images");
  if (inputs_of(shape) != sizes.pixels || outputs_of(shape) != sizes.classes)
    throw InputError("network.widths: found ", inputs_of(shape), " inputs and ", outputs_of(shape),
                     " outputs, but the data has ", sizes.pixels, " pixels and ", sizes.classes, " classes");
}

std::string architecture_of(const NetworkShape &shape) {
  Json j{{"kind", name_of(shape.kind)}, {"widths", shape.widths}, {"activation", name_of(shape.act)}};
  if (shape.kind == NetworkKind::field)
    j["octaves"] = shape.octaves;
  if (shape.kind == NetworkKind::cnn) {
    j["side"] = shape.side, j["convolutions"] = Json::array();
    for (const CnnLayer &c : shape.convolutions)
      j["convolutions"].push_back({{"channels", c.channels}, {"kernel", c.kernel}, {"pool", c.pool}});
  }
  return j.dump();
}

std::optional<NetworkShape> network_from(const std::string &architecture, const std::string &where) {
  const Json j = parse_json(architecture, where);
  try {
    const std::string kind = j.value("kind", "");
    if (std::find(kind_names.begin(), kind_names.end(), kind) == kind_names.end())
      return {};
    NetworkShape shape{j.at("widths").get<std::vector<int>>(), activation_named(j.at("activation").get<std::string>())};
    shape.kind = network_kind_named(kind), shape.octaves = j.value("octaves", 0), shape.side = j.value("side", 0);
    for (const Json &c : j.value("convolutions", Json::array()))
      shape.convolutions.push_back({c.at("channels").get<int>(), c.at("kernel").get<int>(), c.at("pool").get<int>()});
    return shape;
  } catch (const Json::exception &e) {
    throw InputError(where, ": architecture: ", e.what());
  }
}

} // namespace theta
