// Which architecture has such tensors, whatever they are called.
#pragma once
#include "network.h"

namespace theta {

struct TensorShape {
  std::string name;
  Shape shape;
};

// A shape, and which of the given tensors stands in each place of its layout.
struct Recognised {
  NetworkShape shape;
  std::vector<std::size_t> order;
  bool knows_activation = false; // the architecture has one activation
};

// Indices of tensors by name: pieces between dots and digits, numbers by value, weight before bias.
std::vector<std::size_t> order_of_names(const std::vector<TensorShape> &);

// Which tensors are those of the shape's layout, by their shapes: in the order of their names, or of the file, or where
// only one fits each place. Nothing where there are others, or too few; `why` then says what was expected where.
std::optional<std::vector<std::size_t>> matched(const NetworkShape &, const std::vector<TensorShape> &,
                                                std::string &why);

// Tensors of published architectures, by their names; what stands before all of them ("module.", "model.") is left out.
class TensorsByName {
public:
  // `one` ends the name of one of them.
  TensorsByName(const std::vector<TensorShape> &, const std::string &one);
  const Shape *find(const std::string &name) const; // null where there is none
  std::optional<Recognised> recognised_as(const NetworkShape &, std::string &why) const;

private:
  std::vector<TensorShape> tensors_;
};

// The first kind that knows the tensors. Activation and initialisation are not among what tensors tell. Nothing where
// no kind does; `why` then names the tensor that broke the chain.
std::optional<Recognised> recognised(const std::vector<TensorShape> &, std::string &why);

// A chain of layers, each a weight [out, in] and a bias [out], one taking what another gives: the tensors in the order
// of the chain, weight before bias.
std::optional<std::vector<std::size_t>> chain_of_layers(const std::vector<TensorShape> &, std::string &why);

// Whether two layouts are the same but for names.
bool same_shapes(const std::vector<TensorPlace> &, const std::vector<TensorPlace> &);

} // namespace theta
