// What an interrupted stage leaves to go on from: named tensors and a few numbers, in one safetensors file. Tensors are
// written from where they are and read to where they go, piece by piece: nobody holds a copy of them.
#pragma once
#include "data/safetensors.h"
#include "kernels/device/device.h"
#include <filesystem>
#include <functional>
#include <optional>

namespace theta {

struct StateTensor {
  std::string name;
  std::size_t count;
  // Calls take(values, n) with all elements, some at a time, in order.
  using Take = std::function<void(const float *values, std::size_t n)>;
  std::function<void(const Take &take)> pieces;
};

// Of a vector on a stream's device, or in host memory. It must live until the state is saved.
StateTensor state_of(Stream &, std::string name, const float *there, std::size_t count);
StateTensor state_of(std::string name, const std::vector<float> &);

struct TrainingState {
  std::string key;                   // of the work that it belongs to
  std::map<std::string, long> count; // "step", "wave", ...
  std::vector<StateTensor> tensors;
};

// Atomic. Throws Error.
void save_state(const std::filesystem::path &, const TrainingState &);

class SavedState {
public:
  // Throws InputError where the file is damaged.
  explicit SavedState(const std::filesystem::path &);

  // Throw InputError where there is none of that name.
  long number(const std::string &name) const;
  std::vector<float> tensor(const std::string &name) const;
  bool has(const std::string &name) const { return file_.has(name); }
  bool has_number(const std::string &name) const { return count_.contains(name); }

  // Calls put(first, values, n) for elements first..first+n−1, all of them, some at a time. Throws InputError unless
  // there are `count`.
  using Put = std::function<void(std::size_t first, const float *values, std::size_t n)>;
  void read(const std::string &name, std::size_t count, const Put &put) const;
  // The same to a vector on a stream's device, [count].
  void read(Stream &, const std::string &name, float *there, std::size_t count) const;

private:
  Safetensors file_;
  std::map<std::string, long> count_;
};

// Nothing where there is no file, or one of other work. Throws InputError where it is damaged.
std::optional<SavedState> load_state(const std::filesystem::path &, const std::string &key);

} // namespace theta
