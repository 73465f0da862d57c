// What the networks of a zoo are: their shape, and what it says of them. What differs from kind to kind is in the
// kinds' own rooms (kind.h).
#pragma once
#include "data/dataset.h"
#include "kernels/parts/activations.h"
#include "layout.h"
#include <any>
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

// In what form networks run (form.h), what codes share a scale, and of sparse ones the share of zeros.
enum class FormKind { floats, int8, int4, ternary, sparse, two_of_four };
enum class FormScale { unit, block, tensor };
FormKind form_named(std::string_view name);        // throws InputError
FormScale form_scale_named(std::string_view name); // throws InputError
struct NetworkForm {
  FormKind kind = FormKind::floats;
  FormScale scale = FormScale::unit;
  double zeros = 0.8;
};

struct NetworkShape {
  std::vector<int> widths; // inputs, hidden ..., outputs; what they are is the kind's to say
  Activation act = Activation::relu;
  Initialisation initialisation = Initialisation::pytorch;
  const NetworkKind *kind = mlp_kind();
  std::any own{}; // what only networks of this kind have: FieldSettings (field.h), CnnSettings (cnn.h)
  NetworkForm form{};

  // As an S, which is as it usually is where nothing has been set.
  template <class S> const S &as() const {
    static const S usual;
    const S *set = std::any_cast<S>(&own);
    return set ? *set : usual;
  }
  template <class S> S &as() {
    if (!std::any_cast<S>(&own))
      own = S{};
    return *std::any_cast<S>(&own);
  }
};

// In PyTorch's names, order and orientation. Throws InputError for a shape that cannot be: too few widths, a width
// below 1, an image that runs out.
Layout layout_of(const NetworkShape &);

// The same with hidden layers (and channels) `factor` times as wide, rounded, one at least.
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
