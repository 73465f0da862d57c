// On the cpu: a head of one sample at a time, in blocks of queries times blocks of keys, whose scores and gradients are
// products of tiles (product.h). Blocks are copied first, as numbers of the arithmetic and with rows of whole packs.
#include "attention.h"
#include "attention_short.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/product.h"
#include "kernels/parts/scratch.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace theta {

namespace cuda {
decltype(theta::attention_forward<float>) attention_forward;
decltype(theta::attention_forward<bf16>) attention_forward;
decltype(theta::attention_backward<float>) attention_backward;
decltype(theta::attention_backward<bf16>) attention_backward;
} // namespace cuda

namespace {

using namespace simd;

constexpr int block = 64; // tokens of a block: scores are [block, block]

// One head of one sample: where its tokens' vectors lie.
template <class T> struct Head {
  const T *q, *k, *v;
  std::size_t step, out_step; // from token to token
  const std::uint8_t *mask;
  std::size_t first; // of its part of a [batch, tokens, heads, head] tensor

  Head(const T *qkv, const std::uint8_t *key_mask, const Attention &p, std::size_t pair)
      : step(std::size_t(3) * p.heads * p.head), out_step(std::size_t(p.heads) * p.head) {
    const std::size_t b = pair / p.heads, h = pair % p.heads;
    q = qkv + b * p.tokens * step + h * p.head, k = q + out_step, v = k + out_step;
    mask = key_mask ? key_mask + b * p.tokens : nullptr;
    first = b * p.tokens * out_step + h * p.head;
  }
};

// A thread's copies: W is what sums are made in. Rows are `wide` apart, those of transposed blocks `block`.
template <class W> class Blocks {
public:
  explicit Blocks(const Attention &p)
      : head_(p.head), wide((p.head + lanes<W> - 1) / lanes<W> * lanes<W>), scale(1 / std::sqrt(W(p.head))) {
    const std::size_t rows = std::size_t(block) * std::size_t(wide), square = std::size_t(block) * block;
    const std::size_t tokens = std::size_t(p.tokens + block) * std::size_t(wide);
    for (W **piece : {&q, &k, &v, &d, &transposed_k, &transposed_v, &first, &second})
      *piece = scratch_.take<W>(rows);
    scores = scratch_.take<W>(square), gradients = scratch_.take<W>(square), all = scratch_.take<W>(tokens + lanes<W>);
  }

  // `count` tokens as rows.
  template <class T> void copy(W *to, const T *from, std::size_t step, int count) const {
    const int row = wide, head = head_;
    for (int r = 0; r < count; ++r, from += step, to += row)
      for (int c = 0; c < row; c += lanes<W>)
        store(to + c, load_wide<Pack<W>>(from + c, head - c));
  }
  // to [wide, block] = rows [count, wide] transposed.
  void transpose(W *to, const W *rows, int count) const { transpose_into(to, block, rows, wide, count, wide); }

  // multiply_block, with columns in whole packs.
  void product(W *c, int c_row, const W *a, int a_row, int a_step, const W *b, int b_row, int rows, int columns, int k,
               bool accumulate) const {
    const int whole = (columns + lanes<W> - 1) / lanes<W> * lanes<W>;
    multiply_block(c, c_row, a, a_row, a_step, b, b_row, rows, whole, k, accumulate);
  }

private:
  Scratch scratch_;
  int head_;

public:
  int wide;
  W scale;
  W *q, *k, *v, *d, *transposed_k, *transposed_v; // copies of one block of tokens
  W *first, *second;                              // sums of one block
  W *scores, *gradients;                          // [block, block]
  W *all;                                         // [tokens, wide]
};

template <class F> void for_pairs(const Attention &p, F f) {
  parallel_for(long(p.pairs()), double(p.pairs()) * p.tokens * p.tokens * p.head,
               [&](long pair) { f(std::size_t(pair)); });
}

// Keys of a block from j0 on that query i sees.
int keys_seen(const Attention &p, int i, int j0, int keys) { return p.causal ? std::clamp(i + 1 - j0, 0, keys) : keys; }

// Calls f(first token, tokens) for every block.
template <class F> void for_blocks(const Attention &p, F f) {
  for (int i = 0; i < p.tokens; i += block)
    f(i, std::min(block, p.tokens - i));
}

} // namespace

