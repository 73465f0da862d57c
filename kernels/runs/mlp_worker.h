// On the cpu: one multilayer perceptron on one core. Per thread, all of this lies in its second-level cache: weights
// and moments in [inputs, outputs] order, one block of the batch's inputs as panels (panels.h), and the activations.
// What the network learns is the Task's: where its inputs come from, and the loss of its outputs. A task has
//   Set; lay_out(pieces, p, rows): its share of the workspace;
//   take(examples, rows, count, run): turns to `count` examples, whose padding to `rows` repeats the last;
//   unpack(x, rows, first, count): panels first..first+count−1 of their inputs, zero beyond the last input;
//   gradient(z, rows, count, weight, smoothing, tell): outputs z become the gradient of weight·Σ losses, zero in
//     padding; returns Σ of the losses where `tell`.
//
// A batch larger than `most_rows` goes through in pieces whose gradients are added up; a smaller one's gradient never
// leaves the registers, where the optimiser moves the weights under it.
#pragma once
#include "kernels/parts/panels.h"
#include "mlp_training.h"
#include "run_worker.h"
#include <omp.h>

namespace theta::simd {

constexpr int block_panels = 8; // of inputs that are numbers at a time
constexpr int most_rows = 256, piece_rows = 128;
inline int rows_at_once(int batch) { return batch <= most_rows ? padded_rows(batch) : piece_rows; }

template <class T> std::size_t weights_size(int in, int out) { return std::size_t(padded<T>(in) + 1) * padded<T>(out); }

// One network between PyTorch's vector and the worker's matrices; padding is zero.
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

template <class T, class Task> class MlpWorker {
public:
  using Set = typename Task::Set;

  MlpWorker(const MlpTraining &p, const Set &set, void *memory) : p_(p), rows_(rows_at_once(p.batch)), task_(set) {
    lay_out(static_cast<T *>(memory));
  }
  static std::size_t bytes(const MlpTraining &p) {
    MlpWorker measured(p, {}, nullptr);
    return measured.lay_out(nullptr) * sizeof(T);
  }

  // Trains a run from step `first` to `last`.
  void train(const TrainingRuns<T> &runs, int network, long first, long last) {
    const std::size_t from = std::size_t(network) * runs.parameters;
    T *theta = runs.theta + from, *m = runs.moment1 + from, *v = runs.moment2 ? runs.moment2 + from : nullptr;
    put<T>(w_, theta, p_), put<T>(m_, m, p_);
    if (v)
      put<T>(v_, v, p_);
    train_run(
        runs, network, first, last,
        [&](long step, bool tell) { return this->step(runs, network, runs.schedule[step - first], step, tell); },
        [&](T *to) { simd::take<T>(to, w_, p_); });
    simd::take<T>(theta, w_, p_), simd::take<T>(m, m_, p_);
    if (v)
      simd::take<T>(v, v_, p_);
  }

  // The network of what follows.
  void put_weights(const T *theta) { put<T>(w_, theta, p_); }

  // The outputs of `count` <= rows() examples, in panels of rows() rows.
  T *outputs(Activation act, const std::uint32_t *example, int count, const RunSeen &run) {
    task_.take(example, rows_, count, run);
    forward(act, [](int, int, int, Pack<T> one) { return one; });
    return d_[p_.layers - 1];
  }
  int rows() const { return rows_; }
  Task &task() { return task_; }

private:
  static constexpr int L = lanes<T>;

  std::size_t lay_out(T *memory) {
    Pieces<T> pieces{memory};
    const auto activations = [&](int columns) { return pieces.take(std::size_t(padded<T>(columns)) * rows_); };
    x_ = pieces.take(std::size_t(std::min(block_panels, in_panels(0))) * L * rows_);
    std::size_t largest = 0;
    for (int l = 0; l < p_.layers; ++l) {
      const int in = p_.widths[l], out = p_.widths[l + 1];
      largest = std::max(largest, weights_size<T>(out, in) * (l > 0)); // with a row of zeros
      for (T **piece : {&w_[l], &m_[l], &v_[l]})
        *piece = pieces.take(weights_size<T>(in, out));
      g_[l] = rows_ < p_.batch ? pieces.take(weights_size<T>(in, out)) : nullptr;
      h_[l] = l > 0 ? activations(in) : nullptr;
      slope_[l] = l > 0 ? activations(in) : nullptr;
      d_[l] = activations(out);
    }
    transposed_ = pieces.take(largest);
    example_ = pieces.template take_as<std::uint32_t>(std::size_t(p_.batch) + lanes<std::uint32_t>);
    task_.lay_out(pieces, p_, rows_);
    return pieces.taken;
  }

  int in_panels(int l) const { return panels_of<T>(p_.widths[l]); }
  int out_panels(int l) const { return panels_of<T>(p_.widths[l + 1]); }
  T *bias(T *const *of, int l) const { return of[l] + std::size_t(in_panels(l)) * L * out_panels(l) * L; }

  // From the task's inputs to the outputs, in d of the last layer. drop(l, panel, b, h) is what becomes of a hidden
  // value.
  template <class Drop> void forward(Activation act, Drop drop) {
    for (int l = 0; l < p_.layers; ++l) {
      T *z = d_[l];
      if (l == 0)
        for (int first = 0; first < in_panels(0); first += block_panels) {
          const int count = std::min(block_panels, in_panels(0) - first);
          task_.unpack(x_, rows_, first, count);
          multiply<T>(z, x_, std::min(count * L, p_.widths[0] - first * L),
                      w_[0] + std::size_t(first) * L * out_panels(0) * L, out_panels(0),
                      first == 0 ? bias(w_, 0) : nullptr, rows_);
        }
      else
        multiply<T>(z, h_[l], p_.widths[l], w_[l], out_panels(l), bias(w_, l), rows_);
      if (l + 1 == p_.layers)
        return;
      T *h = h_[l + 1], *slope = slope_[l + 1];
      for (int panel = 0; panel < out_panels(l); ++panel)
        for (int b = 0; b < rows_; ++b, z += L, h += L, slope += L) {
          const auto [value, derivative] = activate_with_slope<T>(act, load(z));
          const Pack<T> one = broadcast(T(1)), factor = drop(l, panel, b, one);
          store(h, value * factor), store(slope, derivative * factor);
        }
    }
  }

  // From the gradient of the outputs down: use(layer, at, g) takes each pack of the weights' gradients as it leaves the
  // registers.
  template <class Use> void backward(Use use) {
    for (int l = p_.layers - 1; l >= 0; --l) {
      const int in = in_panels(l), out = out_panels(l);
      if (l > 0) { // before the weights move
        for (int i = 0; i < in * L; ++i)
          for (int o = 0; o < out * L; ++o)
            transposed_[std::size_t(o) * in * L + i] = w_[l][std::size_t(i) * out * L + o];
        const std::size_t row = std::size_t(in) * L;
        std::fill_n(transposed_ + row * out * L, row, T(0));
        multiply<T>(d_[l - 1], d_[l], p_.widths[l + 1], transposed_, in, transposed_ + row * out * L, rows_);
        T *d = d_[l - 1];
        const T *slope = slope_[l];
        for (std::size_t e = 0; e < row * rows_; e += L)
          store(d + e, load(d + e) * load(slope + e));
      }
      const auto use_from = [&](int first_input) {
        return [l, out, first_input, &use](int i, int panel, Pack<T> g) {
          use(l, (std::size_t(first_input + i) * out + panel) * L, g);
        };
      };
      if (l > 0) {
        transpose_multiply<T>(h_[l], p_.widths[l], d_[l], out, rows_, use_from(0));
      } else {
        for (int first = 0; first < in; first += block_panels) {
          const int count = std::min(block_panels, in - first);
          if (in > block_panels)
            task_.unpack(x_, rows_, first, count);
          transpose_multiply<T>(x_, std::min(count * L, p_.widths[0] - first * L), d_[0], out, rows_,
                                use_from(first * L));
        }
      }
      for (int panel = 0; panel < out; ++panel) {
        Pack<T> sum{};
        for (int b = 0; b < rows_; ++b)
          sum += load(d_[l] + (std::size_t(panel) * rows_ + b) * L);
        use_from(in * L)(0, panel, sum);
      }
    }
  }

  // One update. The loss is made only where it will be told.
  T step(const TrainingRuns<T> &runs, int network, const ScheduledStep &now, long step, bool tell) {
    const RunRecipe &r = runs.recipe[network];
    const RunSeen run{runs.seed, runs.first_run + std::uint32_t(network), r.label_noise};
    draw_examples(example_, p_.batch, run.seed, run.run, step, task_.examples());
    T loss = 0;
    const auto gradient_of = [&](int first) {
      const int count = std::min(rows_, p_.batch - first);
      task_.take(example_ + first, rows_, count, run);
      if (r.dropout > 0)
        forward(r.act, [&](int l, int panel, int b, Pack<T> factor) {
          for (int i = 0; i < L; ++i)
            factor[i] = T(dropout_factor(r.dropout, run.seed, run.run, step, l, first + b, panel * L + i));
          return factor;
        });
      else
        forward(r.act, [](int, int, int, Pack<T> one) { return one; });
      loss += T(task_.gradient(d_[p_.layers - 1], rows_, count, T(1) / p_.batch, r.label_smoothing, tell) / p_.batch);
    };
    with_update(runs, r, now, [&](auto update) {
      if (rows_ >= p_.batch) {
        gradient_of(0);
        backward([&](int l, std::size_t at, Pack<T> g) { update(w_[l] + at, m_[l] + at, v_[l] + at, g); });
        return;
      }
      for (int l = 0; l < p_.layers; ++l)
        std::fill_n(g_[l], weights_size<T>(p_.widths[l], p_.widths[l + 1]), T(0));
      for (int first = 0; first < p_.batch; first += rows_) {
        gradient_of(first);
        backward([&](int l, std::size_t at, Pack<T> g) { store(g_[l] + at, load(g_[l] + at) + g); });
      }
      for (int l = 0; l < p_.layers; ++l)
        for (std::size_t at = 0; at < weights_size<T>(p_.widths[l], p_.widths[l + 1]); at += L)
          update(w_[l] + at, m_[l] + at, v_[l] + at, load(g_[l] + at));
    });
    return loss;
  }

  MlpTraining p_;
  int rows_; // of the batch at once
  Task task_;
  T *x_, *transposed_;
  // w_[l] is [inputs, outputs] with the bias as one more row, as are its moments and its gradient; h_[l] layer l's
  // input, slope_[l] act' of what it came from; d_[l] the layer's product, and then its gradient.
  T *w_[most_mlp_layers], *m_[most_mlp_layers], *v_[most_mlp_layers], *g_[most_mlp_layers];
  T *h_[most_mlp_layers], *slope_[most_mlp_layers], *d_[most_mlp_layers];
  std::uint32_t *example_;
};

// All threads' workers: each works in its part of one workspace. An evaluation looks at `examples_at_once` at a time.
constexpr int examples_at_once = 128;
inline MlpTraining evaluation_of(MlpTraining p) {
  p.batch = examples_at_once;
  return p;
}

template <class T, class Task> struct MlpWorkers {
  using Worker = MlpWorker<T, Task>;
  using Set = typename Task::Set;

  static std::size_t bytes_a_thread(const MlpTraining &p) {
    return std::max(Worker::bytes(p), Worker::bytes(evaluation_of(p)));
  }
  // The calling thread's worker for shape `p`, in the workspace of shape `whole`.
  static Worker mine(const MlpTraining &p, const Set &set, const MlpTraining &whole, void *workspace) {
    return {p, set, static_cast<std::byte *>(workspace) + std::size_t(omp_get_thread_num()) * bytes_a_thread(whole)};
  }
  static void train(const TrainingRuns<T> &runs, const Set &set, const MlpTraining &p, long first, long last,
                    void *workspace) {
#pragma omp parallel
    {
      Worker worker = mine(p, set, p, workspace);
#pragma omp for schedule(dynamic)
      for (int i = 0; i < runs.networks; ++i)
        if (!runs.diverged[i])
          worker.train(runs, i, first, last);
    }
  }
};

// Bytes for all threads, in either precision.
template <template <class> class Task> std::size_t workers_workspace(const MlpTraining &p) {
  return std::size_t(omp_get_max_threads()) * std::max(MlpWorkers<float, Task<float>>::bytes_a_thread(p),
                                                       MlpWorkers<double, Task<double>>::bytes_a_thread(p));
}

} // namespace theta::simd
