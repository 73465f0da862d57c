#include "trainer_kind.h"
#include "engine/networks/kind.h"

namespace theta {

TrainerKind trainer_for(Backend backend, const NetworkShape &shape, int batch) {
  const auto whole = shape.kind->whole_runs(shape, batch);
  if (whole && whole->fit(backend))
    return TrainerKind::whole_runs;
  if (!shape.kind->layered(shape))
    throw InputError(
        "network: such a ", shape.kind->name(), " of ", layout_of(shape).size(),
        " parameters does not fit into a multiprocessor's shared memory; a smaller one, or the cpu, can train it");
  return TrainerKind::layer_by_layer;
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
