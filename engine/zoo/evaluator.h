// Runs many networks of one architecture over one set of images: loss, accuracy, and which images each gets wrong.
#pragma once
#include "data/dataset.h"
#include "engine/networks/mlp.h"

namespace theta {

struct Scores {
  std::vector<float> loss, accuracy; // a network each; accuracy in 0..1
  std::vector<std::uint32_t> wrong;  // [networks, words] bit masks (kernels/counting.h)
};

class Evaluator {
public:
  // `images` of `pixels` each; `wave` networks at a time. On the cpu a core takes a network through all images; on
  // cuda the wave goes through its layers together, over images that are floats.
  Evaluator(const MlpShape &, std::size_t images, int pixels, int wave, Backend);

  void plan(MemoryPlan &);
  void bind(const Arena &);
  // The images of `part` onto the device; uses bytes of the plan alone.
  void upload(Stream &, const Dataset &, const Images &part);

  int wave() const { return wave_; }
  std::size_t words() const;

  // Where the networks to score are put: [wave, V] on the device.
  float *theta() const { return theta_; }
  // Scores the first `networks` of them, appending to `scores`. Synchronises. `activations` of the networks, where they
  // differ from the shape's. Throws InputError where the device cannot have them differ.
  void score(Stream &, int networks, Scores &scores, const std::vector<Activation> &activations = {});
  // Scores `networks` networks in host memory, [networks, V], in waves.
  Scores score_all(Stream &, const float *host_theta, std::size_t networks);

private:
  static constexpr int rows_at_once = 1024; // a multiple of 32: whole words of the masks
  void score_layerwise(Stream &, int networks);

  Mlp<float> mlp_;
  std::size_t images_;
  int pixels_, wave_;
  bool whole_; // one worker takes a network through all images
  ImageSet set_{};
  Slot bytes_slot_, x_slot_, label_slot_, theta_slot_, row_loss_slot_, loss_slot_, wrong_slot_, count_slot_, act_slot_,
      workspace_slot_;
  std::uint8_t *bytes_ = nullptr, *label_ = nullptr, *workspace_ = nullptr;
  Activation *act_ = nullptr;
  float *x_ = nullptr, *theta_ = nullptr, *row_loss_ = nullptr, *loss_ = nullptr;
  std::uint32_t *wrong_ = nullptr;
  std::int32_t *count_ = nullptr;
};

} // namespace theta
