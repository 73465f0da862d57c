// Trains a weight transformer on the rows of a zoo, on pairs of its checkpoints, or on a zoo without end. Networks are
// shuffled, balanced, tokenised, standardised and noised on the device.
#pragma once
#include "engine/generators/network_source.h"
#include "engine/training/journal.h"
#include "engine/training/state_file.h"
#include "engine/training/trainable.h"
#include "token_coder.h"

namespace theta {

class TransformerFit {
public:
  // For `rows` training networks; from `stream`, if config.source asks for it. `stage` is its table of settings. Throws
  // InputError for a configuration that cannot be.
  TransformerFit(TransformerConfig, const NetworkFacts &, std::size_t rows, std::uint64_t seed, Backend,
                 const std::optional<StreamTask> &, const std::string &stage = "fit.transformer");
  TransformerFit(const TransformerFit &) = delete;

  std::vector<const MemoryPlan *> plans() const; // both at once, where there is a stream
  // Another plan that is in memory beside this: that of the sampling that probe does.
  void lives_beside(const MemoryPlan &plan) { plan_.lives_beside(plan); }

  // What the generator of the moment is worth: metrics for the journal.
  using Probe = std::function<std::vector<std::pair<std::string, double>>(const Transformer &)>;

  // Continues from `state` if it belongs to `key`, and saves into it. Calls probe every config.probe_every steps.
  // Throws Interrupted when asked to stop.
  Transformer run(Device, const ZooReader &, const std::vector<std::size_t> &rows, const std::filesystem::path &state,
                  const std::string &key, Journal &, const Probe &probe);

private:
  struct Work;                                      // device memory, bound
  using Orders = std::map<std::size_t, UnitOrders>; // of rows that are to be aligned
  std::unique_ptr<NetworkSource> source(Stream &, const ZooReader &, const ZooBatches &, const Orders &,
                                        const SavedState *);
  void measure_tokens(const ZooReader &, const std::vector<std::size_t> &rows, const Orders &, Transformer &) const;
  void learn(Stream &, Work &, NetworkSource &, const Transformer &, long step, int part);

  TransformerConfig config_;
  std::size_t parameters_, rows_;
  std::uint64_t seed_;
  TokenCoder coder_;
  Conditions conditions_;
  WeightTransformer<float> model_;
  Trainable weights_;
  int part_; // networks under noise that go through the model at once: batch/accumulate
  NetworkBatch batch_;
  std::optional<StreamTask> stream_task_;
  std::optional<ZooStream> stream_;
  std::string stage_;
  MemoryPlan plan_, stream_plan_{"fit.stream", "zoo.wave"};
  std::vector<Tensor<float>> staging_;    // [networks, V] each
  Tensor<float> told_staging_, told_;     // [K, part]
  Tensor<float> theta_, run_rows_;        // [networks, V], [checkpoints, V]
  Tensor<std::int32_t> place_;            // [S]
  Tensor<float> mean_, std_;              // [S]
  Tensor<float> x0_, start_, target_, t_; // [part, S] three times, [part]
  Tensor<float> loss_, partials_;         // [accumulate], [partial_sums]
};

} // namespace theta
