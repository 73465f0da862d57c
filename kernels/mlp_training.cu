// On cuda: one block a network, for all its steps. Operands of the products are bf16 in shared memory (tensor cores,
// fp32 sums); the weights that the optimiser moves, and its moments, are fp32, in shared memory for as many layers as
// there is room and in the runs' own vectors (which stay in the second-level cache) for the rest. A gradient never
// leaves the registers: the warp that summed it moves the weights under it and rounds them for the next step.
//
// The batch's images stay bytes in the cache; columns of `chunk` pixels become bf16 in shared memory as they are
// needed, once forward and once backward. Of a product's rows (the batch) every warp has 16, so that forward passes
// need no sum across warps; a gradient's tiles of 16x16 weights are dealt out among the warps.
//
// Bytes a step and network: 2·B·pixels from the cache, and 24 a weight for layers whose state is not in shared memory.
#include "counting.h"
#include "mlp_training.h"
#include "mma.cuh"
#include "warp.cuh"
#include <algorithm>

namespace theta::cuda {

namespace {

constexpr int warps = 8, threads = warps * 32, rows = warps * 16; // of a batch, padded
constexpr int chunk = 64;                                         // pixels that are bf16 at a time
constexpr int most_width = 128;
constexpr int room = 160 << 10; // bytes of shared memory that every architecture from sm_80 on has

THETA_HOST_DEVICE constexpr int padded(int n) { return (n + 15) / 16 * 16; }
// Elements between the rows of a matrix in shared memory: eight rows fall on all 32 banks.
THETA_HOST_DEVICE constexpr int pitch(int columns) { return padded(columns) + 8; }

// Where everything lies in shared memory, in bytes. state: w, m and v with their biases as in the vector, or −1.
struct Places {
  int x, example, label, logits, partials;
  int h[most_mlp_layers], slope[most_mlp_layers], d[most_mlp_layers]; // bf16 [rows, pitch]
  int shadow[most_mlp_layers];                                        // bf16 [padded(out), pitch(in)]
  int state[most_mlp_layers], offset[most_mlp_layers]; // offset: elements from the start of the network's vector
  int bytes;
};

Places places_of(const MlpTraining &p, bool training) {
  Places at{};
  const auto take = [&](int bytes) {
    const int here = at.bytes;
    at.bytes += (bytes + 15) / 16 * 16;
    return here;
  };
  const auto activations = [&](int columns) { return take(rows * pitch(columns) * 2); };
  at.x = activations(chunk);
  at.example = take(rows * 4), at.label = take(rows * 4), at.partials = take(32 * 4);
  at.logits = take(rows * padded(p.widths[p.layers]) * 4);
  for (int l = 0; l < p.layers; ++l) {
    at.h[l] = l > 0 ? activations(p.widths[l]) : 0;
    at.slope[l] = l > 0 ? activations(p.widths[l]) : 0;
    at.d[l] = activations(p.widths[l + 1]);
    at.shadow[l] = take(padded(p.widths[l + 1]) * pitch(p.widths[l]) * 2);
    at.offset[l] = l > 0 ? at.offset[l - 1] + (p.widths[l - 1] + 1) * p.widths[l] : 0;
  }
  for (int l = p.layers - 1; l >= 0; --l) {
    const int bytes = 3 * 4 * (p.widths[l] + 1) * p.widths[l + 1];
    at.state[l] = training && at.bytes + bytes <= room ? take(bytes) : -1;
  }
  return at;
}

struct Bytes {
  alignas(16) unsigned char at[16];
};

// A layer's weights and biases (behind them) where the optimiser finds them.
struct State {
  float *w, *m, *v;
};

struct Update {
  bool sgd;
  float lr, momentum, step_size, root_correction, beta1, beta2, eps, decay, l2;

