// What the networks of a zoo learn, and how they are scored. The tasks' rooms (engine/tasks/) say it; a kind of networks
// names the one that its networks learn (NetworkKind::learns).
#pragma once
#include "data/zoo_writer.h"
#include "engine/memory/plan.h"
#include "engine/networks/layered.h"
#include "engine/networks/whole_runs.h"
#include "recipe.h"
#include <memory>

namespace theta {

class Evaluator;

// A data set's training part on a device, as networks of one shape look at it. Run r may have a signal of its own:
// r mod signals.
class TrainingPart {
public:
  explicit TrainingPart(const DatasetSizes &sizes) : sizes_(sizes) {}
  virtual ~TrainingPart() = default;

  virtual void plan(MemoryPlan &) = 0;
  // `chosen`: which signals, as many as there is room for.
  virtual Examples upload(Stream &, const Dataset &, const std::vector<std::uint32_t> *chosen = nullptr) const = 0;
  // Hands an evaluator what networks are scored on: the images of Learning::scored_on's part `part`, or these examples.
  virtual void score_on(Evaluator &, Stream &, const Dataset &, const Examples &, std::size_t part) const = 0;

  // Which signal run `run` learns.
  std::uint32_t signal_of(long run) const { return std::uint32_t(run % long(sizes_.train)); }
  // What the zoo's columns say of it, in the order of Learning::columns.
  virtual std::vector<ColumnValue> facts(const ZooRecipe &, std::uint64_t, long, const Dataset &) const { return {}; }
  // Of text: the shares of the classes that it reads, by which its losses on them count.
  virtual std::vector<float> shares(const ZooRecipe &, std::uint64_t, long) const { return {}; }

  // What is simplest to say of `batches` mini-batches behind those that training draws: of text, how often each character
  // comes. Empty where there is nothing to say.
  virtual std::vector<float> summary(const ZooRecipe &, std::uint64_t, long, int, const Dataset &) const { return {}; }

protected:
  DatasetSizes sizes_;
};

// The mini-batches of networks that go layer by layer, and what they miss.
class BatchLoss {
public:
  virtual ~BatchLoss() = default;
  // Rehearses a step of `networks` networks on `batch` examples each; what it took may go after it.
  virtual void plan(MemoryPlan &, int networks, int batch) = 0;
  virtual void plan_done(MemoryPlan &) = 0;
  // runs.loss of the mini-batches of step `step` (0 for the first), and their gradient [networks, V], added to.
  virtual void compute(Stream &, LayeredNetworks<float> &, const TrainingRuns<float> &runs, const Examples &,
                       float *gradient, long step) const = 0;
};

// Images that networks are scored on, as [eval] part names them, and the columns of what is found there.
struct ScoredPart {
  const char *part;           // "test", "validation"; "": their own signal
  std::size_t images;         // 0: its points
  const char *loss, *quality; // columns; of what is called loss and accuracy in Scores
};

class Learning {
public:
  virtual ~Learning() = default;
  virtual const char *name() const = 0;
  virtual void check(const ZooRecipe &) const = 0; // throws InputError for what such networks cannot be trained with
  virtual std::vector<ScoredPart> scored_on(const DatasetSizes &) const = 0;     // one at least
  virtual std::vector<Column> columns(const DatasetSizes &) const { return {}; } // of what a run learns
  virtual std::unique_ptr<BatchLoss> batch_loss(const NetworkShape &, const ZooRecipe &) const = 0;
  // `some`: room for so many signals; 0: for all of them.
  virtual std::unique_ptr<TrainingPart> part(const NetworkShape &, const DatasetSizes &,
                                             std::size_t some = 0) const = 0;
};

const Learning &learning_of(const NetworkShape &);
std::size_t most_images(const std::vector<ScoredPart> &); // of any part
bool add_learning(std::unique_ptr<const Learning>);       // true

// Made by the tasks' rooms: labelled images, which all networks learn; signals, of which each has one; text, of which
// each has a mixture.
std::unique_ptr<const Learning> make_labelled_images(), make_signals(), make_text();

} // namespace theta
