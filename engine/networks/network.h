// What the networks of a zoo are: their shape, and what it says of them. What differs from kind to kind is in the
// kinds' own rooms (kind.h).
#pragma once
#include "data/dataset.h"
#include "kernels/parts/activations.h"
#include "kernels/runs/cnn_layer.h"
#include "layout.h"
#include <optional>
#include <span>
#include <vector>

namespace theta {

class NetworkKind;
const NetworkKind *network_kind_named(std::string_view name); // throws InputError
const char *name_of(const NetworkKind *);
const NetworkKind *mlp_kind(); // a shape's, where it says no other

// pytorch: ±1/√in for weight and bias. he: ±√(6/in), xavier: ±√(6/(in + out)), with zero biases. siren (Sitzmann et
// al., 2020): ±1/in in the first layer, ±√(6/in)/omega in the others, biases as pytorch. in and out count the weights
// of an output and of an input.
enum class Initialisation { pytorch, he, xavier, siren };
Initialisation initialisation_named(std::string_view name); // throws InputError
const char *name_of(Initialisation);
std::span<const char *const> names_of_initialisations(); // of every value, in their order

struct NetworkShape {
  std::vector<int> widths; // inputs, hidden ..., outputs; of a cnn: what its linear layers give, the classes last
  Activation act = Activation::relu;
  Initialisation initialisation = Initialisation::pytorch;
  const NetworkKind *kind = mlp_kind();
  int octaves = 0;                      // field: x enters as x, sin(2^k·π·x), cos(2^k·π·x) for k < octaves
  int side = 0, channels = 1;           // of the images, where the kind has a place for every pixel
  std::vector<CnnLayer> convolutions{}; // cnn
  double omega = usual_omega;           // field: of sine
};

// In PyTorch's names, order and orientation. Throws InputError for a shape that cannot be: too few widths, a width
// below 1, an image that runs out.
Layout layout_of(const NetworkShape &);

// The same with hidden layers, and channels of convolutions, `factor` times as wide, rounded, one at least.
NetworkShape widened(NetworkShape, double factor);

int inputs_of(const NetworkShape &);  // pixels, or numbers that a point enters as
int outputs_of(const NetworkShape &); // classes, or values of a signal

// Throws InputError where the networks are not made for the data.
void check_fits(const NetworkShape &, const DatasetSizes &);

// For the metadata of files: JSON {"kind": "mlp", "widths": ..., "activation": ...}, and back; nothing for a kind that
// is not known. Throws InputError, naming `where`, where it does not say what it should.
std::string architecture_of(const NetworkShape &);
std::optional<NetworkShape> network_from(const std::string &architecture, const std::string &where);

} // namespace theta
