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
  // `images` of `pixels` each; `wave` networks at a time. The images are on the device once, as floats.
  Evaluator(const MlpShape &, std::size_t images, int pixels, int wave);

  void plan(MemoryPlan &);
  void bind(const Arena &);
  // Normalises the images of `part` onto the device; uses bytes of the plan alone.
  void upload(Stream &, const Dataset &, const Images &part);

  int wave() const { return wave_; }
  std::size_t words() const;

  // Where the networks to score are put: [wave, V] on the device.
  float *theta() const { return theta_; }
  // Scores the first `networks` of them, appending to `scores`. Synchronises.
  void score(Stream &, int networks, Scores &scores);
  // Scores `networks` networks in host memory, [networks, V], in waves.
  Scores score_all(Stream &, const float *host_theta, std::size_t networks);

private:
  static constexpr int rows_at_once = 1024; // a multiple of 32: whole words of the masks
  Mlp<float> mlp_;
  std::size_t images_;
  int pixels_, wave_;
  Slot bytes_slot_, x_slot_, label_slot_, theta_slot_, row_loss_slot_, loss_slot_, wrong_slot_, count_slot_;
  std::uint8_t *bytes_ = nullptr, *label_ = nullptr;
  float *x_ = nullptr, *theta_ = nullptr, *row_loss_ = nullptr, *loss_ = nullptr;
  std::uint32_t *wrong_ = nullptr;
  std::int32_t *count_ = nullptr;
};

} // namespace theta
