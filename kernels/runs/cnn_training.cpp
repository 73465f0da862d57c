// On the cpu: one network on one core, as many images at a time as a pack has lanes: a tensor [channels, side, side] of
// packs, one lane an image. So neighbours along x are whole packs apart, weights are broadcast, and every loop is the
// same for every layer. Weights, moments and gradients stay in PyTorch's order; all of it lies in the second-level
// cache.
#include "cnn_training.h"
#include "classifier.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/counting.h"

namespace theta {

namespace cuda {
decltype(theta::train_cnns<float>) train_cnns;
decltype(theta::evaluate_cnns<float>) evaluate_cnns;
} // namespace cuda

namespace {

using namespace simd;

// How a convolution finds the weight of (output o, input i, tap t): weight[o·of_output + i·of_input + first + t·step].
// The backward is a convolution too, with outputs and inputs exchanged and the taps in reverse.
template <class T> struct Taps {
  const T *weight;
  int of_output, of_input, first, step;
};

// z[o, y, x] = bias[o] + Σ_i Σ_taps w · in[i, S·y + ky, S·x + kx], for CO outputs from o on and X places from x on.
// A tap is CO + X loads for CO·X multiply-adds.
template <class T, int S, int CO, int X>
inline void convolve_tile(T *z, const T *in, const Taps<T> &w, const T *bias, int o, int y, int x, int inputs, int side,
                          int kernel) {
  constexpr int L = lanes<T>;
  const int out_side = (side - kernel) / S + 1;
  Pack<T> sum[CO][X];
#pragma GCC unroll 8
  for (int c = 0; c < CO; ++c)
#pragma GCC unroll 8
    for (int v = 0; v < X; ++v)
      sum[c][v] = bias ? broadcast<Pack<T>>(bias[o + c]) : Pack<T>{};
  for (int i = 0; i < inputs; ++i)
    for (int ky = 0; ky < kernel; ++ky) {
      const T *from = in + ((std::size_t(i) * side + S * y + ky) * side + S * x) * L;
      const T *weight = w.weight + o * w.of_output + i * w.of_input + w.first + ky * kernel * w.step;
      for (int kx = 0; kx < kernel; ++kx, from += L, weight += w.step) {
        Pack<T> value[X];
#pragma GCC unroll 8
        for (int v = 0; v < X; ++v)
          value[v] = load<Pack<T>>(from + v * S * L);
#pragma GCC unroll 8
        for (int c = 0; c < CO; ++c)
#pragma GCC unroll 8
          for (int v = 0; v < X; ++v)
            sum[c][v] = multiply_add(weight[c * w.of_output], value[v], sum[c][v]);
      }
    }
#pragma GCC unroll 8
  for (int c = 0; c < CO; ++c)
#pragma GCC unroll 8
    for (int v = 0; v < X; ++v)
      store(z + ((std::size_t(o + c) * out_side + y) * out_side + x + v) * L, sum[c][v]);
}

// Σ over places of d[o, y, x]·in[i, S·y + ky, S·x + kx], for CO outputs and X taps from kx on, given to use(output,
// tap, a pack of sums).
template <class T, int S, int CO, int X, class F>
inline void correlate_tile(const T *d, const T *in, int o, int i, int ky, int kx, int side, int kernel, F use) {
  constexpr int L = lanes<T>;
  const int out_side = (side - kernel) / S + 1;
  Pack<T> sum[CO][X] = {};
  for (int y = 0; y < out_side; ++y) {
    const T *from = in + ((std::size_t(i) * side + S * y + ky) * side + kx) * L;
    const T *gradient = d + (std::size_t(o) * out_side + y) * out_side * L;
    const std::size_t plane = std::size_t(out_side) * out_side * L;
    for (int x = 0; x < out_side; ++x, from += S * L, gradient += L) {
      Pack<T> value[X];
#pragma GCC unroll 8
      for (int v = 0; v < X; ++v)
        value[v] = load<Pack<T>>(from + v * L);
#pragma GCC unroll 8
      for (int c = 0; c < CO; ++c) {
        const Pack<T> of = load<Pack<T>>(gradient + c * plane);
#pragma GCC unroll 8
        for (int v = 0; v < X; ++v)
          sum[c][v] = multiply_add(of, value[v], sum[c][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < CO; ++c)
#pragma GCC unroll 8
    for (int v = 0; v < X; ++v)
      use(o + c, kx + v, sum[c][v]);
}

// Calls f.template operator()<CO, X>(first output, first place) so that all are covered, by tiles of at most MostCO x
// MostX and then the rest.
template <int CO, int X, class F> inline void for_places(int o, int places, F f) {
  int x = 0;
  for (; places - x >= X; x += X)
    f.template operator()<CO, X>(o, x);
  if constexpr (X > 1)
    if (places > x)
      for_places<CO, X - 1>(o, places - x,
                            [&]<int C, int Y>(int first, int place) { f.template operator()<C, Y>(first, x + place); });
}
template <int CO, int X, class F> inline void for_tiles(int outputs, int places, F f, int first = 0) {
  for (; outputs - first >= CO; first += CO)
    for_places<CO, X>(first, places, f);
  if constexpr (CO > 1)
    if (outputs > first)
      for_tiles<(CO > 4 && CO % 2 == 0 ? CO - 2 : CO - 1), X>(outputs, places, f, first);
}

// Most outputs and places of a tile: of a product over channels, and of a weight's gradient, whose places are taps.
// Of double, one at a time (product.h).
template <class T> struct MostOfTile {
  static constexpr bool tiled = !std::is_same_v<T, double>;
  static constexpr int outputs = !tiled ? 1 : registers == 32 ? 8 : 4, places = tiled ? 3 : 1;
  static constexpr int gradients = tiled ? 4 : 1, taps = !tiled ? 1 : registers == 32 ? 5 : 3;
};

template <class T, int S>
void convolve(T *z, const T *in, const Taps<T> &w, const T *bias, int outputs, int inputs, int side, int kernel) {
  const int out_side = (side - kernel) / S + 1;
  for (int y = 0; y < out_side; ++y)
    for_tiles<MostOfTile<T>::outputs, MostOfTile<T>::places>(outputs, out_side, [&]<int CO, int X>(int o, int x) {
      convolve_tile<T, S, CO, X>(z, in, w, bias, o, y, x, inputs, side, kernel);
    });
}

// Calls f.template operator()<stride>().
template <class F> inline void with_stride(int stride, F f) {
  stride == 2 ? f.template operator()<2>() : f.template operator()<1>();
}

template <class T> class CnnWorker {
public:
  CnnWorker(const CnnTraining &p, const ImageSet &set, void *memory) : p_(p), set_(set) {
    lay_out(static_cast<T *>(memory));
  }
  static std::size_t bytes(const CnnTraining &p) {
    CnnWorker measured(p, {}, nullptr);
    return measured.lay_out(nullptr) * sizeof(T);
  }

  // Trains a run from step `first` to `last`.
  void train(const TrainingRuns<T> &runs, int network, long first, long last) {
    const std::size_t v = runs.parameters, from = std::size_t(network) * v;
    T *theta = runs.theta + from, *m = runs.moment1 + from, *second = runs.moment2 ? runs.moment2 + from : nullptr;
    std::copy_n(theta, v, w_), std::copy_n(m, v, m_);
    if (second)
      std::copy_n(second, v, v_);
    train_run(
        runs, network, first, last,
        [&](long step, bool tell) { return this->step(runs, network, runs.schedule[step - first], step, tell); },
        [&](T *to) { std::copy_n(w_, v, to); });
    std::copy_n(w_, v, theta), std::copy_n(m_, v, m);
    if (second)
      std::copy_n(v_, v, second);
  }

  void put_weights(const T *theta) { std::copy_n(theta, parameters_of(p_), w_); }

  // The logits of images first..first+count−1, [classes][lanes].
  T *logits(Activation act, int first, int count) {
    for (int b = 0; b < L; ++b)
      image_[b] = set_.image + std::size_t(first + std::min(b, count - 1)) * set_.pixels;
    forward(act, [](int, int, Pack<T> one) { return one; });
    return z_[p_.layers - 1];
  }

private:
  static constexpr int L = lanes<T>;

  std::size_t lay_out(T *memory) {
    Pieces<T> pieces{memory};
    const std::size_t v = parameters_of(p_) + L; // whole packs
    for (T **piece : {&w_, &m_, &v_, &g_})
      *piece = pieces.take(v);
    std::size_t offset = 0, padded = 0;
    for (int l = 0; l < p_.layers; ++l) {
      offset_[l] = offset, offset += std::size_t(p_.weights(l) + p_.layer[l].channels);
      h_[l] = pieces.take(std::size_t(p_.in_size(l)) * L);
      slope_[l] = pieces.take(std::size_t(p_.in_size(l)) * L);
      z_[l] = pieces.take(std::size_t(p_.out_size(l)) * L);
      const int wide = p_.in_side(l) + p_.layer[l].kernel - 1;
      padded = std::max(padded, std::size_t(p_.layer[l].channels) * std::size_t(wide) * std::size_t(wide));
    }
    padded_ = pieces.take(padded * L);
    example_ = pieces.template take_as<std::uint32_t>(std::size_t(p_.batch) + lanes<std::uint32_t>);
    return pieces.taken;
  }

  T *weight(T *of, int l) const { return of + offset_[l]; }
  T *bias(T *of, int l) const { return of + offset_[l] + p_.weights(l); }

  // drop(l, unit, one) is what becomes of a hidden unit.
  template <class Drop> void forward(Activation act, Drop drop) {
    for (int i = 0; i < set_.pixels; ++i)
      for (int b = 0; b < L; ++b)
        h_[0][i * L + b] = T(image_[b][i]) * T(set_.scale) + T(set_.shift);
    for (int l = 0; l < p_.layers; ++l) {
      const CnnLayer &layer = p_.layer[l];
      const int area = layer.kernel * layer.kernel;
      with_stride(layer.stride, [&]<int S>() {
        convolve<T, S>(z_[l], h_[l], {weight(w_, l), p_.taps(l), area, 0, 1}, bias(w_, l), layer.channels,
                       p_.in_channels(l), p_.in_side(l), layer.kernel);
      });
      if (l + 1 == p_.layers)
        return;
      T *h = h_[l + 1], *slope = slope_[l + 1];
      if (layer.average) { // slope keeps what a place's activation is multiplied by
        const int places = p_.out_side(l) * p_.out_side(l);
        for (int c = 0; c < layer.channels; ++c) {
          const T *z = z_[l] + std::size_t(c) * places * L;
          Pack<T> sum{};
          for (int place = 0; place < places; ++place)
            sum += activate_with_slope(act, load<Pack<T>>(z + place * L)).value;
          const Pack<T> factor = drop(l, c, broadcast<Pack<T>>(T(1) / places));
          store(h + std::size_t(c) * L, sum * factor), store(slope + std::size_t(c) * L, factor);
        }
        continue;
      }
      for_pools(l, [&](int unit, const T *first, std::size_t row) {
        Pack<T> largest = load<Pack<T>>(first);
        if (layer.pool == 2)
          largest = larger(larger(largest, load<Pack<T>>(first + L)),
                           larger(load<Pack<T>>(first + row), load<Pack<T>>(first + row + L)));
        const auto [value, derivative] = activate_with_slope(act, largest);
        const Pack<T> factor = drop(l, unit, broadcast<Pack<T>>(T(1)));
        store(h + std::size_t(unit) * L, value * factor), store(slope + std::size_t(unit) * L, derivative * factor);
      });
    }
  }

  // Calls f(unit of the next layer's input, the first z of its window, elements to the window's next row).
  template <class F> void for_pools(int l, F f) const {
    const int side = p_.out_side(l), pool = p_.layer[l].pool, pooled = side / pool;
    int unit = 0;
    for (int c = 0; c < p_.layer[l].channels; ++c)
      for (int y = 0; y < pooled; ++y)
        for (int x = 0; x < pooled; ++x, ++unit)
          f(unit, z_[l] + ((std::size_t(c) * side + y * pool) * side + x * pool) * L, std::size_t(side) * L);
  }

  // From the gradient of the logits, in z of the last layer, down; adds to g_.
  void backward(Activation act) {
    for (int l = p_.layers - 1; l >= 0; --l) {
      const CnnLayer &layer = p_.layer[l];
      const int kernel = layer.kernel, side = p_.in_side(l), inputs = p_.in_channels(l), out = p_.out_side(l);
      T *g = weight(g_, l);
      with_stride(layer.stride, [&]<int S>() {
        for (int i = 0; i < inputs; ++i)
          for (int ky = 0; ky < kernel; ++ky)
            for_tiles<MostOfTile<T>::gradients, MostOfTile<T>::taps>(
                layer.channels, kernel, [&]<int CO, int X>(int o, int kx) {
                  correlate_tile<T, S, CO, X>(
                      z_[l], h_[l], o, i, ky, kx, side, kernel, [&](int output, int tap, Pack<T> sum) {
                        add_lanes(g[(std::size_t(output) * inputs + i) * kernel * kernel + ky * kernel + tap], sum);
                      });
                });
      });
      for (int o = 0; o < layer.channels; ++o) {
        Pack<T> sum{};
        for (int e = 0; e < out * out; ++e)
          sum += load<Pack<T>>(z_[l] + (std::size_t(o) * out * out + e) * L);
        add_lanes(bias(g_, l)[o], sum);
      }
      if (l == 0)
        return;
      // The input's gradient: z's, stride apart, with a border of zeros, convolved with the kernel in reverse.
      const int border = kernel - 1, wide = side + border, stride = layer.stride;
      std::fill_n(padded_, std::size_t(layer.channels) * wide * wide * L, T(0));
      for (int o = 0; o < layer.channels; ++o)
        for (int y = 0; y < out; ++y) {
          const T *from = z_[l] + (std::size_t(o) * out + y) * out * L;
          T *to = padded_ + ((std::size_t(o) * wide + stride * y + border) * wide + border) * L;
          for (int x = 0; x < out; ++x)
            std::copy_n(from + x * L, L, to + stride * x * L);
        }
      T *d = h_[l]; // nobody reads the input any more
      convolve<T, 1>(d, padded_, {weight(w_, l), kernel * kernel, p_.taps(l), kernel * kernel - 1, -1}, nullptr, inputs,
                     layer.channels, wide, kernel);
      p_.layer[l - 1].average ? spread(l - 1, d, act) : unpool(l - 1, d);
    }
  }

  // z of layer l becomes its gradient, given that of its mean over the image.
  void spread(int l, const T *d, Activation act) {
    const int places = p_.out_side(l) * p_.out_side(l);
    for (int c = 0; c < p_.layer[l].channels; ++c) {
      const std::size_t unit = std::size_t(c) * L;
      const Pack<T> gradient = load<Pack<T>>(d + unit) * load<Pack<T>>(slope_[l + 1] + unit);
      for (int place = 0; place < places; ++place) {
        T *z = z_[l] + (std::size_t(c) * places + place) * L;
        store(z, gradient * activate_with_slope(act, load<Pack<T>>(z)).slope);
      }
    }
  }

  // z of layer l becomes its gradient, given that of the layer's output: the first largest of a window has it.
  void unpool(int l, const T *d) {
    const T *slope = slope_[l + 1];
    const bool pooled = p_.layer[l].pool == 2;
    if (pooled && p_.out_side(l) % 2 != 0) { // what no window holds
      const int side = p_.out_side(l);
      for (int e = 0; e < p_.out_size(l); ++e)
        if (e % side == side - 1 || e / side % side == side - 1)
          store(z_[l] + std::size_t(e) * L, Pack<T>{});
    }
    for_pools(l, [&](int unit, T *first, std::size_t row) {
      const Pack<T> gradient = load<Pack<T>>(d + std::size_t(unit) * L) * load<Pack<T>>(slope + std::size_t(unit) * L),
                    zero{};
      if (!pooled)
        return store(first, gradient);
      T *at[4] = {first, first + L, first + row, first + row + L};
      const Pack<T> z[4] = {load<Pack<T>>(at[0]), load<Pack<T>>(at[1]), load<Pack<T>>(at[2]), load<Pack<T>>(at[3])};
      const Pack<T> largest = larger(larger(z[0], z[1]), larger(z[2], z[3]));
      Pack<T> left = gradient;
      for (int i = 0; i < 4; ++i) {
        store(at[i], z[i] == largest ? left : zero);
        left = z[i] == largest ? zero : left;
      }
    });
  }

  // One update. The loss is made only where it will be told.
  T step(const TrainingRuns<T> &runs, int network, const ScheduledStep &now, long step, bool tell) {
    const RunRecipe &r = runs.recipe[network];
    const std::uint32_t run = runs.first_run + std::uint32_t(network);
    const std::size_t v = runs.parameters;
    draw_examples(example_, p_.batch, runs.seed, run, step, set_.examples);
    std::fill_n(g_, v + L, T(0));
    double loss = 0;
    for (int first = 0; first < p_.batch; first += L) {
      Pack<T> label;
      for (int b = 0; b < L; ++b) {
        const std::uint32_t e = example_[std::min(first + b, p_.batch - 1)];
        image_[b] = set_.image + std::size_t(e) * set_.pixels;
        label[b] = T(seen_label(set_.label[e], set_.classes, r.label_noise, runs.seed, run, e));
      }
      if (r.dropout > 0)
        forward(r.act, [&](int l, int unit, Pack<T> factor) {
          for (int b = 0; b < L; ++b)
            factor[b] = T(dropout_factor(r.dropout, runs.seed, run, step, l, first + b, unit));
          return factor;
        });
      else
        forward(r.act, [](int, int, Pack<T> one) { return one; });
      softmax_gradient<Pack<T>>(z_[p_.layers - 1], set_.classes, label, p_.batch - first, T(1) / p_.batch,
                                r.label_smoothing, tell ? &loss : nullptr);
      backward(r.act);
    }
    with_update<Pack<T>>(runs, r, now, [&](auto update) {
      for (std::size_t i = 0; i < v; i += L) // what lies behind the last weight moves nothing
        update(w_ + i, m_ + i, v_ + i, load<Pack<T>>(g_ + i));
    });
    return T(loss / p_.batch);
  }

  CnnTraining p_;
  ImageSet set_;
  T *w_, *m_, *v_, *g_, *padded_;
  std::size_t offset_[most_cnn_layers];
  T *h_[most_cnn_layers], *slope_[most_cnn_layers], *z_[most_cnn_layers]; // input, act' of it; what the layer gives
  std::uint32_t *example_;
  const std::uint8_t *image_[L];
};

template <class T> CnnWorker<T> worker_of(const CnnTraining &p, const ImageSet &set, void *all) {
  return {p, set, static_cast<std::byte *>(all) + std::size_t(thread_index()) * CnnWorker<T>::bytes(p)};
}

} // namespace

std::size_t parameters_of(const CnnTraining &p) {
  std::size_t v = 0;
  for (int l = 0; l < p.layers; ++l)
    v += std::size_t(p.weights(l) + p.layer[l].channels);
  return v;
}

double multiply_adds_of(const CnnTraining &p, int l) { return double(p.weights(l)) * p.out_side(l) * p.out_side(l); }

bool cnn_training_fits(Backend backend, const CnnTraining &p) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda)
      return cuda::cnn_training_fits(p);
  return true;
}

std::size_t cnn_training_workspace(Backend backend, const CnnTraining &p, int) {
  if (backend == Backend::cuda)
    return 1;
  return std::size_t(threads()) * std::max(CnnWorker<float>::bytes(p), CnnWorker<double>::bytes(p));
}

template <class T>
void train_cnns(Stream &s, const TrainingRuns<T> &runs, const ImageSet &set, const CnnTraining &p, long first,
                long last, void *workspace) {
  const Span span(s, "train_cnns", 0);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::train_cnns(s, runs, set, p, first, last, workspace);
  parallel_each(runs.networks, [&](long i) {
    if (!runs.is_over(int(i)))
      worker_of<T>(p, set, workspace).train(runs, int(i), first, last);
  });
}

template <class T>
void evaluate_cnns(Stream &s, T *loss, std::uint32_t *wrong, T *logits, const T *theta, const Activation *act,
                   int networks, const ImageSet &set, const CnnTraining &p, void *workspace) {
  const Span span(s, "evaluate_cnns", 0);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::evaluate_cnns(s, loss, wrong, logits, theta, act, networks, set, p, workspace);
  const std::size_t words = mask_words(set.examples), v = parameters_of(p);
  parallel_each(networks, [&](long k) {
    CnnWorker<T> worker = worker_of<T>(p, set, workspace);
    worker.put_weights(theta + std::size_t(k) * v);
    T *z = nullptr;
    loss[k] = T(evaluate_classifier<Pack<T>>(
        wrong + k * words, logits ? logits + std::size_t(k) * set.examples * std::size_t(set.classes) : nullptr, set,
        lanes<T>, [&](int from, int count) { z = worker.logits(act[k], from, count); }, [&](int) { return z; }));
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void train_cnns(Stream &, const TrainingRuns<T> &, const ImageSet &, const CnnTraining &, long, long,       \
                           void *);                                                                                    \
  template void evaluate_cnns(Stream &, T *, std::uint32_t *, T *, const T *, const Activation *, int,                 \
                              const ImageSet &, const CnnTraining &, void *);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
