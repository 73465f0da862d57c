// Tensors of a model in training that the device does not hold, with their AdamW moments.
// In files there are two generations, of which one is read and the other written, so that a step is there whole or not
// at all: what a step has written is the next one's when flip() says so, and a process that ends before has changed
// nothing. In host memory there is one, moved in place, and a saved state has it all.
#pragma once
#include "data/work_file.h"
#include "engine/memory/arena.h"
#include "engine/networks/layout.h"
#include "moments.h"
#include "state_file.h"
#include <array>
#include <memory>
#include <optional>
#include <string_view>

namespace theta {

// Where weights stream from: they do not (the device holds them), host memory, files.
enum class Streaming { none, memory, file };
Streaming streaming_named(std::string_view name); // throws InputError
const char *name_of(Streaming);

class StreamedStore {
public:
  enum class Part { value, moment1, moment2 };

  // The files are PATH.0 and PATH.1. With moments of a byte each, 16 bytes a weight and step go to and from them, not
  // 28.
  StreamedStore(std::filesystem::path path, std::vector<OutsideTensor>, MomentStorage = MomentStorage::fp32);
  // In host memory, from hold() on.
  StreamedStore(std::vector<OutsideTensor>, MomentStorage);
  const MemoryPlan &plan() const { return plan_; }
  void hold(Device device) { arena_.emplace(device, plan_); }

  // Initial values, moments 0, as generation 0; or the generation that a state tells of. Throw Error.
  void begin(std::uint64_t seed, std::uint32_t stream);
  void open(int generation);
  bool is_there(int generation) const;
  int generation() const { return generation_; } // that is read: 0 or 1

  // Elements first..first+count−1 of a tensor, whole rows of it: of the generation that is read, and into the other.
  void read(std::size_t tensor, Part, std::size_t first, std::size_t count, float *to) const;
  void write(std::size_t tensor, Part, std::size_t first, std::size_t count, const float *from);

  void sync(); // what was written outlives the machine
  void flip();
  void remove(); // both files

  // Of one in host memory: its tensors for a saved state, with moments or without, and back, those that are there.
  void save(std::vector<StateTensor> &, bool moments) const;
  void load(const SavedState &);

private:
  std::filesystem::path path_of(int generation) const { return path_.string() + "." + std::to_string(generation); }
  bool is_coded(Part part) const { return part != Part::value && moments_ == MomentStorage::bits8; }
  std::size_t cols(std::size_t tensor) const { return std::size_t(tensors_[tensor].shape.back()); }
  std::size_t row_bytes(std::size_t tensor, Part) const;
  std::size_t part_bytes(std::size_t tensor, Part) const;
  std::size_t at(std::size_t tensor, Part, std::size_t first) const; // byte of a generation
  void read_bytes(std::size_t at, void *to, std::size_t bytes) const;
  void write_bytes(std::size_t at, const void *from, std::size_t bytes);
  template <class F> void for_parts(F f) const; // f(name, tensor, part) in a generation's order
  std::filesystem::path path_;                  // empty: in host memory
  std::vector<OutsideTensor> tensors_;
  MomentStorage moments_;
  std::array<std::unique_ptr<WorkFile>, 2> files_;
  int generation_ = 0;
  MemoryPlan plan_{"fit.streamed"};
  Tensor<float> memory_;
  std::optional<Arena> arena_;
};

} // namespace theta
