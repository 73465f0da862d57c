// On the cpu: one network a core. Per thread, all of this lies in its second-level cache: weights and moments in
// [inputs, outputs] order, one block of the batch's pixels as panels (panels.h), and the activations. The batch's
// pixels become floats twice, block by block, because bytes are a quarter of the traffic.
#include "mlp_training.h"
#include "bf16.h"
#include "counting.h"
#include "panels.h"
#include <algorithm>
#include <limits>
#include <omp.h>

namespace theta {

namespace cuda {
decltype(theta::train_mlps<float>) train_mlps;
decltype(theta::evaluate_mlps<float>) evaluate_mlps;
} // namespace cuda

namespace {

using namespace simd;

constexpr int block_panels = 8; // of pixels that are floats at a time
constexpr int image_rows = 128; // of an evaluation's batch

template <class T> std::size_t weights_size(int in, int out) { return std::size_t(padded<T>(in) + 1) * padded<T>(out); }

// Hands out pieces of a thread's workspace; with null as its start it measures.
template <class T> struct Pieces {
  T *at;
  std::size_t taken = 0;
  T *take(std::size_t n) {
    T *piece = at ? at + taken : nullptr;
    taken += (n + 15) / 16 * 16;
    return piece;
  }
};

// Where one thread keeps one network. w[l] is [inputs, outputs] with the bias as one more row; h[l] is layer l's input,
// slope[l] act' of what it came from; d[l] the gradient of layer l's product.
template <class T> struct Desk {
  T *x, *transposed, *logits;
  T *w[most_mlp_layers], *m[most_mlp_layers], *v[most_mlp_layers];
  T *h[most_mlp_layers], *slope[most_mlp_layers], *d[most_mlp_layers];
  const std::uint8_t **image;
  std::uint32_t *example;
  T *label;
};

template <class T> std::size_t lay_out(Desk<T> &desk, const MlpTraining &p, int rows, T *memory) {
  Pieces<T> pieces{memory};
  const auto activations = [&](int columns) { return pieces.take(std::size_t(padded<T>(columns)) * rows); };
  desk.x = pieces.take(std::size_t(block_panels) * lanes<T> * rows);
  std::size_t largest = 0;
  for (int l = 0; l < p.layers; ++l) {
    const int in = p.widths[l], out = p.widths[l + 1];
    largest = std::max(largest, weights_size<T>(out, in) * (l > 0)); // with a row of zeros
    for (T **piece : {&desk.w[l], &desk.m[l], &desk.v[l]})
      *piece = pieces.take(weights_size<T>(in, out));
    desk.h[l] = l > 0 ? activations(in) : nullptr;
    desk.slope[l] = l > 0 ? activations(in) : nullptr;
    desk.d[l] = activations(out);
  }
  desk.transposed = pieces.take(largest);
  desk.logits = pieces.take(std::size_t(padded<T>(p.widths[p.layers])) * lanes<T>);
  desk.label = pieces.take(std::size_t(rows));
  desk.image = reinterpret_cast<const std::uint8_t **>(pieces.take(std::size_t(rows) * 8 / sizeof(T)));
  desk.example = reinterpret_cast<std::uint32_t *>(pieces.take(std::size_t(rows)));
  return pieces.taken;
}

// One network between PyTorch's vector and the desk's matrices; padding is zero.
template <class T> void put(T *const *to, const T *from, const MlpTraining &p) {
  for (int l = 0; l < p.layers; ++l) {
    const int in = p.widths[l], out = p.widths[l + 1], row = padded<T>(out);
    std::fill_n(to[l], weights_size<T>(in, out), T(0));
    for (int o = 0; o < out; ++o)
      for (int i = 0; i < in; ++i)
        to[l][std::size_t(i) * row + o] = from[std::size_t(o) * in + i];
    from += std::size_t(in) * out;
    std::copy_n(from, out, to[l] + std::size_t(padded<T>(in)) * row);
    from += out;
  }
}
template <class T> void take(T *to, T *const *from, const MlpTraining &p) {
  for (int l = 0; l < p.layers; ++l) {
    const int in = p.widths[l], out = p.widths[l + 1], row = padded<T>(out);
    for (int o = 0; o < out; ++o)
      for (int i = 0; i < in; ++i)
        to[std::size_t(o) * in + i] = from[l][std::size_t(i) * row + o];
    to += std::size_t(in) * out;
    std::copy_n(from[l] + std::size_t(padded<T>(in)) * row, out, to);
    to += out;
  }
}

// Numbers position..position+count−1 of the run's endless sequence of examples; a pack of them at a time where they are
// of one epoch.
void draw_examples(std::uint32_t *example, int count, std::uint64_t seed, std::uint32_t run, std::uint64_t position,
                   std::uint32_t n) {
  constexpr int L = lanes<std::uint32_t>;
  for (int b = 0; b < count;) {
    const std::uint64_t epoch = (position + std::uint64_t(b)) / n;
    const RandomOrder order(seed, Purpose::batch_order, run, epoch, n);
    auto at = std::uint32_t(position + std::uint64_t(b) - epoch * n);
    const int last = int(std::min<std::uint64_t>(std::uint64_t(count), std::uint64_t(b) + (n - at)));
    for (; b + L <= last; b += L, at += L) {
      Words drawn = order.step(Words(at + Words{0, 1, 2, 3, 4, 5, 6, 7}));
      for (Words beyond = Words(drawn >= n); sum<std::int32_t>(Ints(beyond)) != 0; beyond = Words(drawn >= n))
        drawn = beyond != 0 ? order.step(drawn) : drawn;
      store(example + b, drawn);
    }
    for (; b < last; ++b, ++at)
      example[b] = order(at);
  }
}

// Pixels of panels first..first+count−1 of all rows, as floats; zero beyond the last pixel.
template <class T>
void unpack_pixels(T *x, const std::uint8_t *const *image, int rows, int first, int count, const ImageSet &set) {
  constexpr int L = lanes<T>;
  const Pack<T> scale = broadcast(T(set.scale)), shift = broadcast(T(set.shift));
  for (int at = first * L; at < (first + count) * L; at += L) {
    const int pixels = std::min(L, set.pixels - at);
    if (pixels == L)
      for (int b = 0; b < rows; ++b, x += L)
        store(x, from_bytes<T>(image[b] + at) * scale + shift);
    else
      for (int b = 0; b < rows; ++b, x += L) {
        std::uint8_t tail[L] = {};
        for (int i = 0; i < pixels; ++i)
          tail[i] = image[b][at + i];
        store(x, counting<T>() < T(pixels) ? from_bytes<T>(tail) * scale + shift : Pack<T>{});
      }
  }
}

template <class T> class Worker {
public:
  Worker(const MlpTraining &p, const ImageSet &set, int rows, void *memory)
      : p_(p), set_(set), rows_(padded_rows(rows)) {
    lay_out(desk_, p_, rows_, static_cast<T *>(memory));
  }

  void train(const TrainingRuns<T> &runs, int network, long first, long last) {
    const std::size_t v = runs.parameters;
    const std::int32_t *due = runs.due + std::size_t(network) * runs.checkpoints;
    int next = 0;
    while (next < runs.checkpoints && due[next] < first)
      ++next;
    if (next < runs.checkpoints && due[next] == first && first > 0)
      ++next; // written by the call that trained up to here
    T *theta = runs.theta + network * v, *m = runs.moment1 + network * v,
      *second = runs.moment2 ? runs.moment2 + network * v : nullptr;
    put<T>(desk_.w, theta, p_), put<T>(desk_.m, m, p_);
    if (second)
      put<T>(desk_.v, second, p_);
    T *row = runs.row + std::size_t(network) * runs.checkpoints * v;
    T *row_loss = runs.row_loss + std::size_t(network) * runs.checkpoints;
    const auto checkpoint = [&] {
      T *to = row + next * v;
      take<T>(to, desk_.w, p_);
      T largest = 0;
      bool finite = true;
      for (std::size_t i = 0; i < v; ++i) {
        largest = std::max(largest, std::abs(to[i])), finite = finite && std::isfinite(to[i]);
        if (runs.rows_are_bf16)
          to[i] = T(to_float(to_bf16(float(to[i]))));
      }
      runs.diverged[network] |= !finite || largest > runs.limit;
      ++next;
    };
    for (long step = first; step < last && !runs.diverged[network]; ++step) {
      const bool untouched = step == 0 && next < runs.checkpoints && due[next] == 0;
      if (untouched)
        checkpoint();
      const bool is_due = next < runs.checkpoints && due[next] == step + 1;
      const bool tell = untouched || is_due || step + 1 == last;
      const T loss = this->step(runs, network, runs.schedule[step - first], step, tell);
      if (untouched)
        row_loss[0] = loss;
      if (is_due) {
        row_loss[next] = loss;
        checkpoint();
      }
      if ((untouched || is_due) && !std::isfinite(loss))
        runs.diverged[network] = 1;
      if (step + 1 == last)
        runs.loss[network] = loss;
    }
    take<T>(theta, desk_.w, p_), take<T>(m, desk_.m, p_);
    if (second)
      take<T>(second, desk_.v, p_);
  }

  // Σ of the losses of `count` images from `first` on, and bits for the wrong ones.
  void prepare(const T *theta) { put<T>(desk_.w, theta, p_); }
  double evaluate(Activation act, int first, int count, std::uint32_t *wrong) {
    for (int b = 0; b < rows_; ++b)
      desk_.image[b] = set_.image + std::size_t(first + std::min(b, count - 1)) * set_.pixels;
    forward(act, [](int, int, int, Pack<T> value) { return value; });
    double loss = 0;
    for (int b = 0; b < count; b += L) {
      const Pack<T> largest = transpose_logits(b);
      Pack<T> sum{}, best{}, of_best = broadcast(-std::numeric_limits<T>::infinity());
      for (int c = 0; c < set_.classes; ++c) {
        const Pack<T> x = load(desk_.logits + c * L);
        sum += exp<T>(x - largest);
        best = x > of_best ? broadcast(T(c)) : best, of_best = x > of_best ? x : of_best;
      }
      for (int i = 0; i < L && b + i < count; ++i) {
        const int label = set_.label[first + b + i];
        loss += double(largest[i]) + std::log(double(sum[i])) - double(desk_.logits[label * L + i]);
        if (int(best[i]) != label || !(sum[i] == sum[i]))
          wrong[(b + i) / 32] |= 1u << (b + i) % 32;
      }
    }
    return loss;
  }

private:
  static constexpr int L = lanes<T>;

  int in_panels(int l) const { return panels_of<T>(p_.widths[l]); }
  int out_panels(int l) const { return panels_of<T>(p_.widths[l + 1]); }
  T *bias(T *const *of, int l) const { return of[l] + std::size_t(in_panels(l)) * L * out_panels(l) * L; }

  // From desk_.image to the logits, in d of the last layer. drop(l, panel, b, h) is what becomes of a hidden value.
  template <class Drop> void forward(Activation act, Drop drop) {
    for (int l = 0; l < p_.layers; ++l) {
      T *z = desk_.d[l];
      if (l == 0)
        for (int first = 0; first < in_panels(0); first += block_panels) {
          const int count = std::min(block_panels, in_panels(0) - first);
          unpack_pixels(desk_.x, desk_.image, rows_, first, count, set_);
          multiply<T>(z, desk_.x, std::min(count * L, p_.widths[0] - first * L),
                      desk_.w[0] + std::size_t(first) * L * out_panels(0) * L, out_panels(0),
                      first == 0 ? bias(desk_.w, 0) : nullptr, rows_);
        }
      else
        multiply<T>(z, desk_.h[l], p_.widths[l], desk_.w[l], out_panels(l), bias(desk_.w, l), rows_);
      if (l + 1 == p_.layers)
        return;
      T *h = desk_.h[l + 1], *slope = desk_.slope[l + 1];
      for (int panel = 0; panel < out_panels(l); ++panel)
        for (int b = 0; b < rows_; ++b, z += L, h += L, slope += L) {
          const auto [value, derivative] = activate_with_slope<T>(act, load(z));
          const Pack<T> one = broadcast(T(1)), factor = drop(l, panel, b, one);
          store(h, value * factor), store(slope, derivative * factor);
        }
    }
  }

  // Rows b..b+lanes−1 of the logits into desk_.logits, class by class; the largest of each row.
  Pack<T> transpose_logits(int b) {
    const T *z = desk_.d[p_.layers - 1];
    Pack<T> largest = broadcast(-std::numeric_limits<T>::infinity());
    for (int panel = 0; panel < out_panels(p_.layers - 1); ++panel) {
      Pack<T> x[L];
#pragma GCC unroll 8
      for (int i = 0; i < L; ++i)
        x[i] = load(z + (std::size_t(panel) * rows_ + b + i) * L);
      transpose<T>(x);
      for (int c = 0; c < L; ++c) {
        store(desk_.logits + (panel * L + c) * L, x[c]);
        if (panel * L + c < p_.widths[p_.layers])
          largest = larger<T>(largest, x[c]);
      }
    }
    return largest;
  }

  // Logits to their gradient, in place; returns the mean loss where it is asked for.
  T cross_entropy(float smoothing, bool tell) {
    T *z = desk_.d[p_.layers - 1];
    const int panels = out_panels(p_.layers - 1), classes = p_.widths[p_.layers];
    const T rest = T(smoothing) / classes, gradient = T(1) / p_.batch;
    double loss = 0;
    for (int b = 0; b < rows_; b += L) {
      const Pack<T> largest = transpose_logits(b);
      Pack<T> sum{}, plain{};
      const Pack<T> label = load(desk_.label + b);
      Pack<T> of_label{};
      for (int c = 0; c < classes; ++c) {
        const Pack<T> x = load(desk_.logits + c * L), e = exp<T>(x - largest);
        if (tell)
          plain += x, of_label = label == T(c) ? x : of_label;
        sum += e;
        store(desk_.logits + c * L, e);
      }
      if (tell)
        for (int i = 0; i < L && b + i < p_.batch; ++i)
          loss += std::log(double(sum[i])) + double(largest[i]) - (1 - double(smoothing)) * double(of_label[i]) -
                  double(rest) * double(plain[i]);
      Pack<T> scale = gradient / sum, target = broadcast(gradient);
      for (int i = 0; i < L; ++i)
        if (b + i >= p_.batch)
          scale[i] = 0, target[i] = 0;
      for (int panel = 0; panel < panels; ++panel) {
        Pack<T> d[L];
        for (int i = 0; i < L; ++i) {
          const int c = panel * L + i;
          d[i] = Pack<T>{};
          if (c < classes)
            d[i] = load(desk_.logits + c * L) * scale -
                   target * (label == T(c) ? rest + 1 - T(smoothing) : broadcast(rest));
        }
        transpose<T>(d);
#pragma GCC unroll 8
        for (int i = 0; i < L; ++i)
          store(z + (std::size_t(panel) * rows_ + b + i) * L, d[i]);
      }
    }
    return T(loss / p_.batch);
  }

  // From the gradient of the logits down: each layer's weights move as their gradient leaves the registers.
  template <class Update> void backward(Update update) {
    for (int l = p_.layers - 1; l >= 0; --l) {
      const int in = in_panels(l), out = out_panels(l);
      if (l > 0) { // before the weights move
        for (int i = 0; i < in * L; ++i)
          for (int o = 0; o < out * L; ++o)
            desk_.transposed[std::size_t(o) * in * L + i] = desk_.w[l][std::size_t(i) * out * L + o];
        const std::size_t row = std::size_t(in) * L;
        std::fill_n(desk_.transposed + row * out * L, row, T(0));
        multiply<T>(desk_.d[l - 1], desk_.d[l], p_.widths[l + 1], desk_.transposed, in,
                    desk_.transposed + row * out * L, rows_);
        T *d = desk_.d[l - 1];
        const T *slope = desk_.slope[l];
        for (std::size_t e = 0; e < row * rows_; e += L)
          store(d + e, load(d + e) * load(slope + e));
      }
      const auto move = [&](int first_input) {
        return [this, l, out, first_input, &update](int i, int panel, Pack<T> g) {
          const std::size_t at = (std::size_t(first_input + i) * out + panel) * L;
          update(desk_.w[l] + at, desk_.m[l] + at, desk_.v[l] + at, g);
        };
      };
      if (l > 0) {
        transpose_multiply<T>(desk_.h[l], p_.widths[l], desk_.d[l], out, rows_, move(0));
      } else {
        for (int first = 0; first < in; first += block_panels) {
          const int count = std::min(block_panels, in - first);
          if (in > block_panels)
            unpack_pixels(desk_.x, desk_.image, rows_, first, count, set_);
          transpose_multiply<T>(desk_.x, std::min(count * L, p_.widths[0] - first * L), desk_.d[0], out, rows_,
                                move(first * L));
        }
      }
      for (int panel = 0; panel < out; ++panel) {
        Pack<T> sum{};
        for (int b = 0; b < rows_; ++b)
          sum += load(desk_.d[l] + (std::size_t(panel) * rows_ + b) * L);
        move(in * L)(0, panel, sum);
      }
    }
  }

  // One update. The loss is made only where it will be told.
  T step(const TrainingRuns<T> &runs, int network, const ScheduledStep &now, long step, bool tell) {
    const RunRecipe &r = runs.recipe[network];
    const std::uint32_t run = runs.first_run + std::uint32_t(network);
    draw_examples(desk_.example, p_.batch, runs.seed, run, std::uint64_t(step) * std::uint64_t(p_.batch),
                  set_.examples);
    for (int b = 0; b < rows_; ++b) {
      const std::uint32_t example = desk_.example[std::min(b, p_.batch - 1)];
      desk_.image[b] = set_.image + std::size_t(example) * set_.pixels;
      desk_.label[b] = T(seen_label(set_.label[example], set_.classes, r.label_noise, runs.seed, run, example));
    }
    if (r.dropout > 0)
      forward(r.act, [&](int l, int panel, int b, Pack<T> factor) {
        for (int i = 0; i < L; ++i)
          factor[i] = T(dropout_factor(r.dropout, runs.seed, run, step, l, b, panel * L + i));
        return factor;
      });
    else
      forward(r.act, [](int, int, int, Pack<T> one) { return one; });
    const T loss = cross_entropy(r.label_smoothing, tell);
    const T lr = T(r.lr * now.lr_factor);
    if (r.optimizer == OptimizerKind::sgd) {
      const SgdNumbers<T> numbers(
          {.lr = double(lr), .momentum = r.momentum, .weight_decay = r.weight_decay, .clip = {}});
      backward([&numbers](T *w, T *u, T *, Pack<T> g) {
        Pack<T> p = load(w), velocity = load(u);
        g += numbers.weight_decay * p;
        velocity = numbers.momentum * velocity + g;
        store(u, velocity), store(w, p - numbers.lr * (g + numbers.momentum * velocity));
      });
    } else {
      const bool decoupled = r.optimizer == OptimizerKind::adamw;
      const T step_size = T(double(lr) * now.correction1), root_correction = T(now.root_correction2);
      const T beta1 = T(runs.beta1), beta2 = T(runs.beta2), eps = T(runs.eps);
      const T decay = decoupled ? 1 - lr * T(r.weight_decay) : T(1), l2 = decoupled ? T(0) : T(r.weight_decay);
      backward([=](T *w, T *m, T *v, Pack<T> g) {
        Pack<T> p = load(w) * decay;
        g += l2 * p;
        const Pack<T> first = beta1 * load(m) + (1 - beta1) * g, second = beta2 * load(v) + (1 - beta2) * g * g;
        store(m, first), store(v, second);
        store(w, p - step_size * first / (square_root<T>(second) * root_correction + eps));
      });
    }
    return loss;
  }

  MlpTraining p_;
  ImageSet set_;
  int rows_;
  Desk<T> desk_;
};

template <class T> std::size_t bytes_a_thread(const MlpTraining &p) {
  Desk<T> desk;
  return lay_out<T>(desk, p, padded_rows(std::max(p.batch, image_rows)), nullptr) * sizeof(T);
}

} // namespace

bool mlp_training_fits(Backend backend, const MlpTraining &p) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda)
      return cuda::mlp_training_fits(p);
  return true;
}