template <class T>
void attention_forward(Stream &s, T *out, Wide<T> *log_sum, const T *qkv, const std::uint8_t *key_mask,
                       const Attention &p) {
  const Span span(s, "attention_forward", 4.0 * p.pairs() * p.tokens * p.head * sizeof(T),
                  4.0 * p.pairs() * p.tokens * p.tokens * p.head);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::attention_forward(s, out, log_sum, qkv, key_mask, p);
  using W = Wide<T>;
  using P = Pack<W>;
  if (is_short(p))
    return for_pair_groups<W>(
        p, [&](std::size_t first) { short_attention_forward(out, log_sum, qkv, key_mask, p, first); });
  constexpr W none = -std::numeric_limits<W>::infinity();
  const P most_negative = broadcast<P>(none);
  for_pairs(p, [&](std::size_t pair) {
    const Head<T> head(qkv, key_mask, p, pair);
    const Blocks<W> of(p);
    for_blocks(p, [&](int i0, int queries) {
      W largest[block], sum[block]; // of a query's keys so far
      std::fill_n(largest, queries, none), std::fill_n(sum, queries, W(0));
      of.copy(of.q, head.q + i0 * head.step, head.step, queries);
      std::fill_n(of.first, queries * of.wide, W(0));
      for_blocks(p, [&](int j0, int keys) {
        if (p.causal && j0 >= i0 + queries)
          return;
        of.copy(of.k, head.k + j0 * head.step, head.step, keys);
        of.copy(of.v, head.v + j0 * head.step, head.step, keys);
        of.transpose(of.transposed_k, of.k, keys);
        of.product(of.scores, block, of.q, of.wide, 1, of.transposed_k, block, queries, keys, p.head, false);
        for (int i = 0; i < queries; ++i) {
          W *score = of.scores + i * block;
          const int seen = keys_seen(p, i0 + i, j0, keys);
          P most = broadcast<P>(none);
          for (int j = 0; j < keys; j += lanes<W>) {
            P x = of.scale * load<P>(score + j);
            x = counting<P>() < W(seen - j) ? x : most_negative;
            if (head.mask)
              for (int lane = 0; lane < lanes<W> && j + lane < keys; ++lane)
                x[lane] = head.mask[j0 + j + lane] ? x[lane] : none;
            store(score + j, x);
            most = larger(most, x);
          }
          const W before = largest[i];
          largest[i] = std::max(before, simd::largest(most));
          if (largest[i] == none)
            continue;
          RowSum<W> here;
          for (int j = 0; j < keys; j += lanes<W>) {
            const P x = load<P>(score + j), weight = x == none ? P{} : simd::exp(x - largest[i]);
            here.add(j, weight);
            store(score + j, weight);
          }
          const W shrink = before == none ? W(0) : std::exp(before - largest[i]);
          sum[i] = sum[i] * shrink + here.total();
          if (j0 > 0)
            for (int c = 0; c < of.wide; ++c)
              of.first[i * of.wide + c] *= shrink;
        }
        for (int i = 0; i < queries; ++i)
          if (largest[i] == none)
            std::fill_n(of.scores + i * block, keys, W(0));
        of.product(of.first, of.wide, of.scores, block, 1, of.v, of.wide, queries, of.wide, keys, true);
      });
      for (int i = 0; i < queries; ++i) {
        T *to = out + head.first + (i0 + i) * head.out_step;
        const W share = sum[i] > 0 ? 1 / sum[i] : W(0);
        for (int c = 0; c < p.head; c += lanes<W>)
          store_rounded(to + c, load<P>(of.first + i * of.wide + c) * share, p.head - c);
        log_sum[pair * p.tokens + i0 + i] = sum[i] > 0 ? largest[i] + std::log(sum[i]) : none;
      }
    });
  });
}

