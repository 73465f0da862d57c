// Memory, planned before it is taken: names, shapes and lifetimes in, offsets out. Host arithmetic; needs no device.
//
// A plan is a rehearsal of the work: reserve() is called where the work would allocate, release() where it would free.
// Tensors whose lifetimes do not overlap may share bytes. Afterwards arena.h takes it all in one piece, and the tensors
// that reserve() gave are there.
//
// The work is a loop and the rehearsal one pass through it. So only activations and workspace, which every pass writes
// before it reads them, begin where they are reserved; all other classes hold what outlives a pass, and live from the
// start.
#pragma once
#include "data/dtype.h"
#include "data/shape.h"
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"
#include "tensor.h"
#include <optional>
#include <string>
#include <vector>

namespace theta {

template <> struct DtypeOf<bf16> { static constexpr Dtype value = Dtype::bf16; };

enum class MemoryClass { weights, gradients, optimizer, activations, workspace, data, staging };
inline constexpr int memory_classes = 7;
const char *name_of(MemoryClass);

class MemoryPlan {
public:
  struct Entry {
    std::string name;
    MemoryClass kind;
    Shape shape;
    Dtype dtype;
    std::string hint;                  // settings that make it smaller, e.g. "fit.autoencoder.batch, fit.latent"
    std::size_t bytes;                 // without padding
    int born, died;                    // ticks of the rehearsal: alive in [born, died)
    std::size_t offset = 0;            // from place(), within the device's or the host's block
    std::shared_ptr<std::byte *> at{}; // where its bytes are, while an arena holds them: its tensor's
    bool on_host() const { return kind == MemoryClass::staging; }
  };

  static constexpr std::size_t alignment = 256;

  // `name` says what the work is: "zoo", "fit.autoencoder", ...; `batch`, which setting is its batch: layers, which
  // serve many stages, give "batch" as their hint.
  explicit MemoryPlan(std::string name, std::string batch = "batch")
      : name_(std::move(name)), batch_(std::move(batch)) {}

  // A tensor that lives from now (see above) until release(), or to the end. Throws InputError where the bytes
  // overflow.
  template <class T> Tensor<T> reserve(std::string name, MemoryClass kind, Shape shape, std::string hint = "") {
    const std::size_t entry = add(std::move(name), kind, std::move(shape), dtype_of<T>, std::move(hint));
    return {entry, entries_[entry].at};
  }
  // In this order; what was not planned is passed over. Throws Error for what is released already.
  template <class... T> void release(const Tensor<T> &...tensors) {
    ((tensors.planned() ? end(tensors.entry_) : void()), ...);
  }

  // Gives every tensor its offset: the largest first, each at the lowest place where no other alive with it lies
  // (greedy by size; Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020). Call it
  // once, at the end.
  void place();

  // Another plan that is in memory while this one is: its bytes count against the budget too.
  void lives_beside(const MemoryPlan &other) { beside_ += other.device_bytes_, host_beside_ += other.host_bytes_; }
  // What the work holds in host memory that no arena takes: a model, as it was read from its file.
  void holds_beside(std::size_t host_bytes) { host_beside_ += host_bytes; }

  // What a budget counts: the device's bytes, those of plans beside it, and on the cpu those of the host too.
  std::size_t bytes_on(Backend backend) const {
    return device_bytes_ + beside_ + (backend == Backend::cpu ? host_bytes_ + host_beside_ : 0);
  }

  const std::string &name() const { return name_; }
  std::string stage() const { return name_.substr(0, name_.find('.')); } // "fit" of "fit.autoencoder"
  bool is_placed() const { return placed_; }
  const std::vector<Entry> &entries() const { return entries_; }
  template <class T> const Entry &operator[](const Tensor<T> &t) const { return entries_.at(t.entry_); }
  int ticks() const { return clock_; }

  // Bytes of the two blocks that an arena takes. `device` holds everything but the staging buffers.
  std::size_t device_bytes() const { return device_bytes_; }
  std::size_t host_bytes() const { return host_bytes_; }
  std::size_t bytes_beside() const { return beside_ + host_beside_; }
  std::size_t all_host_bytes() const { return host_bytes_ + host_beside_; }
  // Sum over the entries of a class, without sharing.
  std::size_t bytes_of(MemoryClass) const;
  const std::string &batch() const { return batch_; }

private:
  std::size_t add(std::string name, MemoryClass, Shape, Dtype, std::string hint);
  void end(std::size_t entry);
  std::size_t place_block(bool host);
  std::string name_, batch_;
  std::vector<Entry> entries_;
  int clock_ = 0;
  bool placed_ = false;
  std::size_t device_bytes_ = 0, host_bytes_ = 0, beside_ = 0, host_beside_ = 0;
};

// "1.5 GiB", "320 B".
std::string text_of_bytes(std::size_t bytes);
// "1.5GiB", "512M", "1000000" -> bytes. Throws InputError.
std::size_t parse_bytes(const std::string &text);

// The plans themselves, of a judge or a trainer that is about to go.
std::vector<MemoryPlan> copies_of(const std::vector<const MemoryPlan *> &);

// The plan as a table for people, and its totals per class.
std::string table_of(const MemoryPlan &);

// The entries that take most of the device, the largest first.
std::vector<const MemoryPlan::Entry *> largest_of(const MemoryPlan &, std::size_t count);

// Throws InputError when the plan's bytes on the backend exceed `budget`, naming its three largest entries and what
// would shrink them. No budget: nothing is refused.
using Budget = std::optional<std::size_t>;
void check_budget(const MemoryPlan &, Backend, Budget);

// The most of `wanted` things, one at least, whose bytes are within the budget; bytes_of(n) is what n of them take.
template <class F> int most_within(Budget budget, int wanted, F bytes_of) {
  if (!budget || bytes_of(wanted) <= *budget)
    return wanted;
  int most = 1;
  for (int beyond = wanted; beyond - most > 1;) {
    const int middle = most + (beyond - most) / 2;
    (bytes_of(middle) <= *budget ? most : beyond) = middle;
  }
  return most;
}

// What plans itself does so once: another plan is another object's. Throws Error where `batch`, which the plan sets, is
// there already.
void check_unplanned(const std::string &what, int batch);

} // namespace theta
