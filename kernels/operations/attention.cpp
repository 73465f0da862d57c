// On the cpu: a query at a time, its keys in stretches of `stretch` scores, which a maximum so far holds together.
#include "attention.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"
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

constexpr int stretch = 64;

// One head of one sample: where its tokens' vectors lie.
template <class T> struct Head {
  const T *q, *k, *v;
  std::size_t step, out_step; // from token to token
  const std::uint8_t *mask;
  int tokens, size;
  Wide<T> scale;

  Head(const T *qkv, const std::uint8_t *key_mask, const Attention &p, std::size_t pair)
      : step(std::size_t(3) * p.heads * p.head), out_step(std::size_t(p.heads) * p.head), tokens(p.tokens),
        size(p.head), scale(1 / std::sqrt(Wide<T>(p.head))) {
    const std::size_t b = pair / p.heads, h = pair % p.heads;
    q = qkv + b * p.tokens * step + h * p.head, k = q + out_step, v = k + out_step;
    mask = key_mask ? key_mask + b * p.tokens : nullptr;
  }
  bool exists(int j) const { return !mask || mask[j]; }
  // Σ a·b over the head's elements.
  static Wide<T> dot(const T *a, const T *b, int n) {
    Wide<T> sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int d = 0; d < n; ++d)
      sum += widened(a[d]) * widened(b[d]);
    return sum;
  }
  Wide<T> score(int i, int j) const { return scale * dot(q + i * step, k + j * step, size); }
};

// x[i] = exp(x[i]), i < n: several at a time in float (simd.h).
template <class W> void exponentiate(W *x, int n) {
  int i = 0;
  if constexpr (std::is_same_v<W, float>)
    for (; i + simd::lanes<W> <= n; i += simd::lanes<W>)
      simd::store(x + i, simd::exp(simd::load<simd::Pack<W>>(x + i)));
  for (; i < n; ++i)
    x[i] = std::exp(x[i]);
}

// Where a pair's part of a [batch, tokens, heads, head] tensor begins.
std::size_t first_of(const Attention &p, std::size_t pair) {
  return pair / p.heads * p.tokens * p.heads * p.head + pair % p.heads * p.head;
}

template <class F> void for_pairs(const Attention &p, F f) {
  parallel_for(p.pairs(), double(p.pairs()) * p.tokens * p.tokens * p.head, [&](std::size_t pair) { f(pair); });
}

} // namespace

template <class T>
void attention_forward(Stream &s, T *out, Wide<T> *log_sum, const T *qkv, const std::uint8_t *key_mask,
                       const Attention &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::attention_forward(s, out, log_sum, qkv, key_mask, p);
  using W = Wide<T>;
  constexpr W none = -std::numeric_limits<W>::infinity();
  for_pairs(p, [&](std::size_t pair) {
    const Head<T> head(qkv, key_mask, p, pair);
    T *to = out + first_of(p, pair);
    for (int i = 0; i < p.tokens; ++i) {
      W largest = none, sum = 0, value[stretch] = {}; // a stretch of the head's elements at a time
      W score[stretch];
      for (int first = 0; first < p.head; first += stretch) {
        const int size = std::min(stretch, p.head - first);
        largest = none, sum = 0;
        std::fill_n(value, size, W(0));
        for (int j0 = 0; j0 < p.tokens; j0 += stretch) {
          const int count = std::min(stretch, p.tokens - j0);
          W here = none;
          for (int j = 0; j < count; ++j)
            score[j] = head.exists(j0 + j) ? head.score(i, j0 + j) : none, here = std::max(here, score[j]);
          if (here == none)
            continue;
          const W before = largest;
          largest = std::max(largest, here);
          const W shrink = before == none ? W(0) : std::exp(before - largest);
          sum *= shrink;
          for (int d = 0; d < size; ++d)
            value[d] *= shrink;
          W weights[stretch];
          for (int j = 0; j < count; ++j)
            weights[j] = score[j] == none ? W(0) : score[j] - largest;
          exponentiate(weights, count);
          for (int j = 0; j < count; ++j) {
            const W weight = score[j] == none ? W(0) : weights[j];
            const T *v = head.v + (j0 + j) * head.step + first;
            sum += weight;
#pragma omp simd
            for (int d = 0; d < size; ++d)
              value[d] += weight * widened(v[d]);
          }
        }
        for (int d = 0; d < size; ++d)
          to[i * head.out_step + first + d] = rounded<T>(sum > 0 ? value[d] / sum : W(0));
      }
      log_sum[pair * p.tokens + i] = sum > 0 ? largest + std::log(sum) : none;
    }
  });
}

