#include "conv_stack.h"
#include "kernels/operations/convert.h"
#include <algorithm>

namespace theta {

namespace {
constexpr std::size_t piece_bytes = std::size_t(256) << 20;
}

void StackNeeds::cover(const StackNeeds &other) {
  workspace = std::max(workspace, other.workspace), input = std::max(input, other.input);
  pre = std::max(pre, other.pre), gradient = std::max(gradient, other.gradient);
}

template <class T> StackScratch<T>::StackScratch(MemoryPlan &plan, const std::string &name, const StackNeeds &needs) {
  const auto reserve = [&](const char *what, std::size_t elements) {
    return elements == 0
               ? Tensor<T>{}
               : plan.reserve<T>(name + "." + what, MemoryClass::workspace, {std::int64_t(elements)}, "batch");
  };
  workspace = reserve("workspace", needs.workspace), input = reserve("input", needs.input);
  pre = reserve("pre", needs.pre), gradient = reserve("gradient", needs.gradient);
}
template struct StackScratch<float>;
template struct StackScratch<double>;

template <class T>
ConvStack<T>::ConvStack(std::string name, std::vector<ConvBlock<T>> blocks, const Keeping &keeping)
    : name_(std::move(name)), blocks_(std::move(blocks)), keeping_(keeping),
      half_(keeping.compact && std::is_same_v<T, float>) {}

template <class T>
auto ConvStack<T>::reserve(MemoryPlan &plan, const std::string &what, std::size_t sample) const -> Stored {
  const Shape shape{batch_, std::int64_t(sample)};
  const std::string name = name_ + "." + what;
  if (half_)
    return {{}, plan.reserve<bf16>(name, MemoryClass::activations, shape, "batch")};
  return {plan.reserve<T>(name, MemoryClass::activations, shape, "batch"), {}};
}

template <class T> int ConvStack<T>::piece_of(int batch, Mode mode) const {
  if (mode == Mode::infer || !keeping_.compact)
    return batch;
  std::size_t widest = 0;
  for (const auto &block : blocks_)
    widest = std::max({widest, block.in_size(), block.out_size()});
  return std::clamp(keeping_.piece > 0 ? keeping_.piece : int(piece_bytes / (widest * sizeof(T))), 1, batch);
}

template <class T> bool ConvStack<T>::is_kept(int i) const {
  const int last_norm = blocks_.back().has_norm() ? last() : last() - 1;
  return blocks_[std::size_t(i)].has_norm() && (!keeping_.compact || (last_norm - i) % 2 != 0);
}

template <class T> StackNeeds ConvStack<T>::needs(Backend backend, int batch, Mode mode) const {
  StackNeeds of;
  const int piece = piece_of(batch, mode);
  std::size_t widest = 0;
  for (const auto &block : blocks_) {
    of.workspace = std::max(of.workspace, block.workspace(backend, piece));
    widest = std::max({widest, block.in_size(), block.out_size()});
  }
  if (mode == Mode::infer)
    return of;
  of.input = widest * std::size_t(piece);
  of.pre = keeping_.compact ? of.input : 0;
  of.gradient = half_ || !blocks_.back().has_norm() ? of.input : 0;
  return of;
}

template <class T> void ConvStack<T>::plan_forward(MemoryPlan &plan, int batch, Mode mode) {
  batch_ = batch, piece_ = piece_of(batch, mode);
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    blocks_[i].plan_steps(plan, text(name_, '.', i), batch);
  outputs_.assign(blocks_.size(), {});
  pre_.assign(blocks_.size(), {}), gradient_.assign(blocks_.size(), {});
  if (mode == Mode::train) {
    for (int i = 0; i <= last(); ++i)
      if (is_kept(i))
        pre_[std::size_t(i)] = reserve(plan, text(i, ".pre"), blocks_[std::size_t(i)].out_size());
    return;
  }
  for (std::size_t i = 0; i + 1 < blocks_.size(); ++i) {
    outputs_[i] = plan.reserve<T>(text(name_, '.', i, ".out"), MemoryClass::activations,
                                  {batch_, std::int64_t(blocks_[i].out_size())}, "batch");
    if (i > 0)
      plan.release(outputs_[i - 1]);
  }
  if (blocks_.size() > 1)
    plan.release(outputs_[blocks_.size() - 2]);
}

template <class T> void ConvStack<T>::plan_backward(MemoryPlan &plan) {
  for (int i = last(); i >= 0; --i) {
    if (i > 0 && !is_made_of_last(i - 1))
      gradient_[std::size_t(i - 1)] = reserve(plan, text(i - 1, ".d_out"), blocks_[std::size_t(i)].in_size());
    for (const Stored &done : {gradient_[std::size_t(i)], pre_[std::size_t(i)]})
      plan.release(done.whole, done.half);
  }
}

template <class T> void ConvStack<T>::work_in(const StackScratch<T> &scratch) {
  input_ = scratch.input, pre_piece_ = scratch.pre, gradient_piece_ = scratch.gradient;
  for (auto &block : blocks_)
    block.work_in(scratch.workspace);
}

template <class T> template <class F> void ConvStack<T>::for_pieces(F f) const {
  for (int first = 0; first < batch_; first += piece_)
    f(Piece{first, std::min(piece_, batch_ - first)});
}

template <class T>
void ConvStack<T>::store(Stream &s, const Stored &to, const T *from, std::size_t sample, const Piece &piece) const {
  const std::size_t at = std::size_t(piece.first) * sample, n = std::size_t(piece.samples) * sample;
  if constexpr (std::is_same_v<T, float>)
    if (half_)
      return narrow(s, to.half + at, from, n);
  if (T *there = to.whole + at; there != from)
    copy(s, there, from, n * sizeof(T));
}

// The input of block i for a piece: x, or in input_. Uses pre_piece_.
template <class T>
const T *ConvStack<T>::input(Stream &s, const Parameters<T> &p, int i, const Piece &piece, const T *x) const {
  if (i == 0)
    return x + std::size_t(piece.first) * in_size();
  with_pre(s, p, i - 1, piece, x,
           [&](const auto *pre) { blocks_[std::size_t(i - 1)].normalise(s, p, input_, pre, piece.samples); });
  return input_;
}

// Hands f what block i's convolution gave for a piece: as it is stored, or in pre_piece_, its input then being in
// input_.
template <class T>
template <class F>
void ConvStack<T>::with_pre(Stream &s, const Parameters<T> &p, int i, const Piece &piece, const T *x, F f) const {
  const auto &block = blocks_[std::size_t(i)];
  const std::size_t at = std::size_t(piece.first) * block.out_size();
  if (!is_kept(i)) {
    block.convolve(s, p, pre_piece_, input(s, p, i, piece, x), piece.samples);
    return f(static_cast<const T *>(pre_piece_.get()));
  }
  const Stored &stored = pre_[std::size_t(i)];
  if constexpr (std::is_same_v<T, float>)
    if (half_)
      return f(static_cast<const bf16 *>(stored.half + at));
  f(static_cast<const T *>(stored.whole + at));
}

template <class T> void ConvStack<T>::forward(Stream &s, const Parameters<T> &p, T *out, const T *x, Mode mode) const {
  if (mode == Mode::infer) {
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      blocks_[i].forward(s, p, i + 1 < blocks_.size() ? outputs_[i] : out, i > 0 ? outputs_[i - 1] : x, mode);
    return;
  }
  for (int i = 0; i <= last(); ++i) {
    const auto &block = blocks_[std::size_t(i)];
    for_pieces([&](const Piece &piece) {
      const T *in = input(s, p, i, piece, x);
      const std::size_t at = std::size_t(piece.first) * block.out_size();
      const Stored &stored = pre_[std::size_t(i)];
      T *pre = !block.has_norm() ? out + at : stored && !half_ ? stored.whole + at : pre_piece_.get();
      block.convolve(s, p, pre, in, piece.samples);
      if (!block.has_norm())
        return;
      block.add_moments(s, pre, double(piece.first) * block.out_length(), piece.samples);
      if (stored)
        store(s, stored, pre, block.out_size(), piece);
    });
    if (block.has_norm())
      block.settle(s, p);
  }
  if (blocks_.back().has_norm())
    for_pieces([&](const Piece &piece) {
      with_pre(s, p, last(), piece, x, [&](const auto *pre) {
        blocks_.back().normalise(s, p, out + std::size_t(piece.first) * out_size(), pre, piece.samples);
      });
    });
}

// The gradient of block i's output for a piece, where it may be overwritten.
template <class T>
T *ConvStack<T>::output_gradient(Stream &s, const Parameters<T> &p, int i, const Piece &piece, T *d_out) const {
  const auto &block = blocks_[std::size_t(i)];
  const std::size_t sample = block.out_size(), at = std::size_t(piece.first) * sample;
  if (i == last())
    return d_out + at;
  if (is_made_of_last(i)) {
    blocks_.back().input_gradient(s, p, gradient_piece_, d_out + std::size_t(piece.first) * out_size(), piece.samples);
    return gradient_piece_;
  }
  const Stored &stored = gradient_[std::size_t(i)];
  if constexpr (std::is_same_v<T, float>)
    if (half_) {
      widen(s, gradient_piece_, stored.half + at, std::size_t(piece.samples) * sample);
      return gradient_piece_;
    }
  return stored.whole + at;
}

template <class T>
void ConvStack<T>::backward(Stream &s, const Parameters<T> &p, int i, T *dx, T *d_out, const T *x) const {
  const auto &block = blocks_[std::size_t(i)];
  const bool at_once = piece_ == batch_ && !half_;
  if (block.has_norm() && !at_once) {
    block.clear_sums(s);
    for_pieces([&](const Piece &piece) {
      const T *d = output_gradient(s, p, i, piece, d_out);
      with_pre(s, p, i, piece, x, [&](const auto *pre) { block.add_gradient_sums(s, p, d, pre, piece.samples); });
    });
  }
  for_pieces([&](const Piece &piece) {
    T *d = output_gradient(s, p, i, piece, d_out);
    if (block.has_norm())
      with_pre(s, p, i, piece, x, [&](const auto *pre) {
        if constexpr (std::is_same_v<decltype(pre), const T *>)
          if (at_once)
            return block.whole_norm_gradient(s, p, d, d, pre);
        block.norm_gradient(s, p, d, d, pre, piece.samples);
      });
    const bool input_is_there = i > 0 && block.has_norm() && !is_kept(i); // with_pre has made it
    block.weight_gradient(s, p, d, input_is_there ? input_ : input(s, p, i, piece, x), piece.samples);
    const std::size_t at = std::size_t(piece.first) * block.in_size();
    if (i == 0 && dx) {
      block.input_gradient(s, p, dx + at, d, piece.samples);
    } else if (i > 0 && !is_made_of_last(i - 1)) {
      const Stored &stored = gradient_[std::size_t(i - 1)];
      T *to = half_ ? pre_piece_.get() : stored.whole + at;
      block.input_gradient(s, p, to, d, piece.samples);
      store(s, stored, to, block.in_size(), piece);
    }
  });
}

template <class T> void ConvStack<T>::backward(Stream &s, const Parameters<T> &p, T *dx, T *d_out, const T *x) const {
  for (int i = last(); i >= 0; --i)
    backward(s, p, i, dx, d_out, x);
}

template class ConvStack<float>;
template class ConvStack<double>;

} // namespace theta