  __device__ float operator()(const State &s, int i, float g) const {
    float p = s.w[i];
    if (sgd) {
      g += l2 * p;
      const float u = momentum * s.m[i] + g;
      s.m[i] = u;
      p -= lr * (g + momentum * u);
    } else {
      p *= decay;
      g += l2 * p;
      const float m = beta1 * s.m[i] + (1 - beta1) * g, v = beta2 * s.v[i] + (1 - beta2) * g * g;
      s.m[i] = m, s.v[i] = v;
      p -= step_size * m / (sqrtf(v) * root_correction + eps);
    }
    s.w[i] = p;
    return p;
  }
};

__device__ inline Update update_of(const TrainingRuns<float> &runs, const RunRecipe &r, const ScheduledStep &now) {
  const float lr = float(r.lr * now.lr_factor);
  const bool sgd = r.optimizer == OptimizerKind::sgd, decoupled = r.optimizer == OptimizerKind::adamw;
  return {sgd,
          lr,
          r.momentum,
          float(lr * now.correction1),
          float(now.root_correction2),
          float(runs.beta1),
          float(runs.beta2),
          float(runs.eps),
          decoupled ? 1 - lr * r.weight_decay : 1.0f,
          decoupled ? 0.0f : r.weight_decay};
}

// One block's view of its network. Its sizes and places are the kernel's arguments, which may be indexed freely.
struct Network {
  const MlpTraining &p;
  const Places &at;
  const TrainingRuns<float> &runs;
  std::size_t first; // of the network in the runs' vectors

  template <class T> __device__ T *shared_at(int offset) const {
    return reinterpret_cast<T *>(shared<Bytes>().at + offset);
  }
  __device__ bf16 *h(int l) const { return shared_at<bf16>(at.h[l]); }
  __device__ bf16 *slope(int l) const { return shared_at<bf16>(at.slope[l]); }
  __device__ bf16 *d(int l) const { return shared_at<bf16>(at.d[l]); }
  __device__ bf16 *shadow(int l) const { return shared_at<bf16>(at.shadow[l]); }
  __device__ bf16 *x() const { return shared_at<bf16>(at.x); }
  __device__ std::uint32_t *example() const { return shared_at<std::uint32_t>(at.example); }
  __device__ int *label() const { return shared_at<int>(at.label); }
  __device__ float *logits() const { return shared_at<float>(at.logits); }
  __device__ float *partials() const { return shared_at<float>(at.partials); }
  __device__ int in(int l) const { return p.widths[l]; }
  __device__ int out(int l) const { return p.widths[l + 1]; }
  __device__ int size(int l) const { return (in(l) + 1) * out(l); }

