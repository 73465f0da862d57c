// A data set's training part on a device, as networks of one shape look at it: a classifier at labelled images, run r
// of fields at signal r mod signals (an image, or a solid). Or some of the signals alone.
#pragma once
#include "engine/memory/plan.h"
#include "engine/networks/network.h"
#include "engine/networks/whole_runs.h"

namespace theta {

class TrainingPart {
public:
  // `some`: of so many signals.
  TrainingPart(const NetworkShape &shape, const DatasetSizes &sizes, std::size_t some = 0)
      : shape_(shape), sizes_(sizes), signals_(some > 0 ? some : sizes.train) {}

  void plan(MemoryPlan &);
  // `chosen`: which signals, as many as there is room for.
  Examples upload(Stream &, const Dataset &, const std::vector<std::uint32_t> *chosen = nullptr) const;

  // Which signal run `run` learns.
  std::uint32_t signal_of(long run) const { return std::uint32_t(run % long(sizes_.train)); }

private:
  NetworkShape shape_;
  DatasetSizes sizes_;
  std::size_t signals_;                 // or images
  Tensor<std::uint8_t> bytes_, labels_; // [train, pixels], [train]
  Tensor<float> coordinates_;           // [pixels, inputs]
};

// What a point enters a field as: [points, dimensions] -> [points, dimensions·(1 + 2·octaves)], each coordinate x
// followed by sin(2^k·π·x), cos(2^k·π·x) (Mildenhall et al., "NeRF", 2020, eq. 4).
std::vector<float> encoded(const std::vector<float> &points, int octaves);

// Peak signal-to-noise ratio in decibels of a signal in 0..1 from its mean squared error.
float psnr_of(float mean_squared_error);

} // namespace theta
