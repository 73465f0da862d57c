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
#include "kernels/device/parallel.h"
#include "kernels/operations/codes.h"
#include "kernels/parts/panels.h"
#include "mlp_training.h"
#include "run_worker.h"

namespace theta::simd {

constexpr int block_columns = 64; // of inputs that are numbers at a time
// Numbers of a whole batch are kept where they fit a second-level cache beside weights and moments, in bytes.
constexpr std::size_t kept_inputs = std::size_t(192) << 10;
constexpr int most_rows = 256, piece_rows = 128;

// A network's matrices, each [inputs, outputs] with the bias as one more row, padding zero.
template <class T, int L> struct Matrices {
  using Lie = Panels<T, L>;
  static std::size_t size(int in, int out) { return std::size_t(Lie::padded(in) + 1) * Lie::padded(out); }

  // From PyTorch's vector, and back.
  static void put(T *const *to, const T *from, const MlpTraining &p) {
    for (int l = 0; l < p.layers; ++l) {
      const int in = p.widths[l], out = p.widths[l + 1], row = Lie::padded(out);
      std::fill_n(to[l], size(in, out), T(0));
      for (int o = 0; o < out; ++o)
        for (int i = 0; i < in; ++i)
          to[l][std::size_t(i) * row + o] = from[std::size_t(o) * in + i];
      from += std::size_t(in) * out;
      std::copy_n(from, out, to[l] + std::size_t(Lie::padded(in)) * row);
      from += out;
    }
  }
  static void take(T *to, T *const *from, const MlpTraining &p) {
    for (int l = 0; l < p.layers; ++l) {
      const int in = p.widths[l], out = p.widths[l + 1], row = Lie::padded(out);
      for (int o = 0; o < out; ++o)
        for (int i = 0; i < in; ++i)
          to[std::size_t(o) * in + i] = from[l][std::size_t(i) * row + o];
      to += std::size_t(in) * out;
      std::copy_n(from[l] + std::size_t(Lie::padded(in)) * row, out, to);
      to += out;
    }
  }
};

template <class T, int L, class Task> class MlpWorker {
public:
  using Lie = Panels<T, L>;
  using P = typename Lie::P;
  using Set = typename Task::Set;

  MlpWorker(const MlpTraining &p, const Set &set, void *memory)
      : p_(p), rows_(p.batch <= most_rows ? Lie::padded_rows(p.batch) : piece_rows), task_(set) {
    lay_out(static_cast<T *>(memory));
    if (memory)
      std::fill_n(zeros_, Lie::padded(widest()), T(0));
  }
  static std::size_t bytes(const MlpTraining &p) {
    MlpWorker measured(p, {}, nullptr);
    return measured.lay_out(nullptr) * sizeof(T);
  }

  // Trains a run from step `first` to `last`.
  void train(const TrainingRuns<T> &runs, int network, long first, long last) {
    const std::size_t from = std::size_t(network) * runs.parameters;
    T *theta = runs.theta + from, *m = runs.moment1 + from, *v = runs.moment2 ? runs.moment2 + from : nullptr;
    M::put(w_, theta, p_), M::put(m_, m, p_);
    if (v)
      M::put(v_, v, p_);
    train_run(
        runs, network, first, last,
        [&](long step, bool tell) { return this->step(runs, network, runs.schedule[step - first], step, tell); },
        [&](T *to) {
          round_weights();
          M::take(to, rounded_, p_);
        });
    M::take(theta, w_, p_), M::take(m, m_, p_);
    if (v)
      M::take(v, v_, p_);
  }

  // The network of what follows.
  void put_weights(const T *theta) { M::put(w_, theta, p_); } // of one without a form

  // The outputs of `count` <= rows() examples, in panels of rows() rows.
  T *outputs(Activation act, const std::uint32_t *example, int count, const RunSeen &run) {
    task_.take(example, rows_, count, run);
    forward(act, [](int, int, int, P one) { return one; });
    return out_;
  }
  int rows() const { return rows_; }
  Task &task() { return task_; }

private:
  using M = Matrices<T, L>;
  static constexpr int block_panels = block_columns / L;

  std::size_t lay_out(T *memory) {
    Pieces<T> pieces{memory};
    const auto activations = [&](int columns) { return pieces.take(std::size_t(Lie::padded(columns)) * rows_); };
    keeps_inputs_ = std::size_t(in_panels(0)) * L * rows_ * sizeof(T) <= kept_inputs;
    x_ = pieces.take(std::size_t(keeps_inputs_ ? in_panels(0) : std::min(block_panels, in_panels(0))) * L * rows_);
    for (int l = 0; l < p_.layers; ++l) {
      const int in = p_.widths[l], out = p_.widths[l + 1];
      for (T **piece : {&w_[l], &m_[l], &v_[l]})
        *piece = pieces.take(M::size(in, out));
      rounded_[l] = p_.form.most > 0 ? pieces.take(M::size(in, out)) : w_[l];
      g_[l] = rows_ < p_.batch ? pieces.take(M::size(in, out)) : nullptr;
      transposed_[l] = l > 0 ? pieces.take(std::size_t(Lie::padded(in)) * Lie::padded(out)) : nullptr;
      h_[l] = l > 0 ? activations(in) : nullptr;
      slope_[l] = l > 0 ? activations(in) : nullptr;
    }
    out_ = activations(p_.widths[p_.layers]);
    zeros_ = pieces.take(std::size_t(Lie::padded(widest())));
    example_ = pieces.template take_as<std::uint32_t>(std::size_t(p_.batch) + lanes<std::uint32_t>);
    task_.lay_out(pieces, p_, rows_);
    return pieces.taken;
  }

  int widest() const { return *std::max_element(p_.widths, p_.widths + p_.layers); }
  int in_panels(int l) const { return Lie::count(p_.widths[l]); }
  int out_panels(int l) const { return Lie::count(p_.widths[l + 1]); }
  T *bias(T *const *of, int l) const { return of[l] + std::size_t(in_panels(l)) * L * out_panels(l) * L; }
  T *inputs(int panel) const { return x_ + (keeps_inputs_ ? std::size_t(panel) * L * rows_ : 0); }
  std::size_t at(int b, int panel) const { return (std::size_t(panel) * rows_ + b) * L; }

  // From the task's inputs to the outputs. drop(l, panel, b, h) is what becomes of a hidden value.
  template <class Drop> void forward(Activation act, Drop drop) {
    for (int l = 0; l < p_.layers; ++l) {
      T *z = l + 1 == p_.layers ? out_ : h_[l + 1];
      if (l == 0)
        multiply_inputs(z);
      else
        multiply<T, L>(z, h_[l], p_.widths[l], rounded_[l], out_panels(l), bias(rounded_, l), nullptr, rows_);
      if (l + 1 == p_.layers)
        return;
      T *slope = slope_[l + 1];
      for (int panel = 0; panel < out_panels(l); ++panel)
        for (int b = 0; b < rows_; ++b, z += L, slope += L) {
          const auto [value, derivative] = activate_with_slope(act, load<P>(z), p_.omega);
          const P factor = drop(l, panel, b, broadcast<P>(T(1)));
          store(z, value * factor), store(slope, derivative * factor);
        }
    }
  }

  // The first layer's sums, block by block of the inputs.
  void multiply_inputs(T *z) {
    const int panels = in_panels(0), out = out_panels(0);
    for (int first = 0; first < panels; first += block_panels) {
      const int count = std::min(block_panels, panels - first);
      T *x = inputs(first);
      task_.unpack(x, rows_, first, count);
      multiply<T, L>(z, x, std::min(count * L, p_.widths[0] - first * L),
                     rounded_[0] + std::size_t(first) * L * out * L, out, first == 0 ? bias(rounded_, 0) : nullptr,
                     nullptr, rows_);
    }
  }

  // What the backward multiplies by: the weights, before they move.
  void transpose_weights() {
    for (int l = 1; l < p_.layers; ++l)
      simd::transpose<T, L>(transposed_[l], rounded_[l], in_panels(l) * L, out_panels(l) * L);
  }

  // What is multiplied by, of the weights behind it; nothing where that is they themselves.
  void round_weights() {
    const int most = p_.form.most;
    for (int l = 0; most > 0 && l < p_.layers; ++l) {
      const int in = p_.widths[l], panels = out_panels(l), row = panels * L;
      const ScaleOf how = l == 0 ? p_.form.first : p_.form.others;
      const T *from = w_[l];
      T *to = rounded_[l];
      std::copy_n(bias(w_, l), row, bias(rounded_, l));
      // Rows first..last−1, panels left..right−1: of one scale, or of one a lane.
      const auto round = [&](int first, int last, int left, int right, bool of_lanes, std::size_t n) {
        P total{}, most_of{};
        for (int i = first; i < last; ++i)
          for (int panel = left; panel < right; ++panel) {
            const P w = load<P>(from + std::size_t(i) * row + panel * L), size = larger(w, -w);
            total += size, most_of = larger(most_of, size);
          }
        P scale = broadcast<P>(code_scale(most, sum(total), largest(most_of), n));
        if (of_lanes)
          for (int k = 0; k < L; ++k)
            scale[k] = code_scale(most, total[k], most_of[k], n);
        const P limit = broadcast<P>(T(most));
        for (int i = first; i < last; ++i)
          for (int panel = left; panel < right; ++panel) {
            const std::size_t at = std::size_t(i) * row + panel * L;
            const P code = whole(load<P>(from + at) / scale);
            store(to + at, (code > limit ? limit : code < -limit ? -limit : code) * scale);
          }
      };
      if (how == ScaleOf::columns)
        for (int i = 0; i < in; ++i)
          round(i, i + 1, 0, panels, false, std::size_t(p_.widths[l + 1]));
      else if (how == ScaleOf::whole)
        round(0, in, 0, panels, false, std::size_t(in) * std::size_t(p_.widths[l + 1]));
      else
        for (int panel = 0, block = p_.form.block > 0 ? p_.form.block : in; panel < panels; ++panel)
          for (int first = 0; first < in; first += block)
            round(first, std::min(in, first + block), panel, panel + 1, true, std::size_t(std::min(block, in - first)));
      std::fill(to + std::size_t(in) * row, bias(rounded_, l), T(0)); // padding
    }
  }

  // All but the `keep` largest weights become zero, or of four neighbours all but two.
  void prune(std::size_t keep) {
    std::vector<CodedTensor> tensors;
    std::size_t at = 0;
    for (int l = 0; l < p_.layers; at += std::size_t(p_.widths[l] + 1) * std::size_t(p_.widths[l + 1]), ++l)
      tensors.push_back({at, p_.widths[l + 1], p_.widths[l], 1, ScaleOf::rows});
    std::vector<T> theta(at), m(at), v(at);
    M::take(theta.data(), w_, p_), M::take(m.data(), m_, p_), M::take(v.data(), v_, p_);
    Stream here{Device{}};
    if (p_.form.of_four)
      keep_two_of_four<T>(here, theta.data(), m.data(), v.data(), 1, at, tensors);
    else
      keep_largest<T>(here, theta.data(), m.data(), v.data(), 1, at, tensors, keep);
    M::put(w_, theta.data(), p_), M::put(m_, m.data(), p_), M::put(v_, v.data(), p_);
  }

  // From the gradient of the outputs down: use(layer, at, g) takes each pack of the weights' gradients as it leaves the
  // registers. A layer's gradient takes the place of its slopes.
  template <class Use> void backward(Use use) {
    for (int l = p_.layers - 1; l >= 0; --l) {
      const int in = in_panels(l), out = out_panels(l);
      const T *d = l + 1 == p_.layers ? out_ : slope_[l + 1];
      if (T *slope = slope_[l])
        multiply<T, L>(slope, d, p_.widths[l + 1], transposed_[l], in, zeros_, slope, rows_);
      const auto use_from = [&](int first_input) {
        return [l, out, first_input, &use](int i, int panel, P g) {
          use(l, (std::size_t(first_input + i) * out + panel) * L, g);
        };
      };
      if (l > 0) {
        transpose_multiply<T, L>(h_[l], p_.widths[l], d, out, rows_, use_from(0));
      } else {
        for (int first = 0; first < in; first += block_panels) {
          const int count = std::min(block_panels, in - first);
          T *x = inputs(first);
          if (in > block_panels && !keeps_inputs_)
            task_.unpack(x, rows_, first, count);
          transpose_multiply<T, L>(x, std::min(count * L, p_.widths[0] - first * L), d, out, rows_,
                                   use_from(first * L));
        }
      }
      for (int panel = 0; panel < out; ++panel) {
        P part[4] = {};
        for (int b = 0; b < rows_; b += 4)
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i)
            part[i] += load<P>(d + at(b + i, panel));
        use_from(in * L)(0, panel, (part[0] + part[1]) + (part[2] + part[3]));
      }
    }
  }

