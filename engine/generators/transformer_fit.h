// Trains a weight transformer on the rows of a zoo by flow matching. Networks are read ahead from the mapped shards.
#pragma once
#include "data/prefetch.h"
#include "engine/training/journal.h"
#include "engine/training/trainable.h"
#include "transformer.h"

namespace theta {

class TransformerFit {
public:
  // For `rows` training networks. Throws InputError for a configuration that cannot be.
  TransformerFit(TransformerConfig, const NetworkFacts &, std::size_t rows, std::uint64_t seed);
  TransformerFit(const TransformerFit &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  // Continues from `state` if it belongs to `key`, and saves into it. Throws Interrupted when asked to stop.
  Transformer run(Device, const ZooReader &, const std::vector<std::size_t> &rows, const std::filesystem::path &state,
                  const std::string &key, Journal &);

private:
  void measure_tokens(const ZooReader &, const std::vector<std::size_t> &rows, Transformer &) const;

  TransformerConfig config_;
  std::size_t parameters_, rows_;
  std::uint64_t seed_;
  TokenCoder coder_;
  WeightTransformer<float> model_;
  Trainable weights_;
  MemoryPlan plan_{"fit.transformer"};
  std::vector<Slot> staging_;
  Slot tokens_staging_, tokens_, mean_, std_, x0_, velocity_, t_, loss_, partials_;
};

} // namespace theta
