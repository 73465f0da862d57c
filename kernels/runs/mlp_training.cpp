// On the cpu: mlp_worker.h on images. The batch's pixels become floats twice, block by block, because bytes are a
// quarter of the traffic.
#include "image_task.h"
#include "kernels/operations/counting.h"
#include <numeric>

namespace theta {

namespace cuda {
decltype(theta::train_mlps<float>) train_mlps;
decltype(theta::evaluate_mlps<float>) evaluate_mlps;
} // namespace cuda

namespace {

template <class T> using Workers = simd::MlpWorkers<T, simd::ImageTask>;

} // namespace

bool mlp_training_fits(Backend backend, const MlpTraining &p) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda)
      return cuda::mlp_training_fits(p);
  return true;
}

std::size_t mlp_training_workspace(Backend backend, const MlpTraining &p, int networks) {
  if constexpr (built_with_cuda)
    if (backend == Backend::cuda)
      return cuda::mlp_training_workspace(p, networks);
  return simd::workers_workspace<simd::ImageTask>(p);
}

template <class T>
void train_mlps(Stream &s, const TrainingRuns<T> &runs, const ImageSet &set, const MlpTraining &p, long first,
                long last, void *workspace) {
  const Span span(s, "train_mlps", 0);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::train_mlps(s, runs, set, p, first, last, workspace);
  Workers<T>::train(runs, set, p, first, last, workspace);
}

template <class T>
void evaluate_mlps(Stream &s, T *loss, std::uint32_t *wrong, T *logits, const T *theta, const Activation *act,
                   int networks, const ImageSet &set, const MlpTraining &p, void *workspace) {
  const Span span(s, "evaluate_mlps", 0);
  if constexpr (runs_on_cuda<T>)
    if (s.is_cuda())
      return cuda::evaluate_mlps(s, loss, wrong, logits, theta, act, networks, set, p, workspace);
  const std::size_t words = mask_words(set.examples), v = parameters_of(p);
  Workers<T>::evaluate(set, p, networks, workspace, [&]<class Worker>(Worker &worker, int k) {
    worker.put_weights(theta + k * v);
    const T *z = nullptr;
    loss[k] = T(simd::evaluate_classifier<typename Worker::P>(
        wrong + k * words, logits ? logits + std::size_t(k) * set.examples * std::size_t(set.classes) : nullptr, set,
        simd::examples_at_once,
        [&](int from, int count) {
          std::uint32_t example[simd::examples_at_once];
          std::iota(example, example + count, std::uint32_t(from));
          z = worker.outputs(act[k], example, count, {});
        },
        [&](int b) { return worker.task().logits(z, worker.rows(), b); }));
  });
}

std::size_t parameters_of(const MlpTraining &p) {
  std::size_t v = 0;
  for (int l = 0; l < p.layers; ++l)
    v += std::size_t(p.widths[l] + 1) * std::size_t(p.widths[l + 1]);
  return v;
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template void train_mlps(Stream &, const TrainingRuns<T> &, const ImageSet &, const MlpTraining &, long, long,       \
                           void *);                                                                                    \
  template void evaluate_mlps(Stream &, T *, std::uint32_t *, T *, const T *, const Activation *, int,                 \
                              const ImageSet &, const MlpTraining &, void *);
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)

} // namespace theta
