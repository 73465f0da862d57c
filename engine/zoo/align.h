// Zoos whose networks have their units in one order: what generators that know no symmetry learn from.
#pragma once
#include "data/zoo_reader.h"
#include "engine/training/journal.h"

namespace theta {

// Writes a zoo into the new folder `to`: the same rows and columns, but every network's units where they are nearest to
// those of row `reference` (weights/matching.h), of which the function does not change; `balances`: after balancing
// them (weights/symmetry.h), the reference too. Throws InputError where units of such networks cannot move, Interrupted.
void align_zoo(const ZooReader &, const std::filesystem::path &to, std::size_t reference, bool balances, Journal &);

} // namespace theta