  // One update. The loss is made only where it will be reported.
  T step(const TrainingRuns<T> &runs, int network, const ScheduledStep &now, long step, bool tell) {
    const RunRecipe &r = runs.recipe[network];
    const RunSeen run{runs.seed, runs.first_run + std::uint32_t(network), r.label_noise};
    draw_examples(example_, p_.batch, run.seed, run.run, step, task_.examples());
    if (now.keep >= 0)
      prune(std::size_t(now.keep));
    round_weights();
    transpose_weights();
    T loss = 0;
    const auto gradient_of = [&](int first) {
      const int count = std::min(rows_, p_.batch - first);
      task_.take(example_ + first, rows_, count, run);
      if (r.dropout > 0)
        forward(r.act, [&](int l, int panel, int b, P factor) {
          for (int i = 0; i < L; ++i)
            factor[i] = T(dropout_factor(r.dropout, run.seed, run.run, step, l, first + b, panel * L + i));
          return factor;
        });
      else
        forward(r.act, [](int, int, int, P one) { return one; });
      loss += T(task_.gradient(out_, rows_, count, T(1) / p_.batch, r.label_smoothing, tell) / p_.batch);
    };
    with_update<P>(runs, r, now, [&](auto moved) {
      const auto update = [&](T *w, T *m, T *v, P g, bool is_bias) {
        moved(w, m, v, now.holds && !is_bias ? P(load<P>(w) != 0 ? g : P{}) : g);
      };
      if (rows_ >= p_.batch) {
        gradient_of(0);
        backward([&](int l, std::size_t at, P g) {
          update(w_[l] + at, m_[l] + at, v_[l] + at, g, w_[l] + at >= bias(w_, l));
        });
        return;
      }
      for (int l = 0; l < p_.layers; ++l)
        std::fill_n(g_[l], M::size(p_.widths[l], p_.widths[l + 1]), T(0));
      for (int first = 0; first < p_.batch; first += rows_) {
        gradient_of(first);
        backward([&](int l, std::size_t at, P g) { store(g_[l] + at, load<P>(g_[l] + at) + g); });
      }
      for (int l = 0; l < p_.layers; ++l)
        for (std::size_t at = 0; at < M::size(p_.widths[l], p_.widths[l + 1]); at += L)
          update(w_[l] + at, m_[l] + at, v_[l] + at, load<P>(g_[l] + at), w_[l] + at >= bias(w_, l));
    });
    return loss;
  }

