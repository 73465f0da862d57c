// Parts of networks, standardised, and back: each parameter with its own mean and deviation, or with those of its
// tensor or of all, read from where the generator's file has them, part by part.
#pragma once
#include "data/zoo_format.h"
#include "engine/weights/normalizer.h"
#include <functional>

namespace theta {

class StandardParts {
public:
  // Reads elements first..first+count−1 of the means, or of the deviations.
  using Read = std::function<void(bool deviations, std::size_t first, std::size_t count, float *to)>;
  StandardParts(NormalizerKind, std::vector<TensorPlace> layout, Read);

  // Parameters first..first+count−1, in place. `statistics` [2·count] is scratch. Throws what the reading throws.
  void standardise(float *theta, std::size_t first, std::size_t count, float *statistics) const;
  void unstandardise(float *theta, std::size_t first, std::size_t count, float *statistics) const;

private:
  void read(std::size_t first, std::size_t count, float *mean, float *std) const;
  NormalizerKind kind_;
  std::vector<TensorPlace> layout_;
  Read read_;
  std::vector<float> mean_, std_; // of tensors, or of all
};

} // namespace theta