template <class T>
void attention_backward(Stream &s, T *dqkv, const T *dout, const T *out, const Wide<T> *log_sum, const T *qkv,
                        const std::uint8_t *key_mask, Wide<T> *workspace, const Attention &p) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::attention_backward(s, dqkv, dout, out, log_sum, qkv, key_mask, workspace, p);
  using W = Wide<T>;
  for_pairs(p, [&](std::size_t pair) {
    const Head<T> head(qkv, key_mask, p, pair);
    T *dq = dqkv + (head.q - qkv), *dk = dqkv + (head.k - qkv), *dv = dqkv + (head.v - qkv);
    const T *d = dout + first_of(p, pair), *o = out + first_of(p, pair);
    const W *of = log_sum + pair * p.tokens;
    W *through = workspace + pair * p.tokens;
    for (int i = 0; i < p.tokens; ++i)
      through[i] = Head<T>::dot(d + i * head.out_step, o + i * head.out_step, p.head);
    // Weights of `count` pairs (i, j), the queries or the keys being neighbours, and the gradients of their scores.
    const auto weigh = [&](W *w, W *ds, int i, int j, int count, bool along_keys) {
      const auto query = [&](int e) { return along_keys ? i : i + e; };
      const auto key = [&](int e) { return along_keys ? j + e : j; };
      const auto there = [&](int e) { return head.exists(key(e)) && std::isfinite(of[query(e)]); };
      for (int e = 0; e < count; ++e)
        w[e] = there(e) ? head.score(query(e), key(e)) - of[query(e)] : W(0);
      exponentiate(w, count);
      for (int e = 0; e < count; ++e) {
        w[e] = there(e) ? w[e] : W(0);
        const W through_v = Head<T>::dot(d + query(e) * head.out_step, head.v + key(e) * head.step, p.head);
        ds[e] = w[e] * (through_v - through[query(e)]) * head.scale;
      }
    };
    W first[stretch], second[stretch], w[stretch], ds[stretch];
    for (int from = 0; from < p.head; from += stretch) {
      const int size = std::min(stretch, p.head - from);
      for (int i = 0; i < p.tokens; ++i) {
        std::fill_n(first, size, W(0));
        for (int j0 = 0; j0 < p.tokens; j0 += stretch) {
          const int count = std::min(stretch, p.tokens - j0);
          weigh(w, ds, i, j0, count, true);
          for (int j = 0; j < count; ++j) {
            const T *k = head.k + (j0 + j) * head.step + from;
#pragma omp simd
            for (int e = 0; e < size; ++e)
              first[e] += ds[j] * widened(k[e]);
          }
        }
        for (int e = 0; e < size; ++e)
          dq[i * head.step + from + e] = rounded<T>(first[e]);
      }
      for (int j = 0; j < p.tokens; ++j) {
        std::fill_n(first, size, W(0)), std::fill_n(second, size, W(0));
        for (int i0 = 0; i0 < p.tokens; i0 += stretch) {
          const int count = std::min(stretch, p.tokens - i0);
          weigh(w, ds, i0, j, count, false);
          for (int i = 0; i < count; ++i) {
            const T *q = head.q + (i0 + i) * head.step + from, *g = d + (i0 + i) * head.out_step + from;
#pragma omp simd
            for (int e = 0; e < size; ++e)
              first[e] += ds[i] * widened(q[e]), second[e] += w[i] * widened(g[e]);
          }
        }
        for (int e = 0; e < size; ++e)
          dk[j * head.step + from + e] = rounded<T>(first[e]), dv[j * head.step + from + e] = rounded<T>(second[e]);
      }
    }
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
