// Flash attention on tensor cores. Warps work in groups of `Group`; a group has one head of one sample and 16·Group of
// its queries (or, for the gradients of keys and values, of its keys), each warp 16 of them. The other side passes
// through shared memory in tiles of 16·Group tokens, as bf16. With up to 64 tokens there is one tile; of up to 32 or
// 16, a block has two or four heads. Head sizes are padded with zeros to Size.
//
// Scores of 16x16 are made, turned into weights and used at once: the accumulators of the first product are the left
// operand of the next, without a way through memory. Backward, one kernel owns queries and one owns keys and values, so
// that no sum is shared between blocks.
#include "attention.h"
#include "kernels/parts/each.cuh"
#include "kernels/parts/mma.cuh"
#include "kernels/parts/vectors.cuh"
#include "kernels/parts/warp.cuh"

namespace theta::cuda {

namespace {

constexpr int warps = 4, threads = warps * 32;
constexpr float none = -3e38f; // a score that does not exist

template <int Size> THETA_HOST_DEVICE constexpr int pitch() { return Size + 8; }

// Tensors of one block: `Mine` are the rows that its warps own, `Other` the tile that passes.
template <int Size> struct Tiles {
  bf16 mine[2][warps * 16 * pitch<Size>()];
  bf16 other[2][warps * 16 * pitch<Size>()];
  float log_sum[warps * 16], through[warps * 16];
};

// What a group of warps works on.
template <int Group> struct Place {
  int b, h, first, group, warp, thread; // first: of the rows that the group owns; warp, thread: within the group
  bool exists;

  __device__ Place(const Attention &p) {
    group = int(threadIdx.x) / (Group * 32), thread = int(threadIdx.x) % (Group * 32), warp = thread / 32;
    const int pair = int(blockIdx.x) * (warps / Group) + group;
    exists = pair < p.batch * p.heads;
    b = exists ? pair / p.heads : 0, h = exists ? pair % p.heads : 0;
    first = int(blockIdx.y) * Group * 16;
  }
  // Whether the tile of keys from `key` on has any that one of its queries sees.
  __device__ bool has_keys(const Attention &p, int key) const {
    return key < (p.causal && first + Group * 16 < p.tokens ? first + Group * 16 : p.tokens);
  }
};

// Rows first..first+16·Group−1 of a head into shared memory; zero beyond the last token and the head's size.
template <int Size, int Group, class T>
__device__ inline void load_rows(bf16 *to, const T *from, std::size_t step, int first, int tokens, int size,
                                 const Place<Group> &at) {
  for (int e = at.thread; e < Group * 16 * Size / 2; e += Group * 32) {
    const int row = e / (Size / 2), d = e % (Size / 2) * 2;
    const T *source = from + std::size_t(first + row) * step + d;
    const bool there = at.exists && first + row < tokens;
    *reinterpret_cast<std::uint32_t *>(to + row * pitch<Size>() + d) =
        pack_bf16(there && d < size ? to_float(source[0]) : 0.0f, there && d + 1 < size ? to_float(source[1]) : 0.0f);
  }
}

// A head's tensors within qkv, and within what has no 3.
template <class T> struct Head {
  const T *q, *k, *v;
  std::size_t step, plain, plain_step;
  template <int Group> __device__ Head(const T *qkv, const Attention &p, const Place<Group> &at) {
    plain_step = std::size_t(p.heads) * p.head, step = 3 * plain_step;
    q = qkv + std::size_t(at.b) * p.tokens * step + std::size_t(at.h) * p.head, k = q + plain_step, v = k + plain_step;
    plain = std::size_t(at.b) * p.tokens * plain_step + std::size_t(at.h) * p.head;
  }
};

// Causal scores of 16 queries and 16 keys, from the first of each: what is not seen has none. Rows are queries, or keys.
__device__ inline void hide_later_keys(float (&score)[2][4], int query, int key, int lane) {
  for_elements(lane, [&](int r, int c, int half, int e) {
    if (key + c > query + r)
      score[half][e] = none;
  });
}
__device__ inline void hide_earlier_queries(float (&score)[2][4], int key, int query, int lane) {
  for_elements(lane, [&](int r, int c, int half, int e) {
    if (key + r > query + c)
      score[half][e] = none;
  });
}

// The left operand that 16x16 accumulators are.
__device__ inline void as_operand(std::uint32_t (&a)[4], const float (&d)[2][4]) {
  a[0] = pack_bf16(d[0][0], d[0][1]), a[1] = pack_bf16(d[0][2], d[0][3]);
  a[2] = pack_bf16(d[1][0], d[1][1]), a[3] = pack_bf16(d[1][2], d[1][3]);
}

// sum [16, Size] += a [16, 16] · rows [16, Size] of shared memory.
template <int Size>
__device__ inline void add_product(float (&sum)[Size / 8][4], const std::uint32_t (&a)[4], const bf16 *rows, int lane) {
  const int row = lane % 8, quarter = lane / 8;
#pragma unroll
  for (int n = 0; n < Size / 16; ++n) {
    std::uint32_t right[4];
    load_matrices_transposed(right, rows + (quarter % 2 * 8 + row) * pitch<Size>() + n * 16 + quarter / 2 * 8);
    multiply_add(sum[2 * n], a, {right[0], right[1]});
    multiply_add(sum[2 * n + 1], a, {right[2], right[3]});
  }
}

// Writes the rows that a lane has of a [16, Size] sum, times `factor` of each.
template <int Size, class T, class Factor>
__device__ inline void store_rows(T *to, std::size_t step, const float (&sum)[Size / 8][4], int first, int tokens,
                                  int size, int lane, Factor factor) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first + half * 8 + lane / 4;
    if (row >= tokens)
      continue;
    const float by = factor(half);
#pragma unroll
    for (int n = 0; n < Size / 8; ++n)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int d = n * 8 + lane % 4 * 2 + e;
        if (d < size)
          to[std::size_t(row) * step + d] = rounded<T>(sum[n][half * 2 + e] * by);
      }
  }
}

