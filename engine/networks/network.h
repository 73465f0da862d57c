// What the networks of a zoo are: their shape, and the layout of their weights in PyTorch's names, order and
// orientation.
#pragma once
#include "data/dataset.h"
#include "engine/weights/layout.h"
#include "kernels/parts/activations.h"
#include "kernels/runs/cnn_training.h"
#include <optional>
#include <vector>

namespace theta {

// mlp: a classifier of images, nn.Sequential(Linear, act, Linear, act, ..., Linear): "0.weight" [out, in], "0.bias",
//   "2.weight", ...
// field: the same of a point's coordinates, with a signal's value there for its output (SIREN: Sitzmann et al., 2020).
// cnn: a classifier of convolutions ("conv1.weight" [out, in, kernel, kernel], "conv1.bias", ...), each with max
// pooling
//   and an activation, and linear layers ("fc1.weight" [out, in], ...): ModelZoos (Schürholt et al., 2022).
enum class NetworkKind { mlp, field, cnn };
NetworkKind network_kind_named(std::string_view name); // throws InputError
const char *name_of(NetworkKind);

// pytorch: ±1/√in for weight and bias. he: ±√(6/in), xavier: ±√(6/(in + out)), with zero biases. siren (Sitzmann et
// al., 2020): ±1/in in the first layer, ±√(6/in)/30 in the others, biases as pytorch. in and out count the weights of
// an output and of an input.
enum class Initialisation { pytorch, he, xavier, siren };
Initialisation initialisation_named(std::string_view name); // throws InputError
const char *name_of(Initialisation);

struct NetworkShape {
  std::vector<int> widths; // inputs, hidden ..., outputs; of a cnn: what its linear layers give, the classes last
  Activation act = Activation::relu;
  Initialisation initialisation = Initialisation::pytorch;
  NetworkKind kind = NetworkKind::mlp;
  int octaves = 0;                      // field: x enters as x, sin(2^k·π·x), cos(2^k·π·x) for k < octaves
  int side = 0;                         // cnn: of its images
  std::vector<CnnLayer> convolutions{}; // cnn
};

// Throws InputError for a shape that cannot be: too few widths, a width below 1, an image that runs out.
Layout layout_of(const NetworkShape &);

int inputs_of(const NetworkShape &);  // pixels, or numbers that a point enters as
int outputs_of(const NetworkShape &); // classes, or values of a signal
inline bool is_classifier(const NetworkShape &shape) { return shape.kind != NetworkKind::field; }

// As the operation that trains whole runs takes it. Throws InputError for more layers than it has.
CnnTraining cnn_training_of(const NetworkShape &, int batch);

// Throws InputError where the networks are not made for the data.
void check_fits(const NetworkShape &, const DatasetSizes &);

// For the metadata of files: JSON {"kind": "mlp", "widths": ..., "activation": ...}, and back; nothing for a kind that
// is not known. Throws InputError, naming `where`, where it does not say what it should.
std::string architecture_of(const NetworkShape &);
std::optional<NetworkShape> network_from(const std::string &architecture, const std::string &where);

} // namespace theta
