#include "conv_tiles.h"
#include "kernels/operations/gather.h"
#include <algorithm>
#include <utility>

namespace theta {

namespace {

int down(int x, int unit) { return x >= 0 ? x / unit * unit : -((-x + unit - 1) / unit * unit); }
int up(int x, int unit) { return -down(-x, unit); }

} // namespace

template <class T>
ConvTiles<T>::ConvTiles(std::string name, std::vector<ConvBlock<T>> blocks, int tile)
    : name_(std::move(name)), blocks_(std::move(blocks)), longest_(length(-1)) {
  int shortest = longest_;
  for (int i = 0; i <= last(); ++i)
    longest_ = std::max(longest_, length(i)), shortest = std::min(shortest, length(i));
  const int unit = longest_ / shortest;
  tile_ = std::min(longest_, up(std::max(tile, 1), unit));
}

template <class T> int ConvTiles<T>::halo(int i) const {
  return (block(i).kernel() / 2 + block(i).stride() - 1) / block(i).stride();
}

// A transposed block makes whole strides of its output.
template <class T> auto ConvTiles<T>::aligned(int i, Range r) const -> Range {
  const int unit = i >= 0 && block(i).transposed() ? block(i).stride() : 1;
  return {down(r.first, unit), up(r.last, unit)};
}

template <class T> auto ConvTiles<T>::reads(int i, const Range &out) const -> Range {
  const int s = block(i).stride(), h = halo(i);
  const Range in = block(i).transposed() ? Range{down(out.first, s) / s - h, up(out.last, s) / s + h}
                                         : Range{(out.first - h) * s, (out.last + h) * s};
  const Range whole = aligned(i - 1, in);
  return block(i).transposed() ? whole : Range{down(whole.first, s), up(whole.last, s)};
}

template <class T> auto ConvTiles<T>::made_of(int i, const Range &in) const -> Range {
  const int s = block(i).stride();
  return block(i).transposed() ? Range{in.first * s, in.last * s} : Range{in.first / s, in.last / s};
}

template <class T> auto ConvTiles<T>::needs(int i, const Range &in) const -> Range {
  const int s = block(i).stride(), h = halo(i);
  return block(i).transposed() ? Range{(in.first - h) * s, (in.last + h) * s}
                               : Range{down(in.first, s) / s - h, up(in.last, s) / s + h};
}

template <class T> auto ConvTiles<T>::back_of(int i, const Range &out) const -> Range {
  const int s = block(i).stride();
  return block(i).transposed() ? Range{out.first / s, out.last / s} : Range{out.first * s, out.last * s};
}

template <class T> Stretch ConvTiles<T>::stretch(int i, const Range &out) const {
  return {batch_, back_of(i, out).length()};
}

template <class T> auto ConvTiles<T>::forward_pass(int top, const Range &out) const -> Pass {
  Pass pass{top, std::vector<Range>(blocks_.size(), Range{0, 0}), std::vector<Range>(blocks_.size(), Range{0, 0})};
  pass.pre[std::size_t(top)] = aligned(top, out);
  for (int j = top; j > 0; --j)
    pass.pre[std::size_t(j - 1)] = reads(j, pass.pre[std::size_t(j)]);
  return pass;
}

template <class T> auto ConvTiles<T>::backward_pass(int i, const Range &in) const -> Pass {
  const int top = block(last()).has_norm() ? last() : last() - 1;
  Pass pass{top, std::vector<Range>(blocks_.size(), Range{0, 0}), std::vector<Range>(blocks_.size(), Range{0, 0})};
  pass.gradient[std::size_t(i)] = needs(i, in);
  for (int j = i + 1; j <= last(); ++j)
    pass.gradient[std::size_t(j)] = needs(j, pass.gradient[std::size_t(j - 1)]);
  for (int j = top; j >= 0; --j) {
    Range wanted = j >= i ? pass.gradient[std::size_t(j)] : Range{0, 0};
    if (j < top)
      wanted = wanted.with(reads(j + 1, pass.pre[std::size_t(j + 1)]));
    if (j == i - 1)
      wanted = wanted.with(in).with(reads(i, made_of(i, in)));
    pass.pre[std::size_t(j)] = aligned(j, wanted);
  }
  return pass;
}

template <class T> template <class F> void ConvTiles<T>::for_tiles(int i, F f) const {
  const int whole = length(i), tile = std::max(1, int(std::int64_t(tile_) * whole / longest_));
  for (int first = 0; first < whole; first += tile)
    f(Range{first, std::min(first + tile, whole)});
}

// gradient_of: the block whose gradients the pass makes, −1 for none.
template <class T> void ConvTiles<T>::cover(Needs &n, Backend backend, const Pass &pass, int gradient_of) const {
  const auto most = [](std::size_t &of, std::size_t is) { of = std::max(of, is); };
  const auto convolution = [&](int i, const Range &in) {
    most(n.workspace, block(i).workspace(backend, {batch_, in.length()}));
    most(n.wide, std::max(size(i, made_of(i, in)), size(i - 1, in)));
    n.zeros = std::max({n.zeros, in.length(), made_of(i, in).length()});
  };
  for (int j = 0; j <= pass.top; ++j) {
    const Range in = reads(j, pass.pre[std::size_t(j)]);
    most(n.pre[std::size_t(j)], size(j, pass.pre[std::size_t(j)]));
    most(n.input, size(j - 1, in));
    convolution(j, in);
  }
  for (int j = gradient_of; j >= 0 && j <= last(); ++j) {
    const Range d = pass.gradient[std::size_t(j)];
    most(n.gradient, size(j, d)), most(n.other, size(j, d));
    convolution(j, back_of(j, d));
  }
  if (gradient_of < 0)
    return;
  // Its weights: the input of a tile, and the gradient with zeros around.
  const Range in = back_of(gradient_of, pass.gradient[std::size_t(gradient_of)]);
  const Range read = reads(gradient_of, made_of(gradient_of, in));
  most(n.input, size(gradient_of - 1, read)), most(n.other, size(gradient_of, made_of(gradient_of, read)));
  most(n.other, size(gradient_of - 1, in)), most(n.gradient, size(gradient_of - 1, in));
  convolution(gradient_of, read);
}

template <class T> void ConvTiles<T>::plan(MemoryPlan &plan, Backend backend, int batch, Mode mode) {
  check_unplanned(name_, batch_);
  batch_ = batch;
  Needs n;
  n.pre.assign(blocks_.size(), 1);
  for (int i = 0; i <= last(); ++i) {
    bool done = false; // the first tile is as long as any
    for_tiles(i, [&](const Range &tile) {
      if (!std::exchange(done, true))
        cover(n, backend, forward_pass(i, tile), -1);
    });
    done = mode == Mode::infer;
    for_tiles(i - 1, [&](const Range &tile) {
      if (!std::exchange(done, true))
        cover(n, backend, backward_pass(i, tile), i);
    });
  }
  const auto reserve = [&](const std::string &what, std::size_t rows, std::size_t elements) {
    return plan.reserve<T>(name_ + "." + what, MemoryClass::workspace, {std::int64_t(rows), std::int64_t(elements)},
                           "batch, fit.tile");
  };
  const auto b = std::size_t(batch);
  for (int i = 0; i <= last(); ++i) {
    blocks_[std::size_t(i)].plan_steps(plan, text(name_, '.', i), batch);
    pre_.push_back(reserve(text(i, ".pre"), b, n.pre[std::size_t(i)]));
  }
  input_ = reserve("input", b, n.input), wide_ = reserve("wide", b, n.wide);
  gradient_ = reserve("gradient", b, n.gradient), other_ = reserve("other", b, n.other);
  zero_count_ = n.zeros;
  zeros_ = reserve("zeros", 1, std::size_t(n.zeros));
  const auto workspace = reserve("workspace", 1, n.workspace);
  for (auto &of : blocks_)
    of.work_in(workspace);
}

template <class T>
void ConvTiles<T>::crop(Stream &s, T *to, const Range &part, const T *from, const Range &of, int i) const {
  copy_rows<T>(s, to, std::size_t(part.length()), from + (part.first - of.first), std::size_t(of.length()),
               batch_ * channels(i), std::size_t(part.length()));
}

template <class T> void ConvTiles<T>::clear_outside(Stream &s, T *x, const Range &r, int i) const {
  const auto clear = [&](int first, int count) {
    if (count > 0)
      copy_rows<T>(s, x + first, std::size_t(r.length()), zeros_, 0, batch_ * channels(i), std::size_t(count));
  };
  const int whole = length(i);
  clear(0, std::min(r.length(), -r.first));
  const int beyond = std::min(r.length(), r.last - whole);
  clear(r.length() - std::max(0, beyond), beyond);
}

template <class T> void ConvTiles<T>::crop_whole(Stream &s, T *to, const Range &part, const T *whole, int i) const {
  const Range there{std::max(part.first, 0), std::min(part.last, length(i))};
  if (!there.is_empty())
    copy_rows<T>(s, to + (there.first - part.first), std::size_t(part.length()), whole + there.first,
                 std::size_t(length(i)), batch_ * channels(i), std::size_t(there.length()));
  clear_outside(s, to, part, i);
}

template <class T> void ConvTiles<T>::put_whole(Stream &s, T *whole, const Range &tile, const T *from, int i) const {
  copy_rows<T>(s, whole + tile.first, std::size_t(length(i)), from, std::size_t(tile.length()), batch_ * channels(i),
               std::size_t(tile.length()));
}

// What block i + 1 reads, on a range: x, or block i's activation.
template <class T>
void ConvTiles<T>::activation(Stream &s, const Parameters<T> &p, const Pass &pass, int i, const Range &r,
                              const T *x) const {
  if (i < 0)
    return crop_whole(s, input_, r, x, -1);
  crop(s, input_, r, pre_[std::size_t(i)], pass.pre[std::size_t(i)], i);
  block(i).normalise(s, p, input_, static_cast<const T *>(input_.get()), stretch(i, r));
  clear_outside(s, input_, r, i);
}

template <class T> void ConvTiles<T>::run(Stream &s, const Parameters<T> &p, const Pass &pass, const T *x) const {
  for (int j = 0; j <= pass.top; ++j) {
    const Range in = reads(j, pass.pre[std::size_t(j)]);
    activation(s, p, pass, j - 1, in, x);
    block(j).convolve(s, p, wide_, input_, {batch_, in.length()});
    crop(s, pre_[std::size_t(j)], pass.pre[std::size_t(j)], wide_, made_of(j, in), j);
  }
}

template <class T> void ConvTiles<T>::forward(Stream &s, const Parameters<T> &p, T *out, const T *x, Mode mode) const {
  fill_zero(s, zeros_, std::size_t(zero_count_) * sizeof(T));
  for (int i = 0; i <= last(); ++i) {
    if (!block(i).has_norm())
      continue;
    if (mode == Mode::infer) {
      block(i).settle_running(s, p);
      continue;
    }
    double seen = 0;
    for_tiles(i, [&](const Range &tile) {
      run(s, p, forward_pass(i, tile), x);
      block(i).add_moments(s, pre_[std::size_t(i)], seen, stretch(i, tile));
      seen += double(batch_) * tile.length();
    });
    block(i).settle(s, p);
  }
  for_tiles(last(), [&](const Range &tile) {
    run(s, p, forward_pass(last(), tile), x);
    T *made = pre_[std::size_t(last())];
    if (block(last()).has_norm())
      block(last()).normalise(s, p, made, static_cast<const T *>(made), stretch(last(), tile));
    put_whole(s, out, tile, made, last());
  });
}

// Gradients of block i's weights from a tile of its input, and the gradient before it: into dx, or into the sums of the
// norm there.
template <class T>
void ConvTiles<T>::backward(Stream &s, const Parameters<T> &p, int i, const Range &in, T *dx, const T *d_out,
                            const T *x) const {
  const Pass pass = backward_pass(i, in);
  run(s, p, pass, x);
  T *d = gradient_;
  crop_whole(s, d, pass.gradient[std::size_t(last())], d_out, last());
  for (int j = last(); j >= i; --j) { // d: the gradient after block j, and then of its `pre`
    const Range r = pass.gradient[std::size_t(j)];
    if (block(j).has_norm()) {
      crop(s, other_, r, pre_[std::size_t(j)], pass.pre[std::size_t(j)], j);
      block(j).norm_gradient(s, p, d, static_cast<const T *>(d), static_cast<const T *>(other_.get()), stretch(j, r));
      clear_outside(s, d, r, j);
    }
    if (j == i)
      break;
    block(j).input_gradient(s, p, wide_, d, stretch(j, r));
    crop(s, d, pass.gradient[std::size_t(j - 1)], wide_, back_of(j, r), j - 1);
    clear_outside(s, d, pass.gradient[std::size_t(j - 1)], j - 1);
  }
  const Range r = pass.gradient[std::size_t(i)], tile = made_of(i, in), read = reads(i, tile),
              around = made_of(i, read);
  fill_zero(s, other_, size(i, around) * std::size_t(batch_) * sizeof(T));
  copy_rows<T>(s, other_ + (tile.first - around.first), std::size_t(around.length()), d + (tile.first - r.first),
               std::size_t(r.length()), batch_ * channels(i), std::size_t(tile.length()));
  activation(s, p, pass, i - 1, read, x);
  block(i).weight_gradient(s, p, other_, input_, {batch_, read.length()});
  if (i == 0 && !dx)
    return;
  block(i).input_gradient(s, p, wide_, d, stretch(i, r));
  crop(s, d, in, wide_, back_of(i, r), i - 1);
  if (i == 0)
    return put_whole(s, dx, in, d, -1);
  crop(s, other_, in, pre_[std::size_t(i - 1)], pass.pre[std::size_t(i - 1)], i - 1);
  block(i - 1).add_gradient_sums(s, p, d, static_cast<const T *>(other_.get()), stretch(i - 1, in));
}

template <class T>
void ConvTiles<T>::backward(Stream &s, const Parameters<T> &p, T *dx, const T *d_out, const T *x) const {
  for (int i = 0; i <= last(); ++i)
    if (block(i).has_norm())
      block(i).clear_sums(s);
  if (block(last()).has_norm())
    for_tiles(last(), [&](const Range &tile) {
      run(s, p, forward_pass(last(), tile), x);
      crop_whole(s, gradient_, tile, d_out, last());
      block(last()).add_gradient_sums(s, p, gradient_, static_cast<const T *>(pre_[std::size_t(last())].get()),
                                      stretch(last(), tile));
    });
  for (int i = last(); i >= 0; --i)
    for_tiles(i - 1, [&](const Range &in) { backward(s, p, i, in, dx, d_out, x); });
}

template class ConvTiles<float>;
template class ConvTiles<double>;

} // namespace theta
