// On the cpu: attention of few tokens, as many pairs of a sample and a head at a time as a pack has lanes, one lane a
// pair. Blocks of queries and keys (attention.cpp) would be mostly padding there; lanes are none. A group's tensors are
// transposed on their way in and out: [token, element] of packs between.
#pragma once
#include "attention.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"
#include <cmath>
#include <limits>
#include <vector>

namespace theta::simd {

// So that what a group works on lies in a core's second cache.
inline bool is_short(const Attention &p) { return p.tokens <= 16 && p.tokens * p.head <= 512; }

// A [rows, depth] matrix of packs in memory: element (r, k) is at + (r·row + k·step) packs.
template <class W> struct PackMatrix {
  W *at;
  int row, step;
};

// c = a·bᵀ for I rows of a and J rows of b from (i, j) on.
template <int I, int J, class W>
inline void multiply_packs_tile(const PackMatrix<W> &c, const PackMatrix<W> &a, const PackMatrix<W> &b, int i, int j,
                                int depth) {
  using P = Pack<W>;
  constexpr int L = lanes<W>;
  P sum[I][J] = {};
  const W *from = a.at + std::size_t(i) * a.row * L, *with = b.at + std::size_t(j) * b.row * L;
  for (int k = 0; k < depth; ++k, from += a.step * L, with += b.step * L) {
    P of[J];
#pragma GCC unroll 4
    for (int y = 0; y < J; ++y)
      of[y] = load<P>(with + y * b.row * L);
#pragma GCC unroll 4
    for (int x = 0; x < I; ++x) {
      const P value = load<P>(from + x * a.row * L);
#pragma GCC unroll 4
      for (int y = 0; y < J; ++y)
        sum[x][y] = multiply_add(value, of[y], sum[x][y]);
    }
  }
#pragma GCC unroll 4
  for (int x = 0; x < I; ++x)
#pragma GCC unroll 4
    for (int y = 0; y < J; ++y)
      store(c.at + (std::size_t(i + x) * c.row + std::size_t(j + y) * c.step) * L, sum[x][y]);
}

template <class W>
void multiply_packs(const PackMatrix<W> &c, const PackMatrix<W> &a, const PackMatrix<W> &b, int rows, int columns,
                    int depth) {
  int i = 0;
  for (; i + 4 <= rows; i += 4) {
    int j = 0;
    for (; j + 4 <= columns; j += 4)
      multiply_packs_tile<4, 4>(c, a, b, i, j, depth);
    for (; j < columns; ++j)
      multiply_packs_tile<4, 1>(c, a, b, i, j, depth);
  }
  for (; i < rows; ++i) {
    int j = 0;
    for (; j + 4 <= columns; j += 4)
      multiply_packs_tile<1, 4>(c, a, b, i, j, depth);
    for (; j < columns; ++j)
      multiply_packs_tile<1, 1>(c, a, b, i, j, depth);
  }
}

// The pairs of one group, from `first` on; lanes beyond the last pair repeat it, and give nothing back.
template <class T> class PairGroup {
public:
  using W = Wide<T>;
  using P = Pack<W>;
  static constexpr int L = lanes<W>;

  PairGroup(const Attention &p, const std::uint8_t *key_mask, std::size_t first) : p_(p), first_(first) {
    const std::size_t tensor = std::size_t(p.tokens) * p.head * L, square = std::size_t(p.tokens) * p.tokens * L;
    thread_local std::vector<W> memory; // grows to the largest shape seen
    memory.resize(std::max(memory.size(), 8 * tensor + 2 * square));
    W *at = memory.data();
    for (W **piece : {&q, &k, &v, &d, &dq, &dk, &dv, &out})
      *piece = at, at += tensor;
    weight = at, gradient = at + square;
    count_ = int(std::min<std::size_t>(L, p.pairs() - first));
    for (int lane = 0; lane < L; ++lane) {
      const std::size_t pair = first + std::size_t(std::min(lane, count_ - 1)), b = pair / p.heads, h = pair % p.heads;
      in_[lane] = b * p.tokens * in_step() + h * p.head, out_[lane] = b * p.tokens * out_step() + h * p.head;
      mask_[lane] = key_mask ? key_mask + b * p.tokens : nullptr;
    }
  }

  std::size_t in_step() const { return std::size_t(3) * p_.heads * p_.head; }
  std::size_t out_step() const { return std::size_t(p_.heads) * p_.head; }

  // to [tokens, head] of packs = the q (0), k (1) or v (2) of qkv; of a tensor like out.
  void take(W *to, const T *qkv, int which) const { gather(to, qkv + std::size_t(which) * out_step(), in_, in_step()); }
  void take(W *to, const T *tensor) const { gather(to, tensor, out_, out_step()); }
  void give(T *qkv, int which, const W *from) const {
    scatter(qkv + std::size_t(which) * out_step(), from, in_, in_step());
  }
  void give(T *tensor, const W *from) const { scatter(tensor, from, out_, out_step()); }

  // 1 where key j exists, else 0.
  P exists(int j) const {
    P x = broadcast<P>(W(1));
    if (mask_[0])
      for (int lane = 0; lane < L; ++lane)
        x[lane] = mask_[lane][j] ? W(1) : W(0);
    return x;
  }
  bool masked() const { return mask_[0] != nullptr; }

  // A number a query from and to [batch, heads, tokens].
  P numbers(const W *from, int i) const {
    P x;
    for (int lane = 0; lane < L; ++lane)
      x[lane] = from[(first_ + std::size_t(std::min(lane, count_ - 1))) * p_.tokens + i];
    return x;
  }
  void give_numbers(W *to, int i, P x) const {
    for (int lane = 0; lane < count_; ++lane)
      to[(first_ + std::size_t(lane)) * p_.tokens + i] = x[lane];
  }

  // [tokens, head] tensors by tokens and by elements; [tokens, tokens] ones by queries and by keys.
  PackMatrix<W> by_token(W *x) const { return {x, p_.head, 1}; }
  PackMatrix<W> by_element(W *x) const { return {x, 1, p_.head}; }
  PackMatrix<W> by_query(W *x) const { return {x, p_.tokens, 1}; }
  PackMatrix<W> by_key(W *x) const { return {x, 1, p_.tokens}; }

  W *q, *k, *v, *d, *dq, *dk, *dv, *out; // [tokens, head]
  W *weight, *gradient;                  // [queries, keys]

private:
  void gather(W *to, const T *from, const std::size_t (&first)[L], std::size_t step) const {
    for (int t = 0; t < p_.tokens; ++t)
      for (int e = 0; e < p_.head; e += L) {
        const int elements = std::min(L, p_.head - e);
        P block[L];
#pragma GCC unroll 16
        for (int lane = 0; lane < L; ++lane)
          block[lane] = load_wide<P>(from + first[lane] + t * step + e, elements);
        transpose(block);
        W *at = to + (std::size_t(t) * p_.head + e) * L;
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          if (i < elements)
            store(at + i * L, block[i]);
      }
  }
  void scatter(T *to, const W *from, const std::size_t (&first)[L], std::size_t step) const {
    for (int t = 0; t < p_.tokens; ++t)
      for (int e = 0; e < p_.head; e += L) {
        const int elements = std::min(L, p_.head - e);
        const W *at = from + (std::size_t(t) * p_.head + e) * L;
        P block[L];
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          block[i] = i < elements ? load<P>(at + i * L) : P{};
        transpose(block);
#pragma GCC unroll 16
        for (int lane = 0; lane < L; ++lane)
          if (lane < count_)
            store_rounded(to + first[lane] + t * step + e, block[lane], elements);
      }
  }

  Attention p_;
  std::size_t first_;
  int count_;
  std::size_t in_[L], out_[L];
  const std::uint8_t *mask_[L];
};

template <class T>
void short_attention_forward(T *out, Wide<T> *log_sum, const T *qkv, const std::uint8_t *key_mask, const Attention &p,
                             std::size_t first) {
  using Group = PairGroup<T>;
  using W = typename Group::W;
  using P = typename Group::P;
  constexpr int L = Group::L;
  const P none = broadcast<P>(-std::numeric_limits<W>::infinity());
  const W scale = 1 / std::sqrt(W(p.head));
  const Group of(p, key_mask, first);
  of.take(of.q, qkv, 0), of.take(of.k, qkv, 1), of.take(of.v, qkv, 2);
  multiply_packs(of.by_query(of.weight), of.by_token(of.q), of.by_token(of.k), p.tokens, p.tokens, p.head);
  for (int i = 0; i < p.tokens; ++i) {
    W *weight = of.weight + std::size_t(i) * p.tokens * L;
    P largest = none, sum{};
    const int seen = p.causal ? i + 1 : p.tokens;
    for (int j = 0; j < seen; ++j) {
      P score = scale * load<P>(weight + j * L);
      if (of.masked())
        score = of.exists(j) != 0 ? score : none;
      store(weight + j * L, score), largest = larger(largest, score);
    }
    for (int j = 0; j < seen; ++j) {
      const P score = load<P>(weight + j * L), e = score == none ? P{} : simd::exp(score - largest);
      store(weight + j * L, e), sum += e;
    }
    const P share = sum > 0 ? 1 / sum : P{};
    for (int j = 0; j < p.tokens; ++j)
      store(weight + j * L, j < seen ? load<P>(weight + j * L) * share : P{});
    P logs = none;
    for (int lane = 0; lane < L; ++lane)
      if (sum[lane] > 0)
        logs[lane] = largest[lane] + std::log(sum[lane]);
    of.give_numbers(log_sum, i, logs);
  }
  multiply_packs(of.by_token(of.out), of.by_query(of.weight), of.by_element(of.v), p.tokens, p.head, p.tokens);
  of.give(out, of.out);
}

template <class T>
void short_attention_backward(T *dqkv, const T *dout, const T *out, const Wide<T> *log_sum, const T *qkv,
                              const std::uint8_t *key_mask, Wide<T> *through, const Attention &p, std::size_t first) {
  using Group = PairGroup<T>;
  using W = typename Group::W;
  using P = typename Group::P;
  constexpr int L = Group::L;
  const W scale = 1 / std::sqrt(W(p.head));
  const Group of(p, key_mask, first);
  of.take(of.q, qkv, 0), of.take(of.k, qkv, 1), of.take(of.v, qkv, 2), of.take(of.d, dout), of.take(of.out, out);
  multiply_packs(of.by_query(of.weight), of.by_token(of.q), of.by_token(of.k), p.tokens, p.tokens, p.head);
  multiply_packs(of.by_query(of.gradient), of.by_token(of.d), of.by_token(of.v), p.tokens, p.tokens, p.head);
  for (int i = 0; i < p.tokens; ++i) {
    P dot{};
    for (int e = 0; e < p.head; ++e) {
      const std::size_t at = (std::size_t(i) * p.head + e) * L;
      dot = multiply_add(load<P>(of.d + at), load<P>(of.out + at), dot);
    }
    of.give_numbers(through, i, dot);
    const P logs = of.numbers(log_sum, i);
    for (int j = 0; j < p.tokens; ++j) {
      const std::size_t at = (std::size_t(i) * p.tokens + j) * L;
      P weight = logs - logs == 0 ? simd::exp(scale * load<P>(of.weight + at) - logs) : P{}; // none without a key
      if (of.masked())
        weight *= of.exists(j);
      if (p.causal && j > i)
        weight = P{};
      store(of.weight + at, weight);
      store(of.gradient + at, weight * (load<P>(of.gradient + at) - dot) * scale);
    }
  }
  multiply_packs(of.by_token(of.dq), of.by_query(of.gradient), of.by_element(of.k), p.tokens, p.head, p.tokens);
  multiply_packs(of.by_token(of.dk), of.by_key(of.gradient), of.by_element(of.q), p.tokens, p.head, p.tokens);
  multiply_packs(of.by_token(of.dv), of.by_key(of.weight), of.by_element(of.d), p.tokens, p.head, p.tokens);
  of.give(dqkv, 0, of.dq), of.give(dqkv, 1, of.dk), of.give(dqkv, 2, of.dv);
}

// Calls f(first pair) for every group of pairs.
template <class W, class F> void for_pair_groups(const Attention &p, F f) {
  const std::size_t groups = (p.pairs() + lanes<W> - 1) / lanes<W>;
  parallel_for(long(groups), double(p.pairs()) * p.tokens * p.tokens * p.head,
               [&](long group) { f(std::size_t(group) * lanes<W>); });
}

} // namespace theta::simd
