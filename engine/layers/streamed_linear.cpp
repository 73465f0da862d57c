#include "streamed_linear.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/reduce.h"
#include <algorithm>
#include <future>

namespace theta {

StreamedLinear::StreamedLinear(Layout &layout, const std::string &name, int in, int out, Arithmetic arithmetic,
                               std::size_t block_bytes)
    : in_(in), out_(out),
      at_once_(int(std::clamp<std::size_t>(block_bytes / sizeof(float) / std::size_t(in), 1, std::size_t(out)))),
      arithmetic_(arithmetic), tensor_(layout.outside().size()) {
  layout.add_outside(name + ".weight", {out, in}, default_start(in));
  bias_ = layout.add(name + ".bias", {out}, default_start(in));
}

void StreamedLinear::plan(MemoryPlan &plan, Backend backend, Mode mode) {
  const Shape shape{at_once_, in_};
  const bool trains = mode == Mode::train;
  const auto reserve = [&](const char *what, MemoryClass kind) {
    return plan.reserve<float>(std::string("streamed.") + what, kind, shape, "fit.latent");
  };
  const auto block = [&](MemoryClass kind) {
    Block b{reserve("value", kind), {}, {}};
    if (trains)
      b.moment1 = reserve("moment1", kind), b.moment2 = reserve("moment2", kind);
    return b;
  };
  for (const std::size_t i : {0, 1}) {
    const bool is_there = i == 0 || out_ > at_once_;
    host_[i] = is_there ? block(MemoryClass::staging) : Block{};
    device_[i] = is_there && backend == Backend::cuda ? block(MemoryClass::weights) : Block{};
  }
  if (trains)
    gradient_ = reserve("gradient", MemoryClass::workspace);
}

// While block b is worked on, a thread brings the one after it. When b is done, a thread takes it away, in copies
// beside the work on the next, and brings the one that is to have its place.
template <class F> void StreamedLinear::for_blocks(Stream &s, bool trains, F f) const {
  const std::size_t cols = std::size_t(in_);
  const int count = (out_ + at_once_ - 1) / at_once_;
  const auto elements = [&](int b) { return std::size_t(std::min(at_once_, out_ - b * at_once_)) * cols; };
  const auto first_of = [&](int b) { return std::size_t(b) * std::size_t(at_once_) * cols; };
  CopyLane up(s.device()), down(s.device());
  // Of block b on the host and on the device, all that moves.
  const auto each = [&](int b, auto move) {
    const Block &host = host_[std::size_t(b % 2)], &device = device_[std::size_t(b % 2)];
    move(host.value.get(), device.value.get());
    if (trains)
      move(host.moment1.get(), device.moment1.get()), move(host.moment2.get(), device.moment2.get());
  };
  const auto bring = [&](int b) {
    if (b >= count)
      return;
    const Block &to = host_[std::size_t(b % 2)];
    weights_.read(first_of(b), elements(b), to.value);
    if (trains)
      weights_.read_moments(first_of(b), elements(b), to.moment1, to.moment2);
  };
  const auto take_away = [&](int b) {
    down.synchronize();
    const Block &done = host_[std::size_t(b % 2)];
    if (trains)
      weights_.write(first_of(b), elements(b), done.value, done.moment1, done.moment2);
    bring(b + 2);
  };
  std::array<std::future<void>, 2> coming; // of the even and the odd blocks
  for (const int b : {0, 1})
    coming[std::size_t(b)] = std::async(std::launch::async, bring, b);
  for (int b = 0; b < count; ++b) {
    coming[std::size_t(b % 2)].get();
    const std::size_t bytes = elements(b) * sizeof(float);
    if (s.is_cuda()) {
      each(b, [&](float *host, float *device) { up.copy(device, host, bytes); });
      up.hold(s);
    }
    f(b * at_once_, int(elements(b) / cols), (s.is_cuda() ? device_ : host_)[std::size_t(b % 2)]);
    down.wait_for(s);
    if (s.is_cuda() && trains)
      each(b, [&](float *host, float *device) { down.copy(host, device, bytes); });
    coming[std::size_t(b % 2)] = std::async(std::launch::async, take_away, b);
  }
  for (auto &last : coming)
    if (last.valid())
      last.get();
}

void StreamedLinear::forward(Stream &s, const Parameters<float> &p, float *y, const float *x, int rows) const {
  for_blocks(s, false, [&](int first, int count, const Block &block) {
    gemm<float>(s, y + first, x, block.value,
                {.m = rows, .n = count, .k = in_, .transpose_b = true, .ldc = out_, .arithmetic = arithmetic_},
                p.value + bias_ + first);
  });
}

void StreamedLinear::backward(Stream &s, const Parameters<float> &p, float *dx, const float *dy, const float *x,
                              int rows, const Step &step) const {
  for_blocks(s, true, [&](int first, int count, const Block &block) {
    gemm<float>(s, dx, dy + first, block.value,
                {.m = rows, .n = in_, .k = count, .accumulate = first > 0, .lda = out_, .arithmetic = arithmetic_});
    gemm<float>(s, gradient_, dy + first, x,
                {.m = count, .n = in_, .k = rows, .transpose_a = true, .lda = out_, .arithmetic = arithmetic_});
    step(block.value, block.moment1, block.moment2, gradient_, std::size_t(count) * std::size_t(in_));
  });
  channel_sum<float>(s, p.gradient_of(bias_), dy, rows, out_, 1);
}

} // namespace theta