template <class T>
void attention_backward(Stream &s, T *dqkv, const T *dout, const T *out, const Wide<T> *log_sum, const T *qkv,
                        const std::uint8_t *key_mask, Wide<T> *workspace, const Attention &p) {
  const Span span(s, "attention_backward", 8.0 * p.pairs() * p.tokens * p.head * sizeof(T),
                  10.0 * p.pairs() * p.tokens * p.tokens * p.head);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::attention_backward(s, dqkv, dout, out, log_sum, qkv, key_mask, workspace, p);
  using W = Wide<T>;
  using P = Pack<W>;
  if (is_short(p))
    return for_pair_groups<W>(p, [&](std::size_t first) {
      short_attention_backward(dqkv, dout, out, log_sum, qkv, key_mask, workspace, p, first);
    });
  for_pairs(p, [&](std::size_t pair) {
    const Head<T> head(qkv, key_mask, p, pair);
    const Blocks<W> of(p);
    const T *d = dout + head.first, *o = out + head.first;
    const W *log_sums = log_sum + pair * p.tokens;
    W *through = workspace + pair * p.tokens;
    for (int i = 0; i < p.tokens; ++i) {
      through[i] = row_sum<W>(p.head, [&, row = i * head.out_step](int c, int count) {
        return load_wide<P>(d + row + c, count) * load_wide<P>(o + row + c, count);
      });
    }
    const auto give = [&](const T *of_input, int first, const W *sums, int count) { // to the gradient of q, k or v
      T *to = dqkv + (of_input - qkv) + first * head.step;
      for (int i = 0; i < count; ++i, to += head.step, sums += of.wide)
        for (int c = 0; c < p.head; c += lanes<W>)
          store_rounded(to + c, load<P>(sums + c), p.head - c);
    };
    std::fill_n(of.all, p.tokens * of.wide, W(0));
    for_blocks(p, [&](int j0, int keys) {
      of.copy(of.k, head.k + j0 * head.step, head.step, keys);
      of.copy(of.v, head.v + j0 * head.step, head.step, keys);
      of.transpose(of.transposed_k, of.k, keys), of.transpose(of.transposed_v, of.v, keys);
      std::fill_n(of.first, keys * of.wide, W(0)), std::fill_n(of.second, keys * of.wide, W(0));
      for_blocks(p, [&](int i0, int queries) {
        if (p.causal && j0 >= i0 + queries)
          return;
        of.copy(of.q, head.q + i0 * head.step, head.step, queries);
        of.copy(of.d, d + i0 * head.out_step, head.out_step, queries);
        of.product(of.scores, block, of.q, of.wide, 1, of.transposed_k, block, queries, keys, p.head, false);
        of.product(of.gradients, block, of.d, of.wide, 1, of.transposed_v, block, queries, keys, p.head, false);
        for (int i = 0; i < queries; ++i) {
          W *weight = of.scores + i * block, *gradient = of.gradients + i * block;
          const W log_of = log_sums[i0 + i];
          const int seen = keys_seen(p, i0 + i, j0, keys);
          for (int j = 0; j < keys; j += lanes<W>) {
            P w = std::isfinite(log_of) ? simd::exp(of.scale * load<P>(weight + j) - log_of) : P{};
            w = counting<P>() < W(seen - j) ? w : P{};
            if (head.mask)
              for (int lane = 0; lane < lanes<W> && j + lane < keys; ++lane)
                w[lane] = head.mask[j0 + j + lane] ? w[lane] : W(0);
            store(weight + j, w);
            store(gradient + j, w * (load<P>(gradient + j) - through[i0 + i]) * of.scale);
          }
        }
        of.product(of.all + i0 * of.wide, of.wide, of.gradients, block, 1, of.k, of.wide, queries, of.wide, keys, true);
        of.product(of.first, of.wide, of.gradients, 1, block, of.q, of.wide, keys, of.wide, queries, true);
        of.product(of.second, of.wide, of.scores, 1, block, of.d, of.wide, keys, of.wide, queries, true);
      });
      give(head.k, j0, of.first, keys), give(head.v, j0, of.second, keys);
    });
    give(head.q, 0, of.all, p.tokens);
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void attention_forward(Stream &, T *, Wide<T> *, const T *, const std::uint8_t *, const Attention &);       \
  template void attention_backward(Stream &, T *, const T *, const T *, const Wide<T> *, const T *,                    \
                                   const std::uint8_t *, Wide<T> *, const Attention &);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(bf16)
THETA_INSTANTIATE(double)

} // namespace theta
