// Scaled dot-product attention of all tokens to all, or to those up to themselves (Vaswani et al., 2017), heads side by
// side:
//   out_i = Σ_j p_ij·v_j,  p_ij = exp(q_i·k_j/√head − log_sum_i),  log_sum_i = log Σ_j exp(q_i·k_j/√head)
#pragma once
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"

namespace theta {

// Elements that a head may have on cuda.
inline constexpr int attention_most_head = 128;

struct Attention {
  int batch, tokens, heads, head; // head: elements of one
  bool causal = false;            // query i sees the keys up to i alone
  std::size_t pairs() const { return std::size_t(batch) * heads; }
};

// qkv [batch, tokens, 3, heads, head] as one linear layer gives them; out [batch, tokens, heads, head]; log_sum [batch,
// heads, tokens], for the backward. key_mask [batch, tokens] bytes or null: keys that are 0 do not exist; a query
// without any key gets 0.
// FLOPs: 4·batch·heads·tokens²·head, half of them where it is causal. Bytes: 4·batch·tokens·heads·head·sizeof(T). On cuda (Dao et al., "FlashAttention",
// 2022): a warp has 16 queries and walks over the keys, tile by tile through shared memory, as bf16 on tensor cores
// with fp32 sums; of up to 64 tokens a head's keys are one tile, and as many heads as fit share a block. Throws
// InputError above attention_most_head on cuda.
template <class T>
void attention_forward(Stream &, T *out, Wide<T> *log_sum, const T *qkv, const std::uint8_t *key_mask,
                       const Attention &);

// dqkv [like qkv] written. workspace [batch, heads, tokens]: Σ dout·out of every query.
// FLOPs: 14·batch·heads·tokens²·head on cuda, where scores are made again for keys and for queries, so that every sum
// has one owner and one order; 10 at least.
template <class T>
void attention_backward(Stream &, T *dqkv, const T *dout, const T *out, const Wide<T> *log_sum, const T *qkv,
                        const std::uint8_t *key_mask, Wide<T> *workspace, const Attention &);

} // namespace theta