template <int Size, int Group, class T>
__global__ void __launch_bounds__(threads)
    forward_kernel(T *out, float *log_sum, const T *qkv, const std::uint8_t *key_mask, Attention p, float scale) {
  auto &tiles = shared<Tiles<Size>>();
  const Place<Group> at(p);
  const Head<T> head(qkv, p, at);
  const int lane = int(threadIdx.x) % 32, base = at.group * Group * 16 * pitch<Size>();
  bf16 *q = tiles.mine[0] + base, *k = tiles.other[0] + base, *v = tiles.other[1] + base;
  load_rows<Size, Group>(q, head.q, head.step, at.first, p.tokens, p.head, at);
  float sum[Size / 8][4] = {}, largest[2] = {none, none}, total[2] = {};
  for (int first = 0; at.has_keys(p, first); first += Group * 16) {
    load_rows<Size, Group>(k, head.k, head.step, first, p.tokens, p.head, at);
    load_rows<Size, Group>(v, head.v, head.step, first, p.tokens, p.head, at);
    __syncthreads();
    for (int j = 0; j < Group * 16 && first + j < p.tokens; j += 16) {
      float score[2][4] = {};
      multiply_strip<Lies::straight, Lies::straight>(score, q + at.warp * 16 * pitch<Size>(), pitch<Size>(),
                                                     k + j * pitch<Size>(), pitch<Size>(), Size, lane);
      float here[2] = {none, none};
      for_elements(lane, [&](int, int c, int half, int e) {
        const int key = first + j + c;
        const bool there = key < p.tokens && (!key_mask || key_mask[std::size_t(at.b) * p.tokens + key]);
        score[half][e] = there ? score[half][e] * scale : none;
      });
      if (p.causal)
        hide_later_keys(score, at.first + at.warp * 16, first + j, lane);
      for_elements(lane, [&](int, int, int half, int e) { here[e / 2] = fmaxf(here[e / 2], score[half][e]); });
#pragma unroll
      for (int half = 0; half < 2; ++half) { // rows of a warp's tile lie across four lanes
        here[half] = fmaxf(here[half], __shfl_xor_sync(~0u, here[half], 1));
        here[half] = fmaxf(here[half], __shfl_xor_sync(~0u, here[half], 2));
        const float before = largest[half];
        largest[half] = fmaxf(before, here[half]);
        const float shrink = before > none ? expf(before - largest[half]) : 0.0f;
        total[half] *= shrink;
#pragma unroll
        for (int n = 0; n < Size / 8; ++n)
          sum[n][half * 2] *= shrink, sum[n][half * 2 + 1] *= shrink;
      }
      for_elements(lane, [&](int, int, int half, int e) {
        score[half][e] = score[half][e] > none ? expf(score[half][e] - largest[e / 2]) : 0.0f;
        total[e / 2] += score[half][e];
      });
      std::uint32_t weight[4];
      as_operand(weight, score);
      add_product<Size>(sum, weight, v + j * pitch<Size>(), lane);
    }
    __syncthreads();
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    total[half] += __shfl_xor_sync(~0u, total[half], 1);
    total[half] += __shfl_xor_sync(~0u, total[half], 2);
    const int row = at.first + at.warp * 16 + half * 8 + lane / 4;
    if (at.exists && row < p.tokens && lane % 4 == 0)
      log_sum[(std::size_t(at.b) * p.heads + at.h) * p.tokens + row] =
          total[half] > 0 ? largest[half] + logf(total[half]) : -HUGE_VALF;
  }
  if (at.exists)
    store_rows<Size>(out + head.plain, head.plain_step, sum, at.first + at.warp * 16, p.tokens, p.head, lane,
                     [&](int half) { return total[half] > 0 ? 1 / total[half] : 0.0f; });
}

