// Trains a flow on the rows of a zoo, on pairs of its checkpoints, or on a zoo without end. Networks are
// shuffled, balanced, tokenised, standardised and noised on the device.
#pragma once
#include "engine/generators/network_source.h"
#include "engine/training/journal.h"
#include "engine/training/state_file.h"
#include "engine/training/trainable.h"
#include "token_coder.h"
#include "trained.h"

namespace theta {

// Networks of one architecture that a flow learns.
struct FlowNetworks {
  TokenCoder coder;
  std::size_t rows; // training networks
};
struct FlowRows {
  const ZooReader &zoo;
  const std::vector<std::size_t> &rows;
};

class FlowFit {
public:
  // For networks of several architectures, equally many of each in a batch, which the model knows in this order; from
  // `stream`, if config.source asks for it. `stage` is its table of settings. Throws InputError for a configuration
  // that cannot be.
  FlowFit(FlowConfig, std::vector<FlowNetworks>, std::unique_ptr<FlowModel<float>>, std::uint64_t seed, Backend,
          const std::optional<StreamTask> &, const std::string &stage);
  // A weight transformer's, for `rows` training networks.
  FlowFit(FlowConfig, const NetworkFacts &, std::size_t rows, std::uint64_t seed, Backend,
          const std::optional<StreamTask> &, const std::string &stage);
  FlowFit(const FlowFit &) = delete;

  std::vector<const MemoryPlan *> plans() const; // both at once, where there is a stream
  // Another plan that is in memory beside this: that of the sampling that probe does.
  void lives_beside(const MemoryPlan &plan) { plan_.lives_beside(plan); }

  // What the generator of the moment is worth: metrics for the journal.
  using Probe = std::function<std::vector<std::pair<std::string, double>>(const Learned &)>;

  // FitWork::effect.
  using Effect = std::function<std::vector<double>(std::size_t zoo, const std::vector<float> &theta)>;

  // Continues from `state` if it belongs to `key`, and saves into it. Calls probe every config.probe_every steps.
  // Throws Interrupted when asked to stop.
  Learned run(Device, const std::vector<FlowRows> &, const std::filesystem::path &state, const std::string &key,
              Journal &, const Probe &probe, const Effect &effect = {});

  // step(i) is step i of the training, on networks drawn at random once: what theta bench times. The stream and this
  // outlive it.
  std::function<void(int)> rehearsal(Stream &);
  std::size_t model_parameters() const { return model_->parameters().size(); }

private:
  struct Work;                                      // device memory, bound
  using Orders = std::map<std::size_t, UnitOrders>; // of rows that are to be aligned
  // An architecture's share of a batch.
  struct Share {
    FlowNetworks of;
    NetworkBatch batch;
    std::size_t first_row = 0, first_element = 0, first_parameter = 0; // in the batch's tensors
    std::vector<Tensor<float>> staging{};                              // [networks, V] each
    Tensor<std::int32_t> place{};                                      // [S]
    Tensor<float> mean{}, std{};                                       // [S]
    Tensor<std::int32_t> second{};                                     // [S], where codes are categories
    Tensor<float> weight{};                                            // [S], where elements do not count alike
    std::vector<float> counts{};                                       // the same, in host memory
    std::vector<std::uint32_t> streams{};                              // of rows' noise, where networks have their own
    void take_streams(const NetworkSource::Facts &facts, int draws) {
      streams.clear();
      for (const std::uint32_t row : facts.row)
        streams.insert(streams.end(), std::size_t(draws), row);
    }
    int rows(int draws) const { return batch.networks * draws; }
    std::size_t size() const { return of.coder.tokens().size(); }
    int networks() const { return batch.networks * (batch.pairs ? 2 : 1); }
  };
  void share_batch();
  void plan_batch(Backend, const std::optional<StreamTask> &);
  std::unique_ptr<NetworkSource> source(Stream &, const Share &, const ZooReader &, const ZooBatches &, const Orders &,
                                        const SavedState *);
  void upload(Stream &, const Learned &) const; // what the step reads beside weights and networks
  void measure_tokens(const std::vector<FlowRows> &, const std::vector<Orders> &, Learned &) const;
  void weigh(const std::vector<FlowRows> &, const std::vector<Orders> &, const Learned &, const Effect &);
  void noise(Stream &, const Share &, std::uint32_t draw);
  const float *answer(Stream &, const float *predicted); // with moments of codes, where these are categories
  void learn(Stream &, Work &, const std::vector<ConditionRange> &, long step, int part);

  FlowConfig config_;
  std::vector<Share> shares_;
  std::uint64_t seed_;
  Conditions conditions_;
  std::unique_ptr<FlowModel<float>> model_;
  Trainable weights_;
  int part_; // networks under noise that go through the model at once: batch/accumulate
  std::size_t elements_ = 0, parameters_ = 0; // of them, and of the networks that they are of
  double counted_ = 1;                        // the share of elements that are no padding, where the model knows them
  std::optional<StreamTask> stream_task_;
  std::optional<ZooStream> stream_;
  std::string stage_;
  MemoryPlan plan_, stream_plan_{"fit.stream", "zoo.wave"};
  Tensor<float> told_staging_, told_;     // [K, part]
  Tensor<float> theta_, run_rows_;        // [networks, V], [checkpoints, V]
  Tensor<float> x0_, start_, target_, t_; // [part, S] three times, [part]
  Tensor<float> loss_, partials_;         // [accumulate], [partial_sums]
};

} // namespace theta