  MlpTraining p_;
  int rows_; // of the batch at once
  bool keeps_inputs_ = false;
  Task task_;
  T *x_, *out_, *zeros_;
  // w_[l] is [inputs, outputs] with the bias as one more row, as are its moments and its gradient; h_[l] layer l's
  // input, slope_[l] act' of what it came from, and then its gradient.
  // rounded_[l] is what is multiplied by: w_[l] where networks have no codes.
  T *rounded_[most_mlp_layers];
  T *w_[most_mlp_layers], *m_[most_mlp_layers], *v_[most_mlp_layers], *g_[most_mlp_layers];
  T *transposed_[most_mlp_layers], *h_[most_mlp_layers], *slope_[most_mlp_layers];
  std::uint32_t *example_;
};

// All threads' workers: each works in its part of one workspace. An evaluation looks at `examples_at_once` at a time.
constexpr int examples_at_once = 128;
inline MlpTraining evaluation_of(MlpTraining p) {
  p.batch = examples_at_once, p.form = {};
  return p;
}

// Calls f.template operator()<L>() with the lanes that waste least: narrow packs where wide ones would be mostly
// padding. They compute as much a cycle where a processor splits a wide pack, and half as much where it does not, so
// they must save more than half of the packs of every product to be worth their while on both.
template <class T, class F> decltype(auto) with_lanes(const MlpTraining &p, F f) {
  if constexpr (narrow_lanes<T> != lanes<T>) {
    double wide = 0, narrow = 0;
    for (int l = 0; l < p.layers; ++l) {
      wide += double(p.widths[l]) * Panels<T, lanes<T>>::padded(p.widths[l + 1]);
      narrow += double(p.widths[l]) * Panels<T, narrow_lanes<T>>::padded(p.widths[l + 1]);
    }
    if (narrow < 0.75 * wide)
      return f.template operator()<narrow_lanes<T>>();
  }
  return f.template operator()<lanes<T>>();
}

