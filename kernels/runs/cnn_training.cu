// On cuda: one block a network, for all its steps. Weights, moments and gradient are fp32 in shared memory, and so is,
// in bf16, everything that a few images (a group) need on their way. Every convolution and both its backwards are
// products on tensor cores whose operands are gathered from where they lie, by tables of offsets made once a launch:
//   forward         z [places, outputs]  = inputs [places, taps] · W [taps, outputs]
//   weight gradient g [taps, outputs]   += inputs [places, taps]ᵀ · dz [places, outputs]
//   input gradient  d [places, inputs]   = dz [places, outputs·taps] · W
// with places over all images of the group. A row (16 of them a tile) belongs to one warp; where there are fewer tiles
// of taps than warps, the places of a weight gradient are split among warps and their sums added in one order.
#include "classifier.cuh"
#include "cnn_training.h"
#include "kernels/operations/counting.h"
#include "kernels/parts/mma.cuh"
#include "run_block.cuh"
#include <algorithm>

namespace theta::cuda {

namespace {

constexpr int warps = 8, threads = warps * 32;
constexpr int most_group = 16;

THETA_HOST_DEVICE constexpr int up(int n, int unit) { return (n + unit - 1) / unit * unit; }

// What a layer is, and where its tensors and tables lie in shared memory (bytes).
struct Layer {
  int inputs, side, outputs, kernel, stride, pool, average, out_side; // out_side before pooling
  int in_size, out_size, taps, back_taps; // elements of an image; taps of the two convolutions
  int weight;                             // elements from the start of the network's vector
  int h, d, z; // bf16 [group, in_size]: the input; act' of it, and then its gradient; [group, out_size]: what the layer
               // gives, and then its gradient
  // Tables, 32 bits an entry. places [group·out_side²]: input offset, and z offset in the upper half. tap [taps]:
  // offset from a place. back [back_taps]: of the input gradient, output | ky | kx in 16, 8 and 8 bits. back_weight:
  // where in the weights, less inputs.
  int places, tap, back, back_weight;
};

struct Places {
  Layer layer[most_cnn_layers];
  int layers, group, parameters, batch;
  // fp32 [V] four times; [group, classes]; [group] twice; [32]; [warps, 128]
  int w, m, v, g, logits, label, example, partials, sums;
  int bytes;
};

Places places_of(const CnnTraining &p, int group) {
  Places at{};
  const auto take = [&](int bytes) {
    const int here = at.bytes;
    at.bytes += up(bytes, 16);
    return here;
  };
  at.layers = p.layers, at.group = group, at.batch = p.batch, at.parameters = int(parameters_of(p));
  for (int *vector : {&at.w, &at.m, &at.v, &at.g})
    *vector = take(at.parameters * 4);
  int weight = 0;
  for (int l = 0; l < p.layers; ++l) {
    Layer &a = at.layer[l];
    a.inputs = p.in_channels(l), a.side = p.in_side(l), a.outputs = p.layer[l].channels, a.kernel = p.layer[l].kernel;
    a.stride = p.layer[l].stride, a.pool = p.layer[l].pool, a.average = p.layer[l].average, a.out_side = p.out_side(l),
    a.in_size = p.in_size(l), a.out_size = p.out_size(l);
    a.taps = p.taps(l), a.back_taps = a.outputs * a.kernel * a.kernel;
    a.weight = weight, weight += p.weights(l) + a.outputs;
    a.h = take(group * a.in_size * 2);
    a.d = l > 0 ? take(group * a.in_size * 2) : 0;
    a.z = take(group * a.out_size * 2);
    a.places = take(group * a.out_side * a.out_side * 4), a.tap = take(up(a.taps, 16) * 4);
    a.back = l > 0 ? take(up(a.back_taps, 16) * 4) : 0, a.back_weight = l > 0 ? take(up(a.back_taps, 16) * 4) : 0;
  }
  at.logits = take(group * p.layer[p.layers - 1].channels * 4);
  at.label = take(group * 4), at.example = take(group * 4), at.partials = take(32 * 4), at.sums = take(warps * 128 * 4);
  return at;
}

// As many images at a time as leave room for a second block beside it, or else as many as fit.
Places plan_of(const CnnTraining &p) {
  const int room = int(most_shared_bytes());
  for (const int bytes : {(room - 2048) / 2, room})
    for (int group = most_group; group >= (bytes == room ? 1 : 4); group /= 2)
      if (const Places at = places_of(p, group); at.bytes <= bytes)
        return at;
  return places_of(p, 1);
}

struct Bytes {
  alignas(16) unsigned char at[16];
};

template <class T> __device__ T *shared_at(int offset) { return reinterpret_cast<T *>(shared<Bytes>().at + offset); }

__device__ inline std::uint32_t pair_of(bf16 low, bf16 high) { return low.bits | std::uint32_t(high.bits) << 16; }

// D [m, n] = A·B over k, `first`..`last` (multiples of 16 but for the end): row(r) is what a(row, k) needs of row r,
// b(k, column) must be 0 where k is beyond the end; put(r, column, sum) is called for what lies inside.
template <class Row, class A, class B, class Put>
__device__ inline void multiply_tile(int tile_row, int tile_column, int m, int n, int first, int last, Row row, A a,
                                     B b, Put put) {
  const int lane = int(threadIdx.x) % 32, group = lane / 4, pair = lane % 4 * 2;
  const int r = tile_row * 16 + group, column = tile_column * 8 + group;
  const auto upper = row(r < m ? r : m - 1), lower = row(r + 8 < m ? r + 8 : m - 1);
  float d[4] = {};
  for (int k = first + pair; k < last + pair; k += 16) {
    const std::uint32_t left[4] = {pair_of(a(upper, k), a(upper, k + 1)), pair_of(a(lower, k), a(lower, k + 1)),
                                   pair_of(a(upper, k + 8), a(upper, k + 9)),
                                   pair_of(a(lower, k + 8), a(lower, k + 9))};
    const std::uint32_t right[2] = {pair_of(b(k, column), b(k + 1, column)),
                                    pair_of(b(k + 8, column), b(k + 9, column))};
    multiply_add(d, left, right);
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int at_row = r + e / 2 * 8, at_column = tile_column * 8 + pair + e % 2;
    if (at_row < m && at_column < n)
      put(at_row, at_column, d[e]);
  }
}

// One block's view of its network.
struct Network {
  const Places &at;

