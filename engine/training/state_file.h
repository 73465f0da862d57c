// What an interrupted stage leaves to go on from: named host tensors and a few numbers, in one safetensors file.
#pragma once
#include "trainable.h"
#include <filesystem>
#include <optional>

namespace theta {

struct TrainingState {
  std::string key;                   // of the work that it belongs to
  std::map<std::string, long> count; // "step", "wave", ...
  HostTensors tensors;

  // Throw InputError where there is none of that name.
  long number(const std::string &name) const;
  const std::vector<float> &tensor(const std::string &name) const;
};

// Atomic. Throws Error.
void save_state(const std::filesystem::path &, const TrainingState &);

// Nothing where there is no file, or one of other work. Throws InputError where it is damaged.
std::optional<TrainingState> load_state(const std::filesystem::path &, const std::string &key);

} // namespace theta