// Gradient of the scores, 16x16, from the scores: weight·(dout·v − through)·scale. Rows are queries, or keys.
struct ScoreGradient {
  float scale;
  __device__ float weight(float score, float log_sum, bool there) const {
    return there && log_sum > none ? expf(score * scale - log_sum) : 0.0f;
  }
};

// Blocks that a multiprocessor should hold at least: registers enough for the sums.
template <int Size> constexpr int blocks_at_least = Size == 128 ? 2 : 3;

template <int Size, int Group, class T>
__global__ void __launch_bounds__(threads, blocks_at_least<Size>)
    query_gradient_kernel(T *dqkv, const T *dout, const float *log_sum, const float *through, const T *qkv,
                          const std::uint8_t *key_mask, Attention p, ScoreGradient of) {
  auto &tiles = shared<Tiles<Size>>();
  const Place<Group> at(p);
  const Head<T> head(qkv, p, at);
  const int lane = int(threadIdx.x) % 32, base = at.group * Group * 16 * pitch<Size>();
  const int own = at.warp * 16 * pitch<Size>();
  bf16 *q = tiles.mine[0] + base, *d = tiles.mine[1] + base, *k = tiles.other[0] + base, *v = tiles.other[1] + base;
  load_rows<Size, Group>(q, head.q, head.step, at.first, p.tokens, p.head, at);
  load_rows<Size, Group>(d, dout + head.plain, head.plain_step, at.first, p.tokens, p.head, at);
  float row_log_sum[2], row_through[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = at.first + at.warp * 16 + half * 8 + lane / 4;
    const std::size_t place = (std::size_t(at.b) * p.heads + at.h) * p.tokens + row;
    const bool there = at.exists && row < p.tokens;
    row_log_sum[half] = there ? log_sum[place] : -HUGE_VALF, row_through[half] = there ? through[place] : 0.0f;
  }
  float sum[Size / 8][4] = {};
  for (int first = 0; at.has_keys(p, first); first += Group * 16) {
    load_rows<Size, Group>(k, head.k, head.step, first, p.tokens, p.head, at);
    load_rows<Size, Group>(v, head.v, head.step, first, p.tokens, p.head, at);
    __syncthreads();
    for (int j = 0; j < Group * 16 && first + j < p.tokens; j += 16) {
      float score[2][4] = {}, d_weight[2][4] = {};
      multiply_strip<Lies::straight, Lies::straight>(score, q + own, pitch<Size>(), k + j * pitch<Size>(),
                                                     pitch<Size>(), Size, lane);
      multiply_strip<Lies::straight, Lies::straight>(d_weight, d + own, pitch<Size>(), v + j * pitch<Size>(),
                                                     pitch<Size>(), Size, lane);
      if (p.causal)
        hide_later_keys(score, at.first + at.warp * 16, first + j, lane);
      for_elements(lane, [&](int, int c, int half, int e) {
        const int key = first + j + c;
        const bool there = key < p.tokens && (!key_mask || key_mask[std::size_t(at.b) * p.tokens + key]);
        score[half][e] =
            of.weight(score[half][e], row_log_sum[e / 2], there) * (d_weight[half][e] - row_through[e / 2]) * of.scale;
      });
      std::uint32_t d_score[4];
      as_operand(d_score, score);
      add_product<Size>(sum, d_score, k + j * pitch<Size>(), lane);
    }
    __syncthreads();
  }
  if (at.exists)
    store_rows<Size>(dqkv + (head.q - qkv), head.step, sum, at.first + at.warp * 16, p.tokens, p.head, lane,
                     [](int) { return 1.0f; });
}

