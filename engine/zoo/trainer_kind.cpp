#include "trainer_kind.h"
#include "engine/networks/kind.h"
#include "layerwise.h"

namespace theta {

namespace {

// `rows` that a run leaves; `alike`: whether the layerwise trainer can do what is asked for; `needed`: it alone does.
TrainerKind trainer_for(Backend backend, const NetworkShape &shape, int batch, std::size_t rows, bool alike,
                        bool needed) {
  const auto whole = needed ? nullptr : shape.kind->whole_runs(shape, batch);
  const std::size_t v = layout_of(shape).size();
  const bool is_large = backend == Backend::cpu && (v > large_network || rows * v * sizeof(float) > most_row_bytes);
  if (whole && whole->fit(backend) && !(is_large && alike && shape.kind->layered(shape)))
    return TrainerKind::whole_runs;
  if (!shape.kind->layered(shape))
    throw InputError(
        "network: such a ", shape.kind->name(), " of ", layout_of(shape).size(),
        " parameters does not fit into a multiprocessor's shared memory; a smaller one, or the cpu, can train it");
  return TrainerKind::layer_by_layer;
}

} // namespace

TrainerKind trainer_for(Backend backend, const NetworkShape &shape, int batch) {
  return trainer_for(backend, shape, batch, 1, true, false);
}

TrainerKind trainer_for(Backend backend, const NetworkShape &shape, const ZooRecipe &recipe) {
  const auto whole =
      shape.form.kind != FormKind::floats ? shape.kind->whole_runs(shape, recipe.batch) : nullptr; // of a form
  return trainer_for(backend, shape, recipe.batch, checkpoint_steps(recipe, 0, 0).size(),
                     Layerwise::beyond(recipe).empty(),
                     Layerwise::is_needed(backend, recipe) || (whole && !whole->trains_forms(backend)));
}

std::shared_ptr<const WholeRuns> whole_runs_of(const NetworkShape &shape, int batch) {
  auto whole = shape.kind->whole_runs(shape, batch);
  if (!whole)
    throw InputError("network: no operation trains whole runs of such a ", shape.kind->name());
  return whole;
}

TrainerKind exact_evaluator_for(Backend backend, const NetworkShape &shape) {
  return backend == Backend::cuda && shape.kind->layered(shape) ? TrainerKind::layer_by_layer
                                                                : trainer_for(backend, shape, 1);
}

} // namespace theta
