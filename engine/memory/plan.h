// Memory, planned before it is taken: names, shapes and lifetimes in, offsets out. Host arithmetic; needs no device.
//
// A plan is a rehearsal of the work: reserve() is called where the work would allocate, release() where it would free.
// Slots whose lifetimes do not overlap may share bytes. Afterwards arena.h takes it all in one piece.
//
// The work is a loop and the rehearsal one pass through it. So only activations and workspace, which every pass writes
// before it reads them, begin where they are reserved; all other classes hold what outlives a pass, and live from the
// start.
#pragma once
#include "data/dtype.h"
#include "data/safetensors.h"
#include "kernels/bf16.h"
#include <optional>
#include <string>
#include <vector>

namespace theta {

template <> struct DtypeOf<bf16> { static constexpr Dtype value = Dtype::bf16; };

enum class MemoryClass { weights, gradients, optimizer, activations, workspace, data, staging };
inline constexpr int memory_classes = 7;
const char *name_of(MemoryClass);

// A handle to one entry of a plan.
struct Slot {
  int index = -1;
  explicit operator bool() const { return index >= 0; }
};

class MemoryPlan {
public:
  struct Entry {
    std::string name;
    MemoryClass kind;
    Shape shape;
    Dtype dtype;
    std::string hint;       // what would make it smaller, e.g. "fit.autoencoder.batch"
    std::size_t bytes;      // without padding
    int born, died;         // ticks of the rehearsal: alive in [born, died)
    std::size_t offset = 0; // from place(), within the device's or the host's block
    bool on_host() const { return kind == MemoryClass::staging; }
  };

  static constexpr std::size_t alignment = 256;

  // `name` says what the work is: "zoo", "fit.autoencoder", ...
  explicit MemoryPlan(std::string name) : name_(std::move(name)) {}

  // Opens a slot that lives from now (see above) until release(), or to the end. Throws Error where the bytes overflow.
  Slot reserve(std::string name, MemoryClass, Shape shape, Dtype dtype, std::string hint = "");
  template <class T> Slot reserve(std::string name, MemoryClass kind, Shape shape, std::string hint = "") {
    return reserve(std::move(name), kind, std::move(shape), dtype_of<T>, std::move(hint));
  }
  void release(Slot);

  // Gives every slot its offset: the largest first, each at the lowest place where no slot alive with it lies (greedy
  // by size; Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020). Call it once, at
  // the end.
  void place();

  // Another plan that is in memory while this one is: its bytes count against the budget too.
  void lives_beside(const MemoryPlan &other) { beside_ += other.device_bytes_; }

  const std::string &name() const { return name_; }
  const std::vector<Entry> &entries() const { return entries_; }
  const Entry &operator[](Slot s) const { return entries_.at(std::size_t(s.index)); }
  int ticks() const { return clock_; }

  // Bytes of the two blocks that an arena takes. `device` holds everything but the staging buffers.
  std::size_t device_bytes() const { return device_bytes_; }
  std::size_t host_bytes() const { return host_bytes_; }
  std::size_t bytes_beside() const { return beside_; }
  // Sum over the entries of a class, without sharing.
  std::size_t bytes_of(MemoryClass) const;

private:
  std::size_t place_block(bool host);
  std::string name_;
  std::vector<Entry> entries_;
  int clock_ = 0;
  std::size_t device_bytes_ = 0, host_bytes_ = 0, beside_ = 0;
};

// "1.5 GiB", "320 B".
std::string text_of_bytes(std::size_t bytes);
// "1.5GiB", "512M", "1000000" -> bytes. Throws InputError.
std::size_t parse_bytes(const std::string &text);

// The plan as a table for people, and its totals per class.
std::string table_of(const MemoryPlan &);

// Throws InputError when the plan's device block exceeds `budget`, naming its three largest entries and what would
// shrink them. No budget: nothing is refused.
void check_budget(const MemoryPlan &, std::optional<std::size_t> budget);

} // namespace theta
