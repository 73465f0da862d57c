// What may be exchanged in a network without a change of its function, as data: groups of units (hidden units,
// channels, streams, heads), and for each the axes of tensors along which its units lie. All axes of a group move by one
// permutation.
#pragma once
#include "layout.h"

namespace theta {

// An axis of a tensor of the layout. `run` neighbours of the axis are one unit's: the positions of a channel, where a
// linear layer reads an image that was laid flat.
struct UnitAxis {
  enum class Role { incoming, bias, outgoing } role; // what the tensor is to the units
  std::size_t tensor;                                // index in the layout
  int axis;
  int run = 1;
};

struct UnitGroup {
  int units;
  std::vector<UnitAxis> axes;
  // Elements of a head, where the units are heads of attention: an axis has queries, keys and values of all heads, or what
  // comes of them. Within each head those of queries and keys may be exchanged together, and those of values and what
  // comes of them (unit_elements.h).
  int head = 0;
  bool turned =
      false; // heads whose queries and keys are turned by their places: within a head these stay where they are
  bool pooled = false; // by their maximum, before anything reads them: their sign is not free
  // Groups between this one and the inputs, and the outputs, on the shortest way: 0 for those next to them.
  int inputs = 0, outputs = 0;
};

using Symmetries = std::vector<UnitGroup>; // from the inputs to the outputs

// Whether the groups are the hidden layers of a chain of weights and biases, `tensors` in all.
bool is_chain(const Symmetries &, std::size_t tensors);

} // namespace theta
