#include "trained.h"
#include "models.h"

namespace theta {

TrainedFlow trained_of(const FlowConfig &config, const ZooFormat &networks, const Learned &learned) {
  const auto &[mean, std] = learned.tokens.at(0);
  return {config, networks, mean, std, learned.ranges, learned.weights};
}

std::vector<TensorSource> tensors_of(const TrainedFlow &t, const std::string &prefix) {
  const TokenCoder coder(t.config, network_facts(t.networks, "generator"));
  const auto model = model_of(t.config, coder);
  std::vector<TensorSource> tensors;
  for (const auto &[name, values] : {std::pair{"tokens.mean", &t.mean}, {"tokens.std", &t.std}})
    tensors.push_back({prefix + name, Dtype::f32, {std::int64_t(values->size())}, values->data()});
  static_assert(sizeof(ConditionRange) == 2 * sizeof(float));
  if (!t.ranges.empty())
    tensors.push_back({prefix + "conditions.range", Dtype::f32, {std::int64_t(t.ranges.size()), 2}, t.ranges.data()});
  put_tensors(tensors, prefix, model->parameters(), t.weights);
  return tensors;
}

void read_tensors(TrainedFlow &t, const Safetensors &file, const std::string &prefix) {
  const TokenCoder coder(t.config, network_facts(t.networks, file.path().string()));
  const auto size = std::int64_t(coder.tokens().size());
  t.mean = file.read<float>(prefix + "tokens.mean", {size}), t.std = file.read<float>(prefix + "tokens.std", {size});
  if (const std::size_t n = t.config.conditions.size(); n > 0) {
    const auto ranges = file.read<float>(prefix + "conditions.range", {std::int64_t(n), 2});
    for (std::size_t k = 0; k < n; ++k)
      t.ranges.push_back({ranges[2 * k], ranges[2 * k + 1]});
  }
  t.weights = read_tensors(file, prefix, model_of(t.config, coder)->parameters());
}

} // namespace theta