  // Where the layer's state lies in the runs' vectors, and where the optimiser works on it.
  __device__ State outside(int l) const {
    const std::size_t from = first + std::size_t(at.offset[l]);
    return {runs.theta + from, runs.moment1 + from, runs.moment2 ? runs.moment2 + from : nullptr};
  }
  __device__ State state(int l) const {
    if (at.state[l] < 0)
      return outside(l);
    float *inside = shared_at<float>(at.state[l]);
    return {inside, inside + size(l), inside + 2 * size(l)};
  }
};

// d[2] += A·B over `depth` of k: A 16 rows from `a` [m, k], B 16 columns.
//   Straight: b [n, k], as weights [out, in] forward. Across: b [k, n].
enum class Lies { straight, across };
template <Lies A, Lies B>
__device__ inline void multiply_strip(float (&sum)[2][4], const bf16 *a, int a_pitch, const bf16 *b, int b_pitch,
                                      int depth, int lane) {
  const int row = lane % 8, quarter = lane / 8;
  for (int k = 0; k < depth; k += 16) {
    std::uint32_t left[4], right[4];
    if constexpr (A == Lies::straight)
      load_matrices(left, a + (quarter % 2 * 8 + row) * a_pitch + k + quarter / 2 * 8);
    else
      load_matrices_transposed(left, a + (k + quarter / 2 * 8 + row) * a_pitch + quarter % 2 * 8);
    if constexpr (B == Lies::straight)
      load_matrices(right, b + (quarter / 2 * 8 + row) * b_pitch + k + quarter % 2 * 8);
    else
      load_matrices_transposed(right, b + (k + quarter % 2 * 8 + row) * b_pitch + quarter / 2 * 8);
    multiply_add(sum[0], left, {right[0], right[1]});
    multiply_add(sum[1], left, {right[2], right[3]});
  }
}

// Calls f(row, column, which half, which element) for the eight elements that a lane has of a 16x16 tile.
template <class F> __device__ inline void for_elements(int lane, F f) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      f(e / 2 * 8 + lane / 4, half * 8 + lane % 4 * 2 + e % 2, half, e);
}

// Pixels first..first+chunk−1 of the batch, zero beyond the last.
__device__ inline void fill_chunk(const Network &net, const ImageSet &set, int first) {
  bf16 *x = net.x();
  for (int e = int(threadIdx.x); e < rows * chunk / 2; e += threads) {
    const int b = e / (chunk / 2), c = e % (chunk / 2) * 2, pixel = first + c;
    const std::uint8_t *image = set.image + std::size_t(net.example()[b]) * set.pixels;
    const auto value = [&](int i) {
      return i < set.pixels ? float(image[i]) * float(set.scale) + float(set.shift) : 0.0f;
    };
    *reinterpret_cast<std::uint32_t *>(x + b * pitch(chunk) + c) = pack_bf16(value(pixel), value(pixel + 1));
  }
}

// Logits of the batch, from its examples on. factor(layer, row, unit) is dropout's.
template <int Strips, class Factor>
__device__ inline void forward(const Network &net, const ImageSet &set, Activation act, Factor factor) {
  const int lane = int(threadIdx.x) % 32, warp_row = int(threadIdx.x) / 32 * 16;
  for (int l = 0; l < net.p.layers; ++l) {
    const int out = net.out(l), strips = padded(out) / 16;
    float sum[Strips][2][4] = {};
    const auto add = [&](const bf16 *a, int a_pitch, const bf16 *w, int depth) {
#pragma unroll
      for (int s = 0; s < Strips; ++s)
        if (s < strips)
          multiply_strip<Lies::straight, Lies::straight>(sum[s], a + warp_row * a_pitch, a_pitch,
                                                         w + s * 16 * pitch(net.in(l)), pitch(net.in(l)), depth, lane);
    };
    if (l > 0)
      add(net.h(l), pitch(net.in(l)), net.shadow(l), padded(net.in(l)));
    else
      for (int first = 0; first < net.in(0); first += chunk) {
        fill_chunk(net, set, first);
        __syncthreads();
        const int left = padded(net.in(0)) - first;
        add(net.x(), pitch(chunk), net.shadow(0) + first, left < chunk ? left : chunk);
        __syncthreads();
      }
    const bool last = l + 1 == net.p.layers;
    const float *bias = net.state(l).w + net.in(l)*out;
#pragma unroll
    for (int s = 0; s < Strips; ++s)
      if (s < strips)
        for_elements(lane, [&](int r, int c, int half, int e) {
          const int b = warp_row + r, o = s * 16 + c;
          const float z = o < out ? sum[s][half][e] + bias[o] : 0.0f;
          if (last)
            net.logits()[b * padded(out) + o] = z;
          else
            net.h(l + 1)[b * pitch(out) + o] = to_bf16(z);
        });
    __syncthreads();
    if (last)
      return;
    for (int e = int(threadIdx.x); e < rows * padded(out); e += threads) { // padding stays zero: act(0) is
      const int b = e / padded(out), o = e % padded(out), here = b * pitch(out) + o;
      const float z = to_float(net.h(l + 1)[here]), keep = factor(l, b, o);
      net.h(l + 1)[here] = to_bf16(activate(act, z) * keep);
      net.slope(l + 1)[here] = to_bf16(activation_slope(act, z) * keep);
    }
    __syncthreads();
  }
}

// The gradient of the mean loss, for the rows of the batch; returns the mean loss to every thread.
__device__ inline float cross_entropy(const Network &net, float smoothing) {
  const int classes = net.p.widths[net.p.layers], columns = padded(classes), b = int(threadIdx.x);
  float loss = 0;
  if (b < rows) {
    const float *z = net.logits() + b * columns;
    bf16 *d = net.d(net.p.layers - 1) + b * pitch(classes);
    const int label = net.label()[b];
    const bool counts = b < net.p.batch;
    float largest = z[0], sum = 0, plain = 0;
    for (int c = 1; c < classes; ++c)
      largest = fmaxf(largest, z[c]);
    for (int c = 0; c < classes; ++c)
      sum += expf(z[c] - largest), plain += z[c];
    const float log_sum = largest + logf(sum), rest = smoothing / float(classes);
    loss = counts ? log_sum - (1 - smoothing) * z[label] - rest * plain : 0.0f;
    for (int c = 0; c < columns; ++c) {
      const float target = (c == label ? 1 - smoothing : 0.0f) + rest;
      d[c] = to_bf16(counts && c < classes ? (expf(z[c] - log_sum) - target) / float(net.p.batch) : 0.0f);
    }
  }
  return block_reduce<Sum>(loss, net.partials()) / float(net.p.batch);
}

// Moves a layer's biases by the sums of the columns of d, a warp a column.
__device__ inline void update_biases(const Network &net, int l, const Update &update) {
  const int lane = int(threadIdx.x) % 32;
  for (int o = int(threadIdx.x) / 32; o < net.out(l); o += warps) {
    float sum = 0;
    for (int b = lane; b < rows; b += 32)
      sum += to_float(net.d(l)[b * pitch(net.out(l)) + o]);
    sum = warp_reduce<Sum>(sum);
    if (lane == 0)
      update(net.state(l), net.in(l)*net.out(l) + o, sum);
  }
}

// Gradient of the weights of inputs first..first+columns−1 of a layer, whose input `x` is [rows, x_pitch]; moves them.
__device__ inline void update_weights(const Network &net, int l, const bf16 *x, int x_pitch, int first, int columns,
                                      const Update &update) {
  const int lane = int(threadIdx.x) % 32, strips = padded(net.out(l)) / 16, tiles = strips * (columns / 16);
  const State state = net.state(l);
  for (int tile = int(threadIdx.x) / 32; tile < tiles; tile += warps) {
    const int o = tile % strips * 16, i = tile / strips * 16;
    float sum[2][4] = {};
    multiply_strip<Lies::across, Lies::across>(sum, net.d(l) + o, pitch(net.out(l)), x + i, x_pitch, rows, lane);
    for_elements(lane, [&](int r, int c, int half, int e) {
      const int output = o + r, input = first + i + c;
      if (output < net.out(l) && input < net.in(l))
        net.shadow(l)[output * pitch(net.in(l)) + input] =
            to_bf16(update(state, output * net.in(l) + input, sum[half][e]));
    });
  }
}

__device__ inline void backward(const Network &net, const ImageSet &set, const Update &update) {
  const int lane = int(threadIdx.x) % 32, warp_row = int(threadIdx.x) / 32 * 16;
  for (int l = net.p.layers - 1; l >= 0; --l) {
    const int in = net.in(l), out = net.out(l);
    if (l > 0) { // before the weights move
      for (int i = 0; i < padded(in); i += 16) {
        float sum[2][4] = {};
        multiply_strip<Lies::straight, Lies::across>(sum, net.d(l) + warp_row * pitch(out), pitch(out),
                                                     net.shadow(l) + i, pitch(in), padded(out), lane);
        for_elements(lane, [&](int r, int c, int half, int e) {
          const int at = (warp_row + r) * pitch(in) + i + c;
          net.d(l - 1)[at] = to_bf16(sum[half][e] * to_float(net.slope(l)[at]));
        });
      }
      __syncthreads();
      update_weights(net, l, net.h(l), pitch(in), 0, padded(in), update);
    } else {
      for (int first = 0; first < in; first += chunk) {
        fill_chunk(net, set, first);
        __syncthreads();
        const int left = padded(in) - first;
        update_weights(net, 0, net.x(), pitch(chunk), first, left < chunk ? left : chunk, update);
        __syncthreads();
      }
    }
    update_biases(net, l, update);
  }
}

// Which examples step `step` takes; rows beyond the batch repeat the last, and count for nothing.
__device__ inline void draw_batch(const Network &net, const TrainingRuns<float> &runs, const ImageSet &set,
                                  const RunRecipe &recipe, std::uint32_t run, long step) {
  const int b = int(threadIdx.x);
  if (b >= rows)
    return;
  const int place = b < net.p.batch ? b : net.p.batch - 1;
  const std::uint32_t example =
      shuffled(runs.seed, Purpose::batch_order, run,
               std::uint64_t(step) * std::uint64_t(net.p.batch) + std::uint64_t(place), set.examples);
  net.example()[b] = example;
  net.label()[b] = seen_label(set.label[example], set.classes, recipe.label_noise, runs.seed, run, example);
}

// A row of what the network is now. Returns whether the run has diverged, to every thread.
__device__ inline bool write_row(const Network &net, float *row) {
  float largest = 0;
  for (int l = 0; l < net.p.layers; ++l) {
    const float *weights = net.state(l).w;
    for (int i = int(threadIdx.x); i < net.size(l); i += threads) {
      const float w = weights[i];
      largest = fmaxf(largest, fabsf(w) <= 3e38f ? fabsf(w) : 3.4e38f);
      row[net.at.offset[l] + i] = net.runs.rows_are_bf16 ? to_float(to_bf16(w)) : w;
    }
  }
  return block_reduce<Max>(largest, net.partials()) > net.runs.limit;
}

// The network's state between the runs' vectors and shared memory, and the weights as products take them.
__device__ inline void open_network(const Network &net) {
  for (int l = 0; l < net.p.layers; ++l) {
    const int in = net.in(l), out = net.out(l);
    const State outside = net.outside(l);
    if (net.at.state[l] >= 0) {
      const State inside = net.state(l);
      for (int i = int(threadIdx.x); i < net.size(l); i += threads)
        inside.w[i] = outside.w[i], inside.m[i] = outside.m[i], inside.v[i] = outside.v ? outside.v[i] : 0.0f;
    }
    for (int e = int(threadIdx.x); e < padded(out) * padded(in); e += threads) {
      const int o = e / padded(in), i = e % padded(in);
      net.shadow(l)[o * pitch(in) + i] = to_bf16(o < out && i < in ? outside.w[o * in + i] : 0.0f);
    }
  }
  __syncthreads();
}
__device__ inline void close_network(const Network &net) {
  for (int l = 0; l < net.p.layers; ++l)
    if (net.at.state[l] >= 0) {
      const State outside = net.outside(l), inside = net.state(l);
      for (int i = int(threadIdx.x); i < net.size(l); i += threads) {
        outside.w[i] = inside.w[i], outside.m[i] = inside.m[i];
        if (outside.v)
          outside.v[i] = inside.v[i];
      }
    }
}

template <int Strips>
__global__ void __launch_bounds__(threads, 1)
    train_kernel(const __grid_constant__ TrainingRuns<float> runs, const __grid_constant__ ImageSet set,
                 const __grid_constant__ MlpTraining p, const __grid_constant__ Places at, long first, long last) {
  const int network = int(blockIdx.x);
  if (runs.diverged[network])
    return;
  const Network net{p, at, runs, std::size_t(network) * runs.parameters};
  open_network(net);
  const RunRecipe recipe = runs.recipe[network];
  const std::uint32_t run = runs.first_run + std::uint32_t(network);
  const std::int32_t *due = runs.due + std::size_t(network) * runs.checkpoints;
  const auto row_at = [&](int k) { return runs.row + (std::size_t(network) * runs.checkpoints + k) * runs.parameters; };
  float *row_loss = runs.row_loss + std::size_t(network) * runs.checkpoints;
  int next = 0; // the first row that is still to be written
  while (next < runs.checkpoints && (due[next] < first || (due[next] == first && first > 0)))
    ++next;
  bool diverged = false;
  for (long step = first; step < last && !diverged; ++step) {
    const bool untouched = step == 0 && next < runs.checkpoints && due[next] == 0;
    if (untouched)
      diverged = write_row(net, row_at(next++));
    draw_batch(net, runs, set, recipe, run, step);
    __syncthreads();
    forward<Strips>(net, set, recipe.act, [&](int l, int b, int unit) {
      return recipe.dropout > 0 ? dropout_factor(recipe.dropout, runs.seed, run, step, l, b, unit) : 1.0f;
    });
    const float loss = cross_entropy(net, recipe.label_smoothing);
    backward(net, set, update_of(runs, recipe, runs.schedule[step - first]));
    __syncthreads();
    const bool is_due = next < runs.checkpoints && due[next] == step + 1;
    if (threadIdx.x == 0) {
      if (untouched)
        row_loss[0] = loss;
      if (is_due)
        row_loss[next] = loss;
      if (step + 1 == last)
        runs.loss[network] = loss;
    }
    if (is_due)
      diverged = write_row(net, row_at(next++)) || diverged;
    diverged = diverged || ((untouched || is_due) && !(fabsf(loss) <= 3e38f));
  }
  if (diverged && threadIdx.x == 0)
    runs.diverged[network] = 1;
  close_network(net);
}

template <int Strips>
__global__ void __launch_bounds__(threads, 1)
    evaluate_kernel(float *loss, std::uint32_t *wrong, const __grid_constant__ TrainingRuns<float> networks,
                    const Activation *act, const __grid_constant__ ImageSet set, const __grid_constant__ MlpTraining p,
                    const __grid_constant__ Places at, std::size_t words) {
  const int network = int(blockIdx.x);
  const Network net{p, at, networks, std::size_t(network) * networks.parameters};
  open_network(net);
  const int classes = p.widths[p.layers], b = int(threadIdx.x);
  float total = 0;
  for (std::uint32_t first = 0; first < set.examples; first += rows) {
    if (b < rows)
      net.example()[b] = first + std::uint32_t(b) < set.examples ? first + std::uint32_t(b) : set.examples - 1;
    __syncthreads();
    forward<Strips>(net, set, act[network], [](int, int, int) { return 1.0f; });
    bool is_wrong = false;
    if (b < rows && first + std::uint32_t(b) < set.examples) {
      const float *z = net.logits() + b * padded(classes);
      const int label = set.label[first + std::uint32_t(b)];
      int best = 0;
      float largest = z[0], sum = 0;
      for (int c = 1; c < classes; ++c)
        if (z[c] > largest)
          largest = z[c], best = c;
      for (int c = 0; c < classes; ++c)
        sum += expf(z[c] - largest);
      total += largest + logf(sum) - z[label];
      is_wrong = best != label || !(sum == sum);
    }
    const std::uint32_t bits = __ballot_sync(~0u, is_wrong);
    if (b < rows && b % 32 == 0 && first / 32 + std::uint32_t(b) / 32 < words)
      wrong[std::size_t(network) * words + first / 32 + std::uint32_t(b) / 32] = bits;
    __syncthreads();
  }
  total = block_reduce<Sum>(total, net.partials());
  if (threadIdx.x == 0)
    loss[network] = total / float(set.examples);
}

// What both kernels need of a shape, found once a call.
struct Plan {
  Places at;
  int widest;
};
Plan plan_of(const MlpTraining &p, bool training) {
  return {places_of(p, training), *std::max_element(p.widths + 1, p.widths + p.layers + 1)};
}

} // namespace

