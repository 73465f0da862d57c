// On cuda: resident.cuh on points, whose coordinates and values stay in the second-level cache.
// Bytes a step and network: 4·B·inputs + B·outputs from the cache, and 8 a weight and piece of the batch for layers
// whose gradient is not in shared memory, and 24 for layers whose state is not.
#include "field_training.h"
#include "resident.cuh"

namespace theta::cuda {

namespace {

using namespace resident;

struct PointTask {
  FieldSet set;

  __device__ std::uint32_t examples() const { return set.points; }
  // Its label is the place of its signal's value.
  __device__ void take(const Network &net, int b, std::uint32_t point, std::uint32_t signal, float) const {
    net.example()[b] = point;
    net.label()[b] = int(signal % set.signals);
  }
  __device__ float value(const Network &net, int b, int i) const {
    return i < set.inputs ? set.coordinate[std::size_t(net.example()[b]) * set.inputs + i] : 0.0f;
  }
  // Of a row's output o, to the signal's value there.
  __device__ float error(const Network &net, int b, int o) const {
    const std::size_t at = (std::size_t(net.label()[b]) * set.points + net.example()[b]) * set.outputs + o;
    return net.outputs()[b * padded(set.outputs) + o] - (float(set.value[at]) * float(set.scale) + float(set.shift));
  }
  // Mean squared error over the outputs.
  __device__ float gradient(const Network &net, int b, bool counts, float weight, float) const {
    bf16 *d = net.d(net.last()) + b * pitch(set.outputs);
    const float slope = 2 * weight / float(set.outputs);
    float loss = 0;
    for (int o = 0; o < padded(set.outputs); ++o) {
      const float off = counts && o < set.outputs ? error(net, b, o) : 0.0f;
      loss += off * off;
      d[o] = to_bf16(slope * off);
    }
    return loss / float(set.outputs);
  }
};

template <int Rows, int Strips>
__global__ void __launch_bounds__(threads, blocks_at_least<Strips>)
    evaluate_kernel(float *loss, const __grid_constant__ TrainingRuns<float> networks, const Activation *act,
                    const std::uint32_t *signal, const __grid_constant__ PointTask task,
                    const __grid_constant__ MlpTraining p, const __grid_constant__ Places at) {
  const int network = int(blockIdx.x);
  const Network net{p, at, networks, std::size_t(network) * networks.parameters, nullptr};
  open_network(net);
  const FieldSet &set = task.set;
  const int b = int(threadIdx.x);
  float total = 0;
  for (std::uint32_t first = 0; first < set.points; first += Rows) {
    const std::uint32_t point = first + std::uint32_t(b);
    if (b < Rows)
      task.take(net, b, point < set.points ? point : set.points - 1, signal[network], 0);
    __syncthreads();
    forward<Rows, Strips>(net, task, act[network], false, {});
    if (b < Rows && point < set.points)
      for (int o = 0; o < set.outputs; ++o)
        total += task.error(net, b, o) * task.error(net, b, o);
  }
  total = block_reduce<Sum>(total, net.partials());
  if (threadIdx.x == 0)
    loss[network] = total / (float(set.points) * float(set.outputs));
}

} // namespace

bool field_training_fits(const MlpTraining &p) { return fits(p); }
std::size_t field_training_workspace(const MlpTraining &p, int networks) { return workspace(p, networks); }

void train_fields(Stream &s, const TrainingRuns<float> &runs, const FieldSet &set, const MlpTraining &p, long first,
                  long last, void *workspace) {
  train_networks(s, runs, PointTask{set}, p, first, last, workspace);
}

void evaluate_fields(Stream &s, float *loss, const float *theta, const Activation *act, const std::uint32_t *signal,
                     int networks, const FieldSet &set, const MlpTraining &p, void *) {
  const Plan plan = plan_of(p, false);
  with_sizes(plan, [&]<int Rows, int Strips>() {
    launch(evaluate_kernel<Rows, Strips>, unsigned(networks), threads, std::size_t(plan.at.bytes), s, loss,
           weights_of(theta, p), act, signal, PointTask{set}, p, plan.at);
  });
}

} // namespace theta::cuda
