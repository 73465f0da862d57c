// What a generator must know of the networks that it learns.
#pragma once
#include "data/zoo_format.h"
#include "engine/networks/network.h"

namespace theta {

struct NetworkFacts {
  std::vector<TensorPlace> layout;
  std::optional<NetworkShape> shape; // none: an architecture that theta does not know
  std::size_t parameters() const { return layout.back().offset + elements_of(layout.back()); } // V
};

// Names of tensors are free. Throws InputError where the architecture is not that of the layout.
NetworkFacts network_facts(const ZooFormat &, const std::string &where);

} // namespace theta
