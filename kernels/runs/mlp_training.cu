// On cuda: resident.cuh on images, which stay bytes in the second-level cache.
// Bytes a step and network: 2·B·pixels from the cache, and 24 a weight for layers whose state is not in shared memory.
#include "classifier.cuh"
#include "kernels/operations/counting.h"
#include "resident.cuh"

namespace theta::cuda {

namespace {

using namespace resident;

struct ImageTask {
  ImageSet set;
  std::uint64_t seed;

  __device__ std::uint32_t examples() const { return set.examples; }
  __device__ void take(const Network &net, int b, std::uint32_t example, std::uint32_t run, float label_noise) const {
    net.example()[b] = example;
    net.label()[b] = seen_label(set.label[example], set.classes, label_noise, seed, run, example);
  }
  __device__ float value(const Network &net, int b, int i) const {
    return i < set.pixels
               ? float(set.image[std::size_t(net.example()[b]) * set.pixels + i]) * float(set.scale) + float(set.shift)
               : 0.0f;
  }
  // Cross-entropy.
  __device__ float gradient(const Network &net, int b, bool counts, float weight, float smoothing) const {
    const int classes = set.classes, columns = padded(classes), label = net.label()[b];
    const float *z = net.outputs() + b * columns;
    bf16 *d = net.d(net.last()) + b * pitch(classes);
    return cross_entropy_gradient(d, columns, z, classes, label, counts, weight, smoothing);
  }
};

template <int Rows, int Strips>
__global__ void __launch_bounds__(threads, blocks_at_least<Strips>)
    evaluate_kernel(float *loss, std::uint32_t *wrong, float *logits,
                    const __grid_constant__ TrainingRuns<float> networks, const Activation *act,
                    const __grid_constant__ ImageTask task, const __grid_constant__ MlpTraining p,
                    const __grid_constant__ Places at, std::size_t words) {
  const int network = int(blockIdx.x);
  const Network net{p, at, networks, std::size_t(network) * networks.parameters, nullptr};
  open_network(net);
  const ImageSet &set = task.set;
  const int classes = set.classes, b = int(threadIdx.x);
  float total = 0;
  for (std::uint32_t first = 0; first < set.examples; first += Rows) {
    if (b < Rows)
      net.example()[b] = first + std::uint32_t(b) < set.examples ? first + std::uint32_t(b) : set.examples - 1;
    __syncthreads();
    forward<Rows, Strips>(net, task, act[network], false, {});
    bool is_wrong = false;
    if (b < Rows && first + std::uint32_t(b) < set.examples) {
      const float *z = net.outputs() + b * padded(classes);
      is_wrong = judge(total, z, classes, set.label[first + std::uint32_t(b)]);
      if (logits)
        keep_logits(logits, z, std::size_t(network) * set.examples + first + std::uint32_t(b), classes);
    }
    const std::uint32_t bits = __ballot_sync(~0u, is_wrong);
    if (b < Rows && b % 32 == 0 && first / 32 + std::uint32_t(b) / 32 < words)
      wrong[std::size_t(network) * words + first / 32 + std::uint32_t(b) / 32] = bits;
  }
  total = block_reduce<Sum>(total, net.partials());
  if (threadIdx.x == 0)
    loss[network] = total / float(set.examples);
}

} // namespace

bool mlp_training_fits(const MlpTraining &p) { return fits(p); }
std::size_t mlp_training_workspace(const MlpTraining &p, int networks) { return workspace(p, networks); }

void train_mlps(Stream &s, const TrainingRuns<float> &runs, const ImageSet &set, const MlpTraining &p, long first,
                long last, void *workspace) {
  train_networks(s, runs, ImageTask{set, runs.seed}, p, first, last, workspace);
}

void evaluate_mlps(Stream &s, float *loss, std::uint32_t *wrong, float *logits, const float *theta,
                   const Activation *act, int networks, const ImageSet &set, const MlpTraining &p, void *) {
  const Plan plan = plan_of(p, false);
  with_sizes(plan, [&]<int Rows, int Strips>() {
    launch(evaluate_kernel<Rows, Strips>, unsigned(networks), threads, std::size_t(plan.at.bytes), s, loss, wrong,
           logits, weights_of(theta, p), act, ImageTask{set, 0}, p, plan.at, mask_words(set.examples));
  });
}

} // namespace theta::cuda
