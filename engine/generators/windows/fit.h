// Trains a generator of windows: every network of a batch walks through its own windows, one a step, its states with
// it; the batch's networks are at places spread over the sequence, so that a step sees all of it.
#pragma once
#include "data/prefetch.h"
#include "engine/generators/generator.h"
#include "engine/training/state_file.h"
#include "engine/training/trainable.h"
#include "standard.h"
#include "windows.h"

namespace theta {

class WindowsFit {
public:
  // For `rows` training networks. Throws InputError for a configuration that cannot be.
  WindowsFit(WindowsConfig, std::size_t parameters, std::size_t rows, std::uint64_t seed);
  WindowsFit(const WindowsFit &) = delete;

  const MemoryPlan &plan() const { return plan_; }

  // Writes work.file, whole or not at all.
  void run(const FitWork &);

private:
  // What slot b of the batch is at in step i: a window of the passes-th network that it walks through.
  struct Place {
    std::uint64_t pass;
    std::size_t window;
  };
  Place place_of(std::uint64_t step, int slot) const;
  void read_window(const FitWork &, const StandardParts &, std::uint64_t step, float *to) const;
  void measure(const FitWork &, GeneratorDraft &) const;
  void forward_backward(Stream &, long step, const Adam &);
  std::filesystem::path begun(const FitWork &w) const { return w.state.parent_path() / ".generator.begun"; }

  WindowsConfig config_;
  std::size_t parameters_, rows_, windows_; // windows of a network
  std::uint64_t seed_;
  Recurrence<float> recurrence_;
  WeightTransformer<float> flow_;
  Trainable recurrence_weights_, flow_weights_;
  MemoryPlan plan_{"fit.windows", "fit.windows.batch"};
  std::vector<Tensor<float>> staging_; // [batch, 1 + window, chunk] and [batch, window]: the tokens, and their places
  Tensor<float> statistics_;           // [2, (1 + window)·chunk], in host memory
  Tensor<float> tokens_, place_, state_, next_;    // the same; [blocks, batch, state] twice
  Tensor<float> before_, noise_, x0_, target_, t_; // [batch·window, chunk] four times, [batch·window]
  Tensor<float> loss_, partials_;
};

} // namespace theta
