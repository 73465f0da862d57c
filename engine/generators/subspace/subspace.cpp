#include "subspace.h"
#include "data/json.h"
#include "engine/settings/json_keys.h"

namespace theta {

namespace {
constexpr const char *kind = "subspace";
} // namespace

void describe(Keys &keys, SubspaceConfig &c) {
  keys({"directions", "principal directions kept; 0: all that the networks span"}, c.directions, not_negative);
  keys({"power", "coefficients are divided by their deviations to this power: 0 leaves them, 1 whitens"}, c.power,
       Limits{0, 1});
  keys({"balance", "networks are brought to one member of their class of scales or signs first"}, c.balance);
  keys({"align", "units of all networks are matched to one of them first"}, c.align);
  describe_perceptron(keys, c.flow);
  describe(keys, c.flow, {"plain", "dropout", "own_noise"});
}

ZooFormat coefficients_format(int directions) {
  return {{{"coefficients", {directions}, 0}}, std::size_t(directions), Dtype::f32, {}, "{}"};
}

GeneratorDraft draft_of(const std::filesystem::path &path, const Subspace &s, const Stamp &stamp, bool anew) {
  const auto d = std::int64_t(s.scale.size()), v = std::int64_t(s.networks.parameters);
  auto tensors = shapes_of(tensors_of(s.flow, subspace_flow));
  tensors.insert(tensors.begin(), {subspace_scale, {d}});
  tensors.push_back({subspace_mean, {v}}), tensors.push_back({subspace_directions, {d, v}});
  SubspaceConfig config = s.config;
  Json about = {
      {"kind", kind}, {"directions", d}, {"config", json_of([&](Keys &keys) { describe(keys, config); }, {})}};
  put_networks(about, s.networks);
  return GeneratorDraft(path, tensors, metadata_of(about, stamp), anew);
}

Subspace load_subspace(const std::filesystem::path &path) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  Subspace s;
  read_json(field<Json>(about, "config", where), where, [&](Keys &keys) { describe(keys, s.config); });
  s.networks = networks_of(about, where);
  const auto d = field<std::int64_t>(about, "directions", where), v = std::int64_t(s.networks.parameters);
  if (d < 1 || d > v)
    throw InputError(where, ": directions: found ", d, ", expected 1 to ", v);
  for (const auto &[name, shape] : {std::pair{subspace_mean, Shape{v}}, {subspace_directions, Shape{d, v}}})
    if (const TensorInfo &tensor = file.tensor(name); tensor.dtype != Dtype::f32 || tensor.shape != shape)
      throw InputError(where, ": tensor '", name, "': found ", name_of(tensor.dtype), " ", text_of(tensor.shape),
                       ", expected F32 ", text_of(shape));
  s.scale = file.read<float>(subspace_scale, {d});
  s.flow.config = s.config.flow, s.flow.networks = coefficients_format(int(d));
  try {
    check(s.flow.config, "fit.subspace");
    read_tensors(s.flow, file, subspace_flow);
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
  return s;
}

} // namespace theta