template <int Size, int Group, class T>
__global__ void __launch_bounds__(threads, blocks_at_least<Size>)
    key_gradient_kernel(T *dqkv, const T *dout, const float *log_sum, const float *through, const T *qkv,
                        const std::uint8_t *key_mask, Attention p, ScoreGradient of) {
  auto &tiles = shared<Tiles<Size>>();
  const Place<Group> at(p);
  const Head<T> head(qkv, p, at);
  const int lane = int(threadIdx.x) % 32, base = at.group * Group * 16 * pitch<Size>();
  const int own = at.warp * 16 * pitch<Size>();
  bf16 *k = tiles.mine[0] + base, *v = tiles.mine[1] + base, *q = tiles.other[0] + base, *d = tiles.other[1] + base;
  float *tile_log_sum = tiles.log_sum + at.group * Group * 16, *tile_through = tiles.through + at.group * Group * 16;
  load_rows<Size, Group>(k, head.k, head.step, at.first, p.tokens, p.head, at);
  load_rows<Size, Group>(v, head.v, head.step, at.first, p.tokens, p.head, at);
  bool there[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int key = at.first + at.warp * 16 + half * 8 + lane / 4;
    there[half] = at.exists && key < p.tokens && (!key_mask || key_mask[std::size_t(at.b) * p.tokens + key]);
  }
  float dk[Size / 8][4] = {}, dv[Size / 8][4] = {};
  for (int first = p.causal ? at.first : 0; first < p.tokens;
       first += Group * 16) { // queries that see the block's keys
    load_rows<Size, Group>(q, head.q, head.step, first, p.tokens, p.head, at);
    load_rows<Size, Group>(d, dout + head.plain, head.plain_step, first, p.tokens, p.head, at);
    for (int row = at.thread; row < Group * 16; row += Group * 32) {
      const std::size_t place = (std::size_t(at.b) * p.heads + at.h) * p.tokens + first + row;
      const bool query = at.exists && first + row < p.tokens;
      tile_log_sum[row] = query ? log_sum[place] : -HUGE_VALF, tile_through[row] = query ? through[place] : 0.0f;
    }
    __syncthreads();
    for (int i = 0; i < Group * 16 && first + i < p.tokens; i += 16) {
      float score[2][4] = {}, d_weight[2][4] = {};
      multiply_strip<Lies::straight, Lies::straight>(score, k + own, pitch<Size>(), q + i * pitch<Size>(),
                                                     pitch<Size>(), Size, lane);
      multiply_strip<Lies::straight, Lies::straight>(d_weight, v + own, pitch<Size>(), d + i * pitch<Size>(),
                                                     pitch<Size>(), Size, lane);
      if (p.causal)
        hide_earlier_queries(score, at.first + at.warp * 16, first + i, lane);
      for_elements(lane, [&](int, int c, int half, int e) {
        const float weight = of.weight(score[half][e], tile_log_sum[i + c], there[e / 2]);
        d_weight[half][e] = weight * (d_weight[half][e] - tile_through[i + c]) * of.scale;
        score[half][e] = weight;
      });
      std::uint32_t operand[4];
      as_operand(operand, score);
      add_product<Size>(dv, operand, d + i * pitch<Size>(), lane);
      as_operand(operand, d_weight);
      add_product<Size>(dk, operand, q + i * pitch<Size>(), lane);
    }
    __syncthreads();
  }
  if (!at.exists)
    return;
  const auto one = [](int) { return 1.0f; };
  store_rows<Size>(dqkv + (head.k - qkv), head.step, dk, at.first + at.warp * 16, p.tokens, p.head, lane, one);
  store_rows<Size>(dqkv + (head.v - qkv), head.step, dv, at.first + at.warp * 16, p.tokens, p.head, lane, one);
}

