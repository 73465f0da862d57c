// On the cpu: mlp_worker.h on points.
#include "field_training.h"
#include "mlp_worker.h"

namespace theta {

namespace cuda {
decltype(theta::train_fields<float>) train_fields;
decltype(theta::evaluate_fields<float>) evaluate_fields;
} // namespace cuda

namespace {

using namespace simd;

template <class T, int L> class FieldTask {
public:
  using Set = FieldSet;
  explicit FieldTask(const FieldSet &set) : set_(set) {}
  std::uint32_t examples() const { return set_.points; }

  void lay_out(Pieces<T> &pieces, const MlpTraining &p, int rows) {
    inputs_ = p.widths[0], outputs_ = p.widths[p.layers];
    point_ = pieces.template take_as<std::uint32_t>(std::size_t(rows));
  }

  void take(const std::uint32_t *example, int rows, int count, const RunSeen &run) {
    signal_ = run.run % set_.signals;
    for (int b = 0; b < rows; ++b)
      point_[b] = example[std::min(b, count - 1)];
  }

  void unpack(T *x, int rows, int first, int count) const {
    for (int at = first * L; at < (first + count) * L; at += L)
      for (int b = 0; b < rows; ++b, x += L) {
        const float *from = set_.coordinate + std::size_t(point_[b]) * std::size_t(inputs_) + at;
        for (int i = 0; i < L; ++i)
          x[i] = at + i < inputs_ ? T(from[i]) : T(0);
      }
  }

  double gradient(T *z, int rows, int count, T weight, float, bool) const {
    const T slope = 2 * weight / T(outputs_);
    double loss = 0;
    for (int o = 0; o < Panels<T, L>::padded(outputs_); ++o)
      for (int b = 0; b < rows; ++b) {
        T &here = z[(std::size_t(o / L) * rows + b) * L + o % L];
        const T error = o < outputs_ && b < count ? here - value(b, o) : T(0);
        loss += double(error) * double(error);
        here = slope * error;
      }
    return loss / outputs_;
  }

private:
  T value(int b, int o) const {
    const std::size_t at = (std::size_t(signal_) * set_.points + point_[b]) * std::size_t(outputs_) + std::size_t(o);
    return T(set_.value[at]) * T(set_.scale) + T(set_.shift);
  }

  FieldSet set_;
  int inputs_ = 0, outputs_ = 0;
  std::uint32_t signal_ = 0;
  std::uint32_t *point_ = nullptr;
};

template <class T> using Workers = simd::MlpWorkers<T, FieldTask>;

} // namespace

bool field_training_fits(Backend backend, const MlpTraining &p) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda)
      return cuda::field_training_fits(p);
  return true;
}

std::size_t field_training_workspace(Backend backend, const MlpTraining &p, int networks) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda)
      return cuda::field_training_workspace(p, networks);
  return simd::workers_workspace<FieldTask>(p);
}

template <class T>
void train_fields(Stream &s, const TrainingRuns<T> &runs, const FieldSet &set, const MlpTraining &p, long first,
                  long last, void *workspace) {
  const Span span(s, "train_fields", 0);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::train_fields(s, runs, set, p, first, last, workspace);
  Workers<T>::train(runs, set, p, first, last, workspace);
}

template <class T>
void evaluate_fields(Stream &s, T *loss, const T *theta, const Activation *act, const std::uint32_t *signal,
                     int networks, const FieldSet &set, const MlpTraining &p, void *workspace) {
  const Span span(s, "evaluate_fields", 0);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::evaluate_fields(s, loss, theta, act, signal, networks, set, p, workspace);
  Workers<T>::evaluate(set, p, networks, workspace, [&](auto &worker, int k) {
    worker.put_weights(theta + std::size_t(k) * parameters_of(p));
    double sum = 0;
    for (std::uint32_t first = 0; first < set.points; first += simd::examples_at_once) {
      std::uint32_t point[simd::examples_at_once];
      const int count = int(std::min<std::uint32_t>(simd::examples_at_once, set.points - first));
      for (int b = 0; b < simd::examples_at_once; ++b)
        point[b] = first + std::uint32_t(std::min(b, count - 1));
      T *z = worker.outputs(act[k], point, count, {.seed = 0, .run = signal[k]});
      sum += worker.task().gradient(z, worker.rows(), count, T(1), 0, true);
    }
    loss[k] = T(sum / set.points);
  });
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void train_fields(Stream &, const TrainingRuns<T> &, const FieldSet &, const MlpTraining &, long, long,     \
                             void *);                                                                                  \
  template void evaluate_fields(Stream &, T *, const T *, const Activation *, const std::uint32_t *, int,              \
                                const FieldSet &, const MlpTraining &, void *);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
