// Whole trainings on cuda: one block a network, for all its steps, with nothing but rows written on the way. Operands
// of the products are bf16 in shared memory (tensor cores, fp32 sums); the weights that the optimiser moves, and its
// moments, are fp32, in shared memory for as many layers as there is room and in the runs' own vectors (which stay in
// the second-level cache) for the rest. Where a batch goes through at once a gradient never leaves the registers: the
// warp that summed it moves the weights under it and rounds them for the next step. A larger batch goes through in
// pieces of Rows, whose gradients are added up in shared memory, or in the workspace where there is no room.
//
// Of a product's rows (the batch) every warp has 16, so that forward passes need no sum across warps: Rows is 128, or
// 64 where 128 do not fit, and then two warps share the columns of their rows. A gradient's tiles of 16x16 weights are
// dealt out among the warps. The first layer's inputs become bf16 `chunk` columns at a time, once forward and once
// backward (only once where that is all of them).
//
// What the networks learn is the Task's, handed to the kernel by value:
//   examples(); take(net, b, example, run, label_noise): row b of the piece is that example;
//   value(net, b, i): input i of row b, zero beyond the last;
//   gradient(net, b, counts, weight, smoothing): writes row b's gradient of weight·Σ losses into d of the last layer,
//   zero
//     where the row does not count, and returns its loss.
#pragma once
#include "kernels/parts/mma.cuh"
#include "mlp_training.h"
#include "run_block.cuh"
#include <algorithm>

namespace theta::cuda {

namespace resident {

constexpr int warps = 8, threads = warps * 32;
constexpr int chunk = 64; // inputs that are bf16 at a time
constexpr int most_width = 128;

THETA_HOST_DEVICE constexpr int padded(int n) { return (n + 15) / 16 * 16; }
// Elements between the rows of a matrix in shared memory: eight rows fall on all 32 banks.
THETA_HOST_DEVICE constexpr int pitch(int columns) { return padded(columns) + 8; }

// Where everything lies in shared memory, in bytes; −1: not there. state: w, m and v with their biases as in the
// vector; gradient: like w.
struct Places {
  int x, example, label, outputs, partials;
  int h[most_mlp_layers];      // bf16 [rows, pitch], a layer's input
  int d[most_mlp_layers];      // the same of its outputs: act' of them, and from the backward on their gradient
  int shadow[most_mlp_layers]; // bf16 [padded(out), pitch(in)]
  int state[most_mlp_layers], gradient[most_mlp_layers];
  int offset[most_mlp_layers]; // elements from the start of the network's vector
  bool in_pieces;
  int bytes;
};

inline Places places_of(const MlpTraining &p, bool training, int rows) {
  const int room = int(most_shared_bytes());
  Places at{};
  const auto take = [&](int bytes) {
    const int here = at.bytes;
    at.bytes += (bytes + 15) / 16 * 16;
    return here;
  };
  const auto take_if_room = [&](int bytes, bool wanted) {
    return wanted && at.bytes + bytes <= room ? take(bytes) : -1;
  };
  const auto activations = [&](int columns) { return take(rows * pitch(columns) * 2); };
  at.in_pieces = training && p.batch > rows;
  at.x = activations(std::min(chunk, p.widths[0]));
  at.example = take(rows * 4), at.label = take(rows * 4), at.partials = take(32 * 4);
  at.outputs = take(rows * padded(p.widths[p.layers]) * 4);
  for (int l = 0; l < p.layers; ++l) {
    at.h[l] = l > 0 ? activations(p.widths[l]) : 0;
    at.d[l] = training ? activations(p.widths[l + 1]) : 0;
    at.shadow[l] = take(padded(p.widths[l + 1]) * pitch(p.widths[l]) * 2);
    at.offset[l] = l > 0 ? at.offset[l - 1] + (p.widths[l - 1] + 1) * p.widths[l] : 0;
  }
  const auto bytes_of = [&](int l) { return 4 * (p.widths[l] + 1) * p.widths[l + 1]; };
  for (int l = p.layers - 1; l >= 0; --l)
    at.gradient[l] = take_if_room(bytes_of(l), at.in_pieces);
  for (int l = p.layers - 1; l >= 0; --l)
    at.state[l] = take_if_room(3 * bytes_of(l), training);
  return at;
}

// What both kernels need of a shape, found once a call.
struct Plan {
  int rows, strips; // strips of 16 outputs that a warp has of the widest layer: 2, 4 or 8
  Places at;
};
inline Plan plan_of(const MlpTraining &p, bool training) {
  const int widest = *std::max_element(p.widths + 1, p.widths + p.layers + 1), strips = widest <= 32   ? 2
                                                                                        : widest <= 64 ? 4
                                                                                                       : 8;
  const Places at = places_of(p, training, 128);
  if (at.bytes <= int(most_shared_bytes()))
    return {128, strips, at};
  return {64, 4, places_of(p, training, 64)};
}

inline bool fits(const MlpTraining &p) {
  return *std::max_element(p.widths + 1, p.widths + p.layers + 1) <= most_width &&
         plan_of(p, true).at.bytes <= int(most_shared_bytes());
}

// Bytes of gradients that do not fit into shared memory, for `networks` networks.
inline std::size_t workspace(const MlpTraining &p, int networks) {
  return p.batch > 64 ? std::size_t(networks) * parameters_of(p) * sizeof(float) : 1; // the same for every GPU
}

struct Bytes {
  alignas(16) unsigned char at[16];
};

// One block's view of its network. Its sizes and places are the kernel's arguments, which may be indexed freely.
struct Network {
  const MlpTraining &p;
  const Places &at;
  const TrainingRuns<float> &runs;
  std::size_t first; // of the network in the runs' vectors
  float *workspace;  // [networks, V]: gradients without room in shared memory

