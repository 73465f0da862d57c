// Who trains and scores networks of a shape on a device.
#pragma once
#include "engine/networks/network.h"
#include "engine/networks/whole_runs.h"
#include "recipe.h"
#include <memory>

namespace theta {

// whole_runs: each network has a worker of its own for all its steps. layer_by_layer: all networks go through each
// layer together (layerwise.h, networks/layered.h).
enum class TrainerKind { whole_runs, layer_by_layer };

// Whole runs where they fit, otherwise layer by layer. Throws InputError for what neither can do. On the cpu a network
// of more than large_network parameters is in no core's cache, and goes layer by layer on all of them, where it can; so
// does one whose rows are more than memory should hold, for a layerwise trainer can leave them in a file.
inline constexpr std::size_t large_network = std::size_t(1) << 20;
inline constexpr std::size_t most_row_bytes = std::size_t(256) << 20; // of one run
TrainerKind trainer_for(Backend, const NetworkShape &, int batch);
// The same, for networks with such a recipe: what only whole runs can do, they do.
TrainerKind trainer_for(Backend, const NetworkShape &, const ZooRecipe &);

// The kind's whole runs; throws InputError where it has none for the shape.
std::shared_ptr<const WholeRuns> whole_runs_of(const NetworkShape &, int batch);

// In fp32: on cuda layer by layer, where that can be.
TrainerKind exact_evaluator_for(Backend, const NetworkShape &);

} // namespace theta
