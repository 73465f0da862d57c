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
  for (Block &of : host_)
    of = block(MemoryClass::staging);
  device_ = backend == Backend::cuda ? block(MemoryClass::weights) : Block{};
  if (trains)
    gradient_ = reserve("gradient", MemoryClass::workspace);
}

// While block b is worked on, a thread brings the one after it; when b is done, a thread takes it away and brings the
// one that is to have its place.
template <class F> void StreamedLinear::for_blocks(Stream &s, bool trains, F f) const {
  const std::size_t cols = std::size_t(in_);
  const int count = (out_ + at_once_ - 1) / at_once_;
  const auto rows_of = [&](int b) { return std::min(at_once_, out_ - b * at_once_); };
  const auto first_of = [&](int b) { return std::size_t(b) * std::size_t(at_once_) * cols; };
  const auto bring = [&](int b) {
    if (b >= count)
      return;
    const Block &to = host_[std::size_t(b % 2)];
    const std::size_t n = std::size_t(rows_of(b)) * cols;
    weights_.read(first_of(b), n, to.value);
    if (trains)
      weights_.read_moments(first_of(b), n, to.moment1, to.moment2);
  };
  std::array<std::future<void>, 2> coming; // of the even and the odd blocks
  for (const int b : {0, 1})
    coming[std::size_t(b)] = std::async(std::launch::async, bring, b);
  for (int b = 0; b < count; ++b) {
    coming[std::size_t(b % 2)].get();
    const Block &host = host_[std::size_t(b % 2)];
    const std::size_t n = std::size_t(rows_of(b)) * cols;
    const auto each = [&](auto move) { // between host and device
      move(host.value, device_.value);
      if (trains)
        move(host.moment1, device_.moment1), move(host.moment2, device_.moment2);
    };
    if (s.is_cuda())
      each([&](float *from, float *to) { copy(s, to, from, n * sizeof(float)); });
    f(b * at_once_, rows_of(b), s.is_cuda() ? device_ : host);
    if (s.is_cuda() && trains)
      each([&](float *to, float *from) { copy(s, to, from, n * sizeof(float)); });
    s.synchronize();
    coming[std::size_t(b % 2)] = std::async(std::launch::async, [&, b, n] {
      if (trains) {
        const Block &done = host_[std::size_t(b % 2)];
        weights_.write(first_of(b), n, done.value, done.moment1, done.moment2);
      }
      bring(b + 2);
    });
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