bool mlp_training_fits(const MlpTraining &p) {
  const Plan plan = plan_of(p, true);
  return p.batch <= rows && plan.widest <= most_width && plan.at.bytes <= room;
}

void train_mlps(Stream &s, const TrainingRuns<float> &runs, const ImageSet &set, const MlpTraining &p, long first,
                long last, void *) {
  const Plan plan = plan_of(p, true);
  const auto kernel = plan.widest <= 32 ? train_kernel<2> : plan.widest <= 64 ? train_kernel<4> : train_kernel<8>;
  launch(kernel, unsigned(runs.networks), threads, std::size_t(plan.at.bytes), s, runs, set, p, plan.at, first, last);
}

void evaluate_mlps(Stream &s, float *loss, std::uint32_t *wrong, const float *theta, const Activation *act,
                   int networks, const ImageSet &set, const MlpTraining &p, void *) {
  TrainingRuns<float> weights{}; // nothing but where the weights lie
  for (int l = 0; l < p.layers; ++l)
    weights.parameters += std::size_t(p.widths[l] + 1) * std::size_t(p.widths[l + 1]);
  weights.theta = const_cast<float *>(theta);
  const Plan plan = plan_of(p, false);
  const auto kernel = plan.widest <= 32   ? evaluate_kernel<2>
                      : plan.widest <= 64 ? evaluate_kernel<4>
                                          : evaluate_kernel<8>;
  launch(kernel, unsigned(networks), threads, std::size_t(plan.at.bytes), s, loss, wrong, weights, act, set, p, plan.at,
         mask_words(set.examples));
}

} // namespace theta::cuda
