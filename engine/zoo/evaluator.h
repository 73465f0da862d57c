// Runs many networks of one architecture over one set of images: loss, accuracy, and which images each gets wrong; or
// fields over the points of their signals: loss and PSNR; or language models over windows of text: loss and bits.
#pragma once
#include "data/dataset.h"
#include "engine/networks/layered.h"
#include "engine/networks/whole_runs.h"
#include "trainer_kind.h"
#include <functional>
#include <span>

namespace theta {

struct Scores {
  std::vector<float> loss, accuracy; // a network each; accuracy in 0..1, of fields PSNR in decibels, of text bits a
                                     // character
  std::vector<std::uint32_t> wrong;  // [networks, words] bit masks (kernels/operations/counting.h)
  std::vector<float> logits;         // [networks, images, classes], of an evaluator that keeps them
  std::vector<float> by_class;       // of text: nats a character, [networks, classes]
};

// What networks differ in that are scored: their activations, where they are not the shape's; the signals that fields
// have; the shares by which losses of language models on the classes count, [networks, classes], alike where there are
// none.
struct ScoredRuns {
  std::vector<Activation> activations{};
  std::vector<std::uint32_t> signals{};
  std::vector<float> shares{};
};

inline constexpr int scored_windows = 24; // of text, a class

// Writes the V parameters of network i into host memory.
using NetworkOf = std::function<void(std::size_t i, float *theta)>;

// Peak signal-to-noise ratio in decibels of a signal in 0..1 from its mean squared error.
float psnr_of(float mean_squared_error);

// Whether all are finite.
bool all_finite(std::span<const float>);

class Evaluator {
public:
  // Classifiers: over at most `images` images; language models: windows, so many of all classes; fields: 0, over what
  // look_at says. `wave` networks at a time, or as many as a quarter of a GiB holds. By whole runs, a worker takes a network through everything (on cuda in bf16's precision);
  // layer by layer, the wave goes through its layers together, over images that are floats, or points.
  Evaluator(const NetworkShape &, std::size_t images, int wave, Backend, TrainerKind);

  void keep_logits() { keeps_logits_ = true; } // before plan()
  void plan(MemoryPlan &);
  void plan_done(MemoryPlan &plan) { plan.release(theta_); } // its networks make room for what follows
  // The images of `part` onto the device, in place of those before; uses bytes of the plan alone.
  void upload(Stream &, const Dataset &, const Images &part);
  // Of text, scored_windows of each class, as far from one another as can be. Throws InputError where a class is shorter.
  void upload(Stream &, const Characters &part);
  // What fields are judged by; it must live as long as they are.
  void look_at(const Examples &examples) { examples_ = examples; }

  int wave() const { return wave_; }
  std::size_t parameters() const { return parameters_; } // V
  std::size_t words() const; // of a network's mask: of the images uploaded last, at first of as many as there may be

  // Where the networks to score are put: [wave, V] on the device.
  float *theta() const { return theta_; }
  // Scores the first `networks` of them, appending to `scores`. Synchronises. Throws InputError where activations cannot
  // differ.
  void score(Stream &, int networks, Scores &scores, const ScoredRuns & = {});
  // Scores `networks` networks in waves, each read through `staging`, [V] in host memory. The networks that are broken
  // are marked, if `broken` is given: those with a weight, or a loss (then a logit), that is not finite.
  Scores score_all(Stream &, std::size_t networks, const NetworkOf &, float *staging,
                   std::vector<char> *broken = nullptr);
  // The same for networks in host memory, [networks, V].
  Scores score_all(Stream &, const float *host_theta, std::size_t networks);

private:
  void plan_text(MemoryPlan &);
  static constexpr int images_at_once = 1024; // a multiple of 32: whole words of the masks
  void score_layerwise(Stream &, int networks, Scores &);
  void score_signals(Stream &, int networks, const std::vector<std::uint32_t> &signals);
  void score_text(Stream &, int networks, Scores &, const std::vector<float> &shares);

  NetworkShape shape_;
  std::size_t parameters_, most_images_, images_; // images_: of the part that was uploaded
  int wave_, rows_at_once_;
  bool is_text_, keeps_logits_ = false;
  Backend backend_;
  std::shared_ptr<const WholeRuns> whole_; // or else
  std::shared_ptr<LayeredNetworks<float>> layered_;
  Examples examples_;
  Tensor<std::uint8_t> bytes_, label_;    // [images, pixels], [images]
  Tensor<float> x_;                       // [images, pixels], layer by layer; labels of windows as many
  Tensor<float> theta_, loss_, row_loss_; // [wave, V], [wave], [wave, rows_at_once]
  Tensor<float> logits_;                  // [wave, images, classes], by whole runs
  Tensor<float> wanted_, part_, partial_; // [rows_at_once, outputs], [wave], of signals layer by layer; sums
  Tensor<std::uint32_t> wrong_, signal_;  // [wave, words], [wave]
  Tensor<std::int32_t> count_;            // [wave]
  Tensor<std::uint8_t> act_, workspace_;  // Activation [wave]
};

} // namespace theta