// through[pair, i] = Σ dout·out, a warp a query.
template <class T> __global__ void through_kernel(float *through, const T *dout, const T *out, Attention p) {
  const int row = int(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32), lane = int(threadIdx.x) % 32;
  const int rows = p.batch * p.heads * p.tokens;
  if (row >= rows) // whole warps
    return;
  const int i = row % p.tokens, pair = row / p.tokens, b = pair / p.heads, h = pair % p.heads;
  const std::size_t from = ((std::size_t(b) * p.tokens + i) * p.heads + h) * p.head;
  float sum = 0;
  for (int d = lane; d < p.head; d += 32)
    sum = fmaf(to_float(dout[from + d]), to_float(out[from + d]), sum);
  sum = warp_reduce<Sum>(sum);
  if (lane == 0)
    through[row] = sum;
}

// Calls f.template operator()<Size, Group>().
template <class F> void with_sizes(const Attention &p, F f) {
  if (p.head > attention_most_head)
    throw InputError("attention: found a head of ", p.head, " elements, expected at most ", attention_most_head);
  const auto with_group = [&]<int Size>() {
    if (p.tokens <= 16)
      f.template operator()<Size, 1>();
    else if (p.tokens <= 32)
      f.template operator()<Size, 2>();
    else
      f.template operator()<Size, 4>();
  };
  if (p.head <= 32)
    with_group.template operator()<32>();
  else if (p.head <= 64)
    with_group.template operator()<64>();
  else
    with_group.template operator()<128>();
}

template <int Group> dim3 grid_of(const Attention &p) {
  return dim3(blocks_for(p.pairs(), warps / Group), blocks_for(std::size_t(p.tokens), Group * 16));
}

float scale_of(const Attention &p) { return 1 / std::sqrt(float(p.head)); }

template <class T>
void forward(Stream &s, T *out, float *log_sum, const T *qkv, const std::uint8_t *key_mask, const Attention &p) {
  with_sizes(p, [&]<int Size, int Group>() {
    launch(forward_kernel<Size, Group, T>, grid_of<Group>(p), threads, sizeof(Tiles<Size>), s, out, log_sum, qkv,
           key_mask, p, scale_of(p));
  });
}

template <class T>
void backward(Stream &s, T *dqkv, const T *dout, const T *out, const float *log_sum, const T *qkv,
              const std::uint8_t *key_mask, float *workspace, const Attention &p) {
  launch(through_kernel<T>, blocks_for(p.pairs() * std::size_t(p.tokens), 8), 256, 0, s, workspace, dout, out, p);
  with_sizes(p, [&]<int Size, int Group>() {
    const ScoreGradient of{scale_of(p)};
    launch(query_gradient_kernel<Size, Group, T>, grid_of<Group>(p), threads, sizeof(Tiles<Size>), s, dqkv, dout,
           log_sum, workspace, qkv, key_mask, p, of);
    launch(key_gradient_kernel<Size, Group, T>, grid_of<Group>(p), threads, sizeof(Tiles<Size>), s, dqkv, dout, log_sum,
           workspace, qkv, key_mask, p, of);
  });
}

} // namespace

void attention_forward(Stream &s, float *out, float *log_sum, const float *qkv, const std::uint8_t *key_mask,
                       const Attention &p) {
  forward(s, out, log_sum, qkv, key_mask, p);
}
void attention_forward(Stream &s, bf16 *out, float *log_sum, const bf16 *qkv, const std::uint8_t *key_mask,
                       const Attention &p) {
  forward(s, out, log_sum, qkv, key_mask, p);
}
void attention_backward(Stream &s, float *dqkv, const float *dout, const float *out, const float *log_sum,
                        const float *qkv, const std::uint8_t *key_mask, float *workspace, const Attention &p) {
  backward(s, dqkv, dout, out, log_sum, qkv, key_mask, workspace, p);
}
void attention_backward(Stream &s, bf16 *dqkv, const bf16 *dout, const bf16 *out, const float *log_sum, const bf16 *qkv,
                        const std::uint8_t *key_mask, float *workspace, const Attention &p) {
  backward(s, dqkv, dout, out, log_sum, qkv, key_mask, workspace, p);
}

} // namespace theta::cuda