template <class T, template <class, int> class Task> struct MlpWorkers {
  template <int L> using Worker = MlpWorker<T, L, Task<T, L>>;
  using Set = typename Task<T, lanes<T>>::Set;

  static std::size_t bytes_a_thread(const MlpTraining &p) {
    return with_lanes<T>(p, [&]<int L>() { return std::max(Worker<L>::bytes(p), Worker<L>::bytes(evaluation_of(p))); });
  }
  // The calling thread's worker for shape `p`, in the workspace of shape `whole`.
  template <int L>
  static Worker<L> mine(const MlpTraining &p, const Set &set, const MlpTraining &whole, void *workspace) {
    return {p, set, static_cast<std::byte *>(workspace) + std::size_t(thread_index()) * bytes_a_thread(whole)};
  }
  static void train(const TrainingRuns<T> &runs, const Set &set, const MlpTraining &p, long first, long last,
                    void *workspace) {
    with_lanes<T>(p, [&]<int L>() {
      parallel_each(runs.networks, [&](long i) {
        if (!runs.is_over(int(i)))
          mine<L>(p, set, p, workspace).train(runs, int(i), first, last);
      });
    });
  }
  // Calls evaluate(worker, network) for every network.
  template <class Evaluate>
  static void evaluate(const Set &set, const MlpTraining &p, int networks, void *workspace, Evaluate evaluate) {
    with_lanes<T>(p, [&]<int L>() {
      parallel_each(networks, [&](long k) {
        auto worker = mine<L>(evaluation_of(p), set, p, workspace);
        evaluate(worker, int(k));
      });
    });
  }
};

// Bytes for all threads, in either precision.
template <template <class, int> class Task> std::size_t workers_workspace(const MlpTraining &p) {
  return std::size_t(threads()) *
         std::max(MlpWorkers<float, Task>::bytes_a_thread(p), MlpWorkers<double, Task>::bytes_a_thread(p));
}

} // namespace theta::simd