  __device__ const Layer &layer(int l) const { return at.layer[l]; }
  __device__ int last() const { return at.layers - 1; }
  __device__ bf16 *h(int l) const { return shared_at<bf16>(at.layer[l].h); }
  __device__ bf16 *d(int l) const { return shared_at<bf16>(at.layer[l].d); }
  __device__ bf16 *z(int l) const { return shared_at<bf16>(at.layer[l].z); }
  __device__ float *w(int l) const { return shared_at<float>(at.w) + at.layer[l].weight; }
  __device__ float *g(int l) const { return shared_at<float>(at.g) + at.layer[l].weight; }
  __device__ float *logits() const { return shared_at<float>(at.logits); }
  __device__ int *label() const { return shared_at<int>(at.label); }
  __device__ std::uint32_t *example() const { return shared_at<std::uint32_t>(at.example); }
  __device__ float *partials() const { return shared_at<float>(at.partials); }
  __device__ State state() const { return {shared_at<float>(at.w), shared_at<float>(at.m), shared_at<float>(at.v)}; }
};

// The tables, and the network's vectors into shared memory.
__device__ inline void open_network(const Network &net, const TrainingRuns<float> &runs, std::size_t from) {
  for (int l = 0; l <= net.last(); ++l) {
    const Layer &a = net.layer(l);
    const int area = a.kernel * a.kernel, out_area = a.out_side * a.out_side;
    for (int r = int(threadIdx.x); r < net.at.group * out_area; r += threads) {
      const int image = r / out_area, place = r % out_area;
      const int input = image * a.in_size + (place / a.out_side * a.side + place % a.out_side) * a.stride;
      shared_at<std::uint32_t>(a.places)[r] = std::uint32_t(input) | std::uint32_t(image * a.out_size + place) << 16;
    }
    for (int k = int(threadIdx.x); k < up(a.taps, 16); k += threads)
      shared_at<int>(a.tap)[k] =
          k < a.taps ? k / area * a.side * a.side + k % area / a.kernel * a.side + k % a.kernel : 0;
    for (int k = int(threadIdx.x); l > 0 && k < up(a.back_taps, 16); k += threads) {
      const int known = k < a.back_taps ? k : 0, tap = known % area;
      shared_at<int>(a.back)[k] = known / area << 16 | tap / a.kernel << 8 | tap % a.kernel;
      shared_at<int>(a.back_weight)[k] = known / area * a.taps + tap;
    }
  }
  const State s = net.state();
  for (int i = int(threadIdx.x); i < net.at.parameters; i += threads) {
    s.w[i] = runs.theta[from + i];
    s.m[i] = runs.moment1 ? runs.moment1[from + i] : 0.0f, s.v[i] = runs.moment2 ? runs.moment2[from + i] : 0.0f;
    shared_at<float>(net.at.g)[i] = 0;
  }
}

// Image `image` of the group is example example(image).
template <class Example> __device__ inline void fill(const Network &net, const ImageSet &set, Example example) {
  for (int e = int(threadIdx.x); e < net.at.group * set.pixels; e += threads) {
    const int image = e / set.pixels, pixel = e % set.pixels;
    net.h(0)[e] = to_bf16(float(set.image[std::size_t(example(image)) * set.pixels + pixel]) * float(set.scale) +
                          float(set.shift));
  }
  __syncthreads();
}

__device__ inline void activate_with_slope(Activation act, float z, float &of, float &slope) {
  if (act == Activation::sine)
    __sincosf(30 * z, &of, &slope), slope *= 30;
  else
    of = activate(act, z), slope = activation_slope(act, z);
}

// What the next layer reads: the mean of a channel's activations. Its d keeps what a place's activation is multiplied
// by.
template <class Factor>
__device__ inline void average(const Network &net, int l, Activation act, bool training, Factor factor) {
  const Layer &a = net.layer(l);
  const int places = a.out_side * a.out_side;
  for (int e = int(threadIdx.x); e < net.at.group * a.outputs; e += threads) {
    const bf16 *z = net.z(l) + e * places; // [group, channels, places]
    float sum = 0, of, slope;
    for (int place = 0; place < places; ++place)
      activate_with_slope(act, to_float(z[place]), of, slope), sum += of;
    const float keep = factor(l, e / a.outputs, e % a.outputs) / float(places);
    net.h(l + 1)[e] = to_bf16(sum * keep);
    if (training)
      net.d(l + 1)[e] = to_bf16(keep);
  }
}

// z of a layer becomes its gradient, given that of its mean over the image.
__device__ inline void spread(const Network &net, int l, Activation act) {
  const Layer &a = net.layer(l);
  const int places = a.out_side * a.out_side;
  for (int e = int(threadIdx.x); e < net.at.group * a.out_size; e += threads) {
    float of, slope;
    activate_with_slope(act, to_float(net.z(l)[e]), of, slope);
    net.z(l)[e] = to_bf16(to_float(net.d(l + 1)[e / places]) * slope);
  }
  __syncthreads();
}

// factor(layer, image, unit) is dropout's.
template <class Factor>
__device__ inline void forward(const Network &net, Activation act, bool training, Factor factor) {
  const int warp = int(threadIdx.x) / 32;
  for (int l = 0; l <= net.last(); ++l) {
    const Layer &a = net.layer(l);
    const std::uint32_t *places = shared_at<std::uint32_t>(a.places);
    const int *tap = shared_at<int>(a.tap);
    const bf16 *h = net.h(l);
    const float *w = net.w(l), *bias = w + a.outputs * a.taps;
    const int area = a.out_side * a.out_side, m = net.at.group * area, rows = up(m, 16) / 16,
              columns = up(a.outputs, 8) / 8;
    const bool last = l == net.last();
    for (int tile = warp; tile < rows * columns; tile += warps)
      multiply_tile(
          tile % rows, tile / rows, m, a.outputs, 0, up(a.taps, 16), [&](int r) { return h + (places[r] & 0xFFFFu); },
          [&](const bf16 *row, int k) { return row[tap[k]]; },
          [&](int k, int o) { return k < a.taps && o < a.outputs ? to_bf16(w[o * a.taps + k]) : bf16{0}; },
          [&](int r, int o, float sum) {
            if (last)
              net.logits()[r * a.outputs + o] = sum + bias[o];
            else
              net.z(l)[(places[r] >> 16) + std::uint32_t(o * area)] = to_bf16(sum + bias[o]);
          });
    __syncthreads();
    if (last)
      return;
    if (a.average) {
      average(net, l, act, training, factor);
      __syncthreads();
      continue;
    }
    const int side = a.out_side / a.pool, in_size = net.layer(l + 1).in_size;
    for (int e = int(threadIdx.x); e < net.at.group * in_size; e += threads) {
      const int image = e / in_size, unit = e % in_size, x = unit % side, y = unit / side % side,
                c = unit / (side * side);
      const bf16 *window = net.z(l) + image * a.out_size + (c * a.out_side + y * a.pool) * a.out_side + x * a.pool;
      float largest = to_float(window[0]);
      if (a.pool == 2)
        largest = fmaxf(fmaxf(largest, to_float(window[1])),
                        fmaxf(to_float(window[a.out_side]), to_float(window[a.out_side + 1])));
      const float keep = factor(l, image, unit);
      float of, slope;
      activate_with_slope(act, largest, of, slope);
      net.h(l + 1)[e] = to_bf16(of * keep);
      if (training)
        net.d(l + 1)[e] = to_bf16(slope * keep);
    }
    __syncthreads();
  }
}

// Cross-entropy of image b's logits, and its gradient into z of the last layer (zero where the image does not count).
__device__ inline float cross_entropy(const Network &net, int b, bool counts, float weight, float smoothing) {
  const int classes = net.layer(net.last()).outputs, label = net.label()[b];
  const float *z = net.logits() + b * classes;
  bf16 *d = net.z(net.last()) + b * classes;
  return cross_entropy_gradient(d, classes, z, classes, label, counts, weight, smoothing);
}

// g of a layer += inputsᵀ·dz.
__device__ inline void add_weight_gradient(const Network &net, int l) {
  const Layer &a = net.layer(l);
  const std::uint32_t *places = shared_at<std::uint32_t>(a.places);
  const int *tap = shared_at<int>(a.tap);
  const bf16 *h = net.h(l), *dz = net.z(l);
  float *g = net.g(l), *sums = shared_at<float>(net.at.sums);
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int area = a.out_side * a.out_side, count = net.at.group * area;
  const int rows = up(a.taps, 16) / 16, tiles = rows * (up(a.outputs, 8) / 8),
            splits = tiles < warps ? warps / tiles : 1;
  const int part = up((count + splits - 1) / splits, 16);
  for (int unit = warp; unit < tiles * splits; unit += warps) {
    const int tile = unit % tiles, split = unit / tiles, first = split * part;
    const int end = first + part < count ? first + part : count;
    multiply_tile(
        tile % rows, tile / rows, a.taps, a.outputs, first, first < end ? first + up(end - first, 16) : first,
        [&](int r) { return h + tap[r]; },
        [&](const bf16 *row, int k) { return row[places[k < count ? k : 0] & 0xFFFFu]; },
        [&](int k, int o) {
          return k < end && o < a.outputs ? dz[(places[k] >> 16) + std::uint32_t(o * area)] : bf16{0};
        },
        [&](int r, int o, float sum) {
          if (splits == 1)
            g[o * a.taps + r] += sum;
          else
            sums[unit * 128 + r % 16 * 8 + o % 8] = sum;
        });
  }
  for (int o = warp; o < a.outputs; o += warps) { // biases
    float sum = 0;
    for (int r = lane; r < count; r += 32)
      sum += to_float(dz[(places[r] >> 16) + std::uint32_t(o * area)]);
    sum = warp_reduce<Sum>(sum);
    if (lane == 0)
      g[a.outputs * a.taps + o] += sum;
  }
  __syncthreads();
  if (splits == 1)
    return;
  for (int e = int(threadIdx.x); e < a.taps * a.outputs; e += threads) {
    const int r = e % a.taps, o = e / a.taps, tile = o / 8 * rows + r / 16;
    float sum =
        0; // the thread that moves the weight, if it is the first layer's; otherwise a barrier comes before that
    for (int split = 0; split < splits; ++split)
      sum += sums[(split * tiles + tile) * 128 + r % 16 * 8 + o % 8];
    g[e] += sum;
  }
}

// d of a layer's input: dz·W times the slope that lies there.
__device__ inline void input_gradient(const Network &net, int l) {
  const Layer &a = net.layer(l);
  const int *back = shared_at<int>(a.back), *back_weight = shared_at<int>(a.back_weight);
  const float *w = net.w(l);
  const bf16 *dz = net.z(l);
  bf16 *d = net.d(l);
  const int warp = int(threadIdx.x) / 32, area = a.side * a.side, kernel_area = a.kernel * a.kernel;
  const int m = net.at.group * area, rows = up(m, 16) / 16;
  struct Row {
    const bf16 *dz;
    int y, x;
  };
  for (int tile = warp; tile < rows * (up(a.inputs, 8) / 8); tile += warps)
    multiply_tile(
        tile % rows, tile / rows, m, a.inputs, 0, up(a.back_taps, 16),
        [&](int r) {
          return Row{dz + r / area * a.out_size, r % area / a.side, r % a.side};
        },
        [&](const Row &row, int k) {
          const int of = back[k], y = row.y - (of >> 8 & 255), x = row.x - (of & 255);
          const int shift = a.stride - 1, far = a.out_side << shift; // a stride of 1 or 2
          const bool inside = y >= 0 && y < far && x >= 0 && x < far && ((y | x) & shift) == 0;
          return inside ? row.dz[((of >> 16) * a.out_side + (y >> shift)) * a.out_side + (x >> shift)] : bf16{0};
        },
        [&](int k, int i) {
          return k < a.back_taps && i < a.inputs ? to_bf16(w[back_weight[k] + i * kernel_area]) : bf16{0};
        },
        [&](int r, int i, float sum) {
          bf16 &here = d[r / area * a.in_size + i * area + r % area];
          here = to_bf16(sum * to_float(here));
        });
  __syncthreads();
}

// z of a layer becomes its gradient, given that of the next one's input: the first largest of a window has it.
__device__ inline void unpool(const Network &net, int l) {
  const Layer &a = net.layer(l);
  const int side = a.out_side / a.pool, in_size = net.layer(l + 1).in_size;
  for (int e = int(threadIdx.x); e < net.at.group * in_size; e += threads) {
    const int image = e / in_size, unit = e % in_size, x = unit % side, y = unit / side % side,
              c = unit / (side * side);
    bf16 *window = net.z(l) + image * a.out_size + (c * a.out_side + y * a.pool) * a.out_side + x * a.pool;
    const bf16 gradient = net.d(l + 1)[e];
    if (a.pool == 1) {
      window[0] = gradient;
      continue;
    }
    const int at[4] = {0, 1, a.out_side, a.out_side + 1};
    int first = 0;
    float largest = to_float(window[0]);
#pragma unroll
    for (int i = 1; i < 4; ++i)
      if (const float z = to_float(window[at[i]]); z > largest)
        largest = z, first = at[i];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      window[at[i]] = at[i] == first ? gradient : bf16{0};
  }
  if (a.pool == 2 && a.out_side % 2 != 0) // what no window holds
    for (int e = int(threadIdx.x); e < net.at.group * a.out_size; e += threads)
      if (e % a.out_side == a.out_side - 1 || e / a.out_side % a.out_side == a.out_side - 1)
        net.z(l)[e] = bf16{0};
  __syncthreads();
}

// One update; returns the batch's mean loss before it to every thread.
__device__ inline float train_step(const Network &net, const TrainingRuns<float> &runs, const ImageSet &set,
                                   const RunRecipe &recipe, std::uint32_t run, long step, const Update &update) {
  const int batch = net.at.batch, b = int(threadIdx.x);
  float loss = 0;
  for (int first = 0; first < batch;
       first += net.at.group) { // images beyond the batch repeat its last, and do not count
    if (b < net.at.group) {
      const int place = first + b < batch ? first + b : batch - 1;
      const std::uint32_t of = drawn_example(
          runs.seed, run, std::uint64_t(step) * std::uint64_t(batch) + std::uint64_t(place), batch, set.examples);
      net.example()[b] = of;
      net.label()[b] = seen_label(set.label[of], set.classes, recipe.label_noise, runs.seed, run, of);
    }
    __syncthreads();
    fill(net, set, [&](int image) { return net.example()[image]; });
    forward(net, recipe.act, true, [&](int l, int image, int unit) {
      return recipe.dropout > 0 ? dropout_factor(recipe.dropout, runs.seed, run, step, l, first + image, unit) : 1.0f;
    });
    if (b < net.at.group)
      loss += cross_entropy(net, b, first + b < batch, 1 / float(batch), recipe.label_smoothing);
    __syncthreads();
    for (int l = net.last(); l >= 0; --l) {
      add_weight_gradient(net, l);
      if (l > 0) {
        input_gradient(net, l);
        net.layer(l - 1).average ? spread(net, l - 1, recipe.act) : unpool(net, l - 1);
      }
    }
  }
  float *g = shared_at<float>(net.at.g);
  const State state = net.state();
  for (int i = int(threadIdx.x); i < net.at.parameters; i += threads) {
    update(state, i, g[i]);
    g[i] = 0;
  }
  return block_reduce<Sum>(loss, net.partials()) / float(batch);
}

__global__ void __launch_bounds__(threads, 2)
    train_kernel(const __grid_constant__ TrainingRuns<float> runs, const __grid_constant__ ImageSet set,
                 const __grid_constant__ Places at, long first, long last) {
  const int network = int(blockIdx.x);
  if (runs.is_over(network))
    return;
  const Network net{at};
  const std::size_t from = std::size_t(network) * runs.parameters;
  open_network(net, runs, from);
  train_run(
      runs, network, first, last,
      [&](const RunRecipe &recipe, std::uint32_t run, long step, const Update &update) {
        return train_step(net, runs, set, recipe, run, step, update);
      },
      [&](float *row) {
        return block_reduce<Max>(write_weights(runs, row, net.state().w, at.parameters), net.partials()) > runs.limit;
      });
  const State s = net.state();
  for (int i = int(threadIdx.x); i < at.parameters; i += threads) {
    runs.theta[from + i] = s.w[i], runs.moment1[from + i] = s.m[i];
    if (runs.moment2)
      runs.moment2[from + i] = s.v[i];
  }
}

__global__ void __launch_bounds__(threads, 2)
    evaluate_kernel(float *loss, std::uint32_t *wrong, float *logits,
                    const __grid_constant__ TrainingRuns<float> networks, const Activation *act,
                    const __grid_constant__ ImageSet set, const __grid_constant__ Places at, std::size_t words) {
  const int network = int(blockIdx.x), b = int(threadIdx.x);
  const Network net{at};
  std::uint32_t *bits = wrong + std::size_t(network) * words;
  open_network(net, networks, std::size_t(network) * networks.parameters);
  float total = 0;
  std::uint32_t word = 0; // of the images seen last, in thread 0
  for (std::uint32_t first = 0; first < set.examples; first += std::uint32_t(at.group)) {
    fill(net, set, [&](int image) {
      return first + std::uint32_t(image) < set.examples ? first + std::uint32_t(image) : set.examples - 1;
    });
    forward(net, act[network], false, [](int, int, int) { return 1.0f; });
    bool is_wrong = false;
    if (b < at.group && first + std::uint32_t(b) < set.examples) {
      const float *z = net.logits() + b * set.classes;
      is_wrong = judge(total, z, set.classes, set.label[first + std::uint32_t(b)]);
      if (logits)
        keep_logits(logits, z, std::size_t(network) * set.examples + first + std::uint32_t(b), set.classes);
    }
    word |= __ballot_sync(~0u, is_wrong) << first % 32; // a group is a power of two, up to 16
    const bool full = (first + std::uint32_t(at.group)) % 32 == 0 || first + std::uint32_t(at.group) >= set.examples;
    if (b == 0 && full)
      bits[first / 32] = word;
    word = full ? 0 : word;
  }
  total = block_reduce<Sum>(total, net.partials());
  if (b == 0)
    loss[network] = total / float(set.examples);
}

} // namespace

bool cnn_training_fits(const CnnTraining &p) {
  if (parameters_of(p) * 4 * sizeof(float) > most_shared_bytes())
    return false;
  const Places at = plan_of(p);
  for (int l = 0; l < p.layers; ++l) // what the tables can hold
    if (at.group * std::max(p.in_size(l), p.out_size(l)) > 0xFFFF || p.layer[l].kernel > 255)
      return false;
  return at.bytes <= int(most_shared_bytes());
}

void train_cnns(Stream &s, const TrainingRuns<float> &runs, const ImageSet &set, const CnnTraining &p, long first,
                long last, void *) {
  const Places at = plan_of(p);
  launch(train_kernel, unsigned(runs.networks), threads, std::size_t(at.bytes), s, runs, set, at, first, last);
}

void evaluate_cnns(Stream &s, float *loss, std::uint32_t *wrong, float *logits, const float *theta,
                   const Activation *act, int networks, const ImageSet &set, const CnnTraining &p, void *) {
  TrainingRuns<float> weights{}; // nothing but where the weights lie
  weights.parameters = parameters_of(p), weights.theta = const_cast<float *>(theta);
  const Places at = plan_of(p);
  launch(evaluate_kernel, unsigned(networks), threads, std::size_t(at.bytes), s, loss, wrong, logits, weights, act, set,
         at, mask_words(set.examples));
}

} // namespace theta::cuda