  template <class T> __device__ T *shared_at(int offset) const {
    return reinterpret_cast<T *>(shared<Bytes>().at + offset);
  }
  __device__ bf16 *h(int l) const { return shared_at<bf16>(at.h[l]); }
  __device__ bf16 *d(int l) const { return shared_at<bf16>(at.d[l]); }
  __device__ bf16 *shadow(int l) const { return shared_at<bf16>(at.shadow[l]); }
  __device__ bf16 *x() const { return shared_at<bf16>(at.x); }
  __device__ int x_pitch() const { return pitch(in(0) < chunk ? in(0) : chunk); }
  __device__ std::uint32_t *example() const { return shared_at<std::uint32_t>(at.example); }
  __device__ int *label() const { return shared_at<int>(at.label); }
  __device__ float *outputs() const { return shared_at<float>(at.outputs); }
  __device__ float *partials() const { return shared_at<float>(at.partials); }
  __device__ int in(int l) const { return p.widths[l]; }
  __device__ int out(int l) const { return p.widths[l + 1]; }
  __device__ int size(int l) const { return (in(l) + 1) * out(l); }
  __device__ int last() const { return p.layers - 1; }

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
  __device__ float *gradient(int l) const {
    return at.gradient[l] < 0 ? workspace + first + std::size_t(at.offset[l]) : shared_at<float>(at.gradient[l]);
  }
};

// Which part of a product a warp has: 16 rows from `row` on, and of every `of` strips of columns the one that is
// `which`.
struct Part {
  int row, which, of;
};
template <int Rows> __device__ inline Part part_of(int warp) {
  constexpr int strips = Rows / 16;
  return {warp % strips * 16, warp / strips, warps / strips};
}

// Inputs first..first+chunk−1 of the piece's rows, zero beyond the last.
template <int Rows, class Task> __device__ inline void fill_chunk(const Network &net, const Task &task, int first) {
  bf16 *x = net.x();
  const int columns = net.x_pitch() - 8;
#pragma unroll 2
  for (int e = int(threadIdx.x); e < Rows * columns / 2; e += threads) {
    const int b = e / (columns / 2), c = e % (columns / 2) * 2;
    *reinterpret_cast<std::uint32_t *>(x + b * net.x_pitch() + c) =
        pack_bf16(task.value(net, b, first + c), task.value(net, b, first + c + 1));
  }
}

// What hidden units of the piece's rows are multiplied by; nothing where the rate is 0.
struct Dropout {
  float rate;
  std::uint64_t seed;
  std::uint32_t run;
  long step;
  int first; // of the piece in the batch
  __device__ float operator()(int layer, int row, int unit) const {
    return rate > 0 ? dropout_factor(rate, seed, run, step, layer, first + row, unit) : 1.0f;
  }
};

// Outputs of the piece's rows. A sine's argument is large: it is taken of the fp32 sums; other activations of what they
// are rounded to, in a pass of its own.
template <int Rows, int Strips, class Task>
__device__ inline void forward(const Network &net, const Task &task, Activation act, bool training,
                               const Dropout &dropout) {
  const int lane = int(threadIdx.x) % 32;
  const Part part = part_of<Rows>(int(threadIdx.x) / 32);
  for (int l = 0; l < net.p.layers; ++l) {
    const int out = net.out(l), strips = padded(out) / 16;
    float sum[Strips][2][4] = {};
    const auto add = [&](const bf16 *a, int a_pitch, const bf16 *w, int depth) {
#pragma unroll
      for (int s = 0; s < Strips; ++s)
        if (const int strip = s * part.of + part.which; strip < strips)
          multiply_strip<Lies::straight, Lies::straight>(sum[s], a + part.row * a_pitch, a_pitch,
                                                         w + strip * 16 * pitch(net.in(l)), pitch(net.in(l)), depth,
                                                         lane);
    };
    if (l > 0)
      add(net.h(l), pitch(net.in(l)), net.shadow(l), padded(net.in(l)));
    else
      for (int first = 0; first < net.in(0); first += chunk) {
        fill_chunk<Rows>(net, task, first);
        __syncthreads();
        const int left = padded(net.in(0)) - first;
        add(net.x(), net.x_pitch(), net.shadow(0) + first, left < chunk ? left : chunk);
        __syncthreads();
      }
    const bool last = l == net.last(), sine = act == Activation::sine;
    const float *bias = net.state(l).w + net.in(l)*out;
#pragma unroll
    for (int s = 0; s < Strips; ++s)
      if (const int strip = s * part.of + part.which; strip < strips)
        for_elements(lane, [&](int r, int c, int half, int e) {
          const int b = part.row + r, o = strip * 16 + c;
          const float z = o < out ? sum[s][half][e] + bias[o] : 0.0f;
          if (last) {
            net.outputs()[b * padded(out) + o] = z;
          } else if (sine) {
            float of, slope;
            __sincosf(net.p.omega * z, &of, &slope);
            net.h(l + 1)[b * pitch(out) + o] = to_bf16(of);
            if (training)
              net.d(l)[b * pitch(out) + o] = to_bf16(net.p.omega * slope);
          } else {
            net.h(l + 1)[b * pitch(out) + o] = to_bf16(z);
          }
        });
    __syncthreads();
    if (last)
      return;
    if (sine && !(dropout.rate > 0))
      continue;
    for (int e = int(threadIdx.x); e < Rows * padded(out); e += threads) { // padding stays zero: act(0) is
      const int b = e / padded(out), o = e % padded(out), here = b * pitch(out) + o;
      const float z = to_float(net.h(l + 1)[here]), keep = dropout(l, b, o);
      net.h(l + 1)[here] = to_bf16((act == Activation::sine ? z : activate(act, z)) * keep);
      if (training)
        net.d(l)[here] =
            to_bf16((act == Activation::sine ? to_float(net.d(l)[here]) : activation_slope(act, z)) * keep);
    }
    __syncthreads();
  }
}

// From the gradient of the outputs down: use(layer, i, g) takes the gradient of weight (or bias) i of a layer's part of
// the vector and may return what the weight is now, which then becomes its shadow; a bias has none.
template <int Rows, class Task, class Use>
__device__ inline void backward(const Network &net, const Task &task, Use use) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const Part part = part_of<Rows>(warp);
  // Of the weights of inputs first..first+columns−1 of a layer, whose input `x` is [rows, x_pitch].
  const auto weights = [&](int l, const bf16 *x, int x_pitch, int first, int columns) {
    const int strips = padded(net.out(l)) / 16, tiles = strips * (columns / 16);
    for (int tile = warp; tile < tiles; tile += warps) {
      const int o = tile % strips * 16, i = tile / strips * 16;
      float sum[2][4] = {};
      multiply_strip<Lies::across, Lies::across>(sum, net.d(l) + o, pitch(net.out(l)), x + i, x_pitch, Rows, lane);
      for_elements(lane, [&](int r, int c, int half, int e) {
        const int output = o + r, input = first + i + c;
        if (output < net.out(l) && input < net.in(l))
          use(l, output * net.in(l) + input, sum[half][e], &net.shadow(l)[output * pitch(net.in(l)) + input]);
      });
    }
  };
  for (int l = net.last(); l >= 0; --l) {
    const int in = net.in(l), out = net.out(l);
    if (l > 0) { // before the weights move
      for (int i = part.which * 16; i < padded(in); i += part.of * 16) {
        float sum[2][4] = {};
        multiply_strip<Lies::straight, Lies::across>(sum, net.d(l) + part.row * pitch(out), pitch(out),
                                                     net.shadow(l) + i, pitch(in), padded(out), lane);
        for_elements(lane, [&](int r, int c, int half, int e) {
          bf16 &d = net.d(l - 1)[(part.row + r) * pitch(in) + i + c];
          d = to_bf16(sum[half][e] * to_float(d));
        });
      }
      __syncthreads();
      weights(l, net.h(l), pitch(in), 0, padded(in));
    } else if (in <= chunk) { // still there
      weights(0, net.x(), net.x_pitch(), 0, padded(in));
    } else {
      for (int first = 0; first < in; first += chunk) {
        fill_chunk<Rows>(net, task, first);
        __syncthreads();
        const int left = padded(in) - first;
        weights(0, net.x(), net.x_pitch(), first, left < chunk ? left : chunk);
        __syncthreads();
      }
    }
    for (int o = warp; o < out; o += warps) { // biases: sums of the columns of d, a warp a column
      float sum = 0;
      for (int b = lane; b < Rows; b += 32)
        sum += to_float(net.d(l)[b * pitch(out) + o]);
      sum = warp_reduce<Sum>(sum);
      if (lane == 0)
        use(l, in * out + o, sum, static_cast<bf16 *>(nullptr));
    }
  }
}

// A row of what the network is now. Returns whether the run has diverged, to every thread.
__device__ inline bool write_row(const Network &net, float *row) {
  float largest = 0;
  for (int l = 0; l < net.p.layers; ++l)
    largest = fmaxf(largest, write_weights(net.runs, row + net.at.offset[l], net.state(l).w, net.size(l)));
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

// One update; returns the batch's mean loss before it to every thread.
template <int Rows, int Strips, class Task>
__device__ inline float train_step(const Network &net, const Task &task, const RunRecipe &recipe, std::uint32_t run,
                                   long step, const Update &update) {
  const TrainingRuns<float> &runs = net.runs;
  const int b = int(threadIdx.x), batch = net.p.batch;
  float loss = 0;
  for (int first = 0; first < batch; first += Rows) { // rows beyond the batch repeat its last, and count for nothing
    if (b < Rows) {
      const int place = first + b < batch ? first + b : batch - 1;
      const std::uint32_t example = drawn_example(
          runs.seed, run, std::uint64_t(step) * std::uint64_t(batch) + std::uint64_t(place), batch, task.examples());
      task.take(net, b, example, run, recipe.label_noise);
    }
    __syncthreads();
    forward<Rows, Strips>(net, task, recipe.act, true, {recipe.dropout, runs.seed, run, step, first});
    if (b < Rows)
      loss += task.gradient(net, b, first + b < batch, 1 / float(batch), recipe.label_smoothing);
    __syncthreads();
    if (net.at.in_pieces)
      backward<Rows>(net, task, [&](int l, int i, float g, bf16 *) {
        float *sum = net.gradient(l) + i;
        *sum = first == 0 ? g : *sum + g;
      });
    else
      backward<Rows>(net, task, [&](int l, int i, float g, bf16 *shadow) {
        const float w = update(net.state(l), i, g);
        if (shadow)
          *shadow = to_bf16(w);
      });
    __syncthreads();
  }
  if (net.at.in_pieces) {
    for (int l = 0; l < net.p.layers; ++l) {
      const State state = net.state(l);
      const float *gradient = net.gradient(l);
      const int in = net.in(l), weights = in * net.out(l);
      for (int i = int(threadIdx.x); i < net.size(l); i += threads) {
        const float w = update(state, i, gradient[i]);
        if (i < weights)
          net.shadow(l)[i / in * pitch(in) + i % in] = to_bf16(w);
      }
    }
  }
  return block_reduce<Sum>(loss, net.partials()) / float(batch);
}

// Small networks share a multiprocessor.
template <int Strips> constexpr int blocks_at_least = Strips == 2 ? 2 : 1;

template <int Rows, int Strips, class Task>
__global__ void __launch_bounds__(threads, blocks_at_least<Strips>)
    train_kernel(const __grid_constant__ TrainingRuns<float> runs, const __grid_constant__ Task task,
                 const __grid_constant__ MlpTraining p, const __grid_constant__ Places at, float *workspace, long first,
                 long last) {
  const int network = int(blockIdx.x);
  if (runs.is_over(network))
    return;
  const Network net{p, at, runs, std::size_t(network) * runs.parameters, workspace};
  open_network(net);
  train_run(
      runs, network, first, last,
      [&](const RunRecipe &recipe, std::uint32_t run, long step, const Update &update) {
        return train_step<Rows, Strips>(net, task, recipe, run, step, update);
      },
      [&](float *row) { return write_row(net, row); });
  close_network(net);
}

// Calls f.template operator()<Rows, Strips>() as the plan has them.
template <class F> void with_sizes(const Plan &plan, F f) {
  if (plan.rows == 64)
    f.template operator()<64, 4>();
  else if (plan.strips == 2)
    f.template operator()<128, 2>();
  else if (plan.strips == 4)
    f.template operator()<128, 4>();
  else
    f.template operator()<128, 8>();
}

template <class Task>
void train_networks(Stream &s, const TrainingRuns<float> &runs, const Task &task, const MlpTraining &p, long first,
                    long last, void *workspace) {
  const Plan plan = plan_of(p, true);
  with_sizes(plan, [&]<int Rows, int Strips>() {
    launch(train_kernel<Rows, Strips, Task>, unsigned(runs.networks), threads, std::size_t(plan.at.bytes), s, runs,
           task, p, plan.at, static_cast<float *>(workspace), first, last);
  });
}

// Networks whose weights alone are known.
inline TrainingRuns<float> weights_of(const float *theta, const MlpTraining &p) {
  TrainingRuns<float> weights{};
  weights.parameters = parameters_of(p);
  weights.theta = const_cast<float *>(theta);
  return weights;
}

} // namespace resident

} // namespace theta::cuda