std::size_t mlp_training_workspace(Backend backend, const MlpTraining &p) {
  if (backend == Backend::cuda)
    return 1;
  return std::size_t(omp_get_max_threads()) * std::max(bytes_a_thread<float>(p), bytes_a_thread<double>(p));
}

template <class T>
void train_mlps(Stream &s, const TrainingRuns<T> &runs, const ImageSet &set, const MlpTraining &p, long first,
                long last, void *workspace) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::train_mlps(s, runs, set, p, first, last, workspace);
#pragma omp parallel
  {
    Worker<T> worker(p, set, p.batch,
                     static_cast<std::byte *>(workspace) + std::size_t(omp_get_thread_num()) * bytes_a_thread<T>(p));
#pragma omp for schedule(dynamic)
    for (int i = 0; i < runs.networks; ++i)
      if (!runs.diverged[i])
        worker.train(runs, i, first, last);
  }
}

template <class T>
void evaluate_mlps(Stream &s, T *loss, std::uint32_t *wrong, const T *theta, const Activation *act, int networks,
                   const ImageSet &set, const MlpTraining &p, void *workspace) {
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::evaluate_mlps(s, loss, wrong, theta, act, networks, set, p, workspace);
  const std::size_t words = mask_words(set.examples);
  std::size_t v = 0;
  for (int l = 0; l < p.layers; ++l)
    v += std::size_t(p.widths[l] + 1) * p.widths[l + 1];
#pragma omp parallel
  {
    Worker<T> worker(p, set, image_rows,
                     static_cast<std::byte *>(workspace) + std::size_t(omp_get_thread_num()) * bytes_a_thread<T>(p));
#pragma omp for schedule(dynamic)
    for (int k = 0; k < networks; ++k) {
      worker.prepare(theta + k * v);
      std::fill_n(wrong + k * words, words, 0u);
      double sum = 0;
      for (int first = 0; first < int(set.examples); first += image_rows)
        sum += worker.evaluate(act[k], first, std::min(image_rows, int(set.examples) - first),
                               wrong + k * words + first / 32);
      loss[k] = T(sum / set.examples);
    }
  }
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void train_mlps(Stream &, const TrainingRuns<T> &, const ImageSet &, const MlpTraining &, long, long,       \
                           void *);                                                                                    \
  template void evaluate_mlps(Stream &, T *, std::uint32_t *, const T *, const Activation *, int, const ImageSet &,    \
                              const MlpTraining &, void *);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
