// A data set small enough for the emulator: `side`² pixels, `classes` bright stripes with noise, and a task of it.
#pragma once
#include "data/dataset.h"
#include "engine/zoo/zoo_trainer.h"
#include "tests/scratch.h"

namespace theta::test {

inline Images stripes(std::size_t count, int side, int classes, std::uint32_t stream) {
  Images images;
  for (std::size_t n = 0; n < count; ++n) {
    const int label = int(n) % classes;
    images.labels.push_back(std::uint8_t(label));
    for (int p = 0; p < side * side; ++p) {
      const auto noise = philox(7, Purpose::test, stream, n * std::size_t(side * side) + std::size_t(p)).word[0] % 90;
      images.pixels.push_back(std::uint8_t(noise + (p / side % classes == label ? 120 : 0)));
    }
  }
  return images;
}

inline Dataset small_data() {
  Dataset set{.name = "stripes", .side = 4, .classes = 3};
  set.train = stripes(90, 4, 3, 1), set.validation = stripes(12, 4, 3, 2), set.test = stripes(50, 4, 3, 3);
  set.mean = 0.35, set.std = 0.25, set.fingerprint = "stripes";
  return set;
}

inline ZooTask small_task(const std::filesystem::path &folder) {
  return {.recipe = {.networks = 5,
                     .wave = 3,
                     .steps = 20,
                     .batch = 8,
                     .checkpoints = CheckpointKind::every,
                     .count = 10,
                     .lr = 0.02},
          .network = {{16, 5, 3}, Activation::relu},
          .seed = 3,
          .directory = folder,
          .key = "small"};
}

} // namespace theta::test
