// Tensors for a benchmark: several equal sets of them, used in turn, that together exceed every cache; and cases that
// need nothing else.
#pragma once
#include "bench.h"
#include "kernels/operations/random.h"

namespace theta {

inline constexpr std::size_t word = sizeof(float);

class Tensors {
public:
  // Each set holds tensors of these sizes in bytes, filled with numbers from N(0, 1). `sets` 0: as many as exceed the
  // cache.
  Tensors(Stream &s, std::vector<std::size_t> sizes, int sets = 0) : sets_(sets) {
    std::size_t one = 0;
    for (const std::size_t size : sizes) {
      offsets_.push_back(one);
      one += (size + 255) / 256 * 256;
    }
    constexpr std::size_t cache = std::size_t(512) << 20;
    if (sets_ == 0)
      sets_ = int(std::min<std::size_t>(64, cache / std::max<std::size_t>(one, 1) + 1));
    set_bytes_ = one;
    memory_ = Memory(s.device(), one * std::size_t(sets_));
    std::size_t filled = std::min<std::size_t>(memory_.bytes(), 1 << 24);
    fill_normal<float>(s, memory_.as<float>(), 1, filled / sizeof(float), 1, {1, Purpose::test});
    for (std::size_t more; filled < memory_.bytes(); filled += more) {
      more = std::min(filled, memory_.bytes() - filled);
      copy(s, memory_.data() + filled, memory_.data(), more);
    }
    s.synchronize();
  }

  // Tensor `index` of the set that run number `run` uses.
  template <class T> T *at(int run, std::size_t index) const {
    return reinterpret_cast<T *>(memory_.data() + std::size_t(run % sets_) * set_bytes_ + offsets_[index]);
  }
  int sets() const { return sets_; }

private:
  std::vector<std::size_t> offsets_;
  std::size_t set_bytes_ = 0;
  int sets_;
  Memory memory_;
};

// A case whose run(tensors, i) works on tensors of these sizes (in bytes).
template <class Run>
BenchCase on_tensors(std::string name, double bytes, double flops, std::vector<std::size_t> sizes, Run run) {
  BenchCase c{std::move(name), bytes, flops, {}};
  c.prepare = [sizes, run](Stream &s) -> std::function<void(int)> {
    auto tensors = std::make_shared<Tensors>(s, sizes);
    return [&s, tensors, run](int i) { run(s, *tensors, i); };
  };
  return c;
}

} // namespace theta
