#include "windows.h"
#include "data/json.h"
#include "engine/settings/json_keys.h"

namespace theta {

namespace {

constexpr const char *kind = "windows";

// Calls f(prefix, layout, vector) for both models.
template <class Of, class F> void for_models(Of &w, F f) {
  f("recurrence.", Recurrence<float>(w.config.recurrence()).parameters(), w.recurrence);
  f("flow.", WeightTransformer<float>(w.config.token_flow()).parameters(), w.flow);
}

} // namespace

RecurrenceShape WindowsConfig::recurrence() const {
  return {.token = chunk, .width = state, .blocks = blocks, .features = flow.features, .arithmetic = Arithmetic::fp32};
}

WeightTransformerShape WindowsConfig::token_flow() const {
  WeightTransformerShape shape{
      {{"chunk", 1, chunk, false}}, flow.width, flow.layers, 1, flow.features, flow.arithmetic};
  shape.recompute = flow.recompute, shape.fused = flow.fused, shape.attends = false, shape.context = state;
  return shape;
}

std::size_t WindowsConfig::tokens(std::size_t parameters) const {
  return (parameters + std::size_t(chunk) - 1) / std::size_t(chunk);
}

void describe(Keys &keys, WindowsConfig &c) {
  keys({"chunk", "weights of a token"}, c.chunk, Limits{1, 1 << 20});
  keys({"window", "tokens that are trained on at a time, and held of a sample before they are written"}, c.window,
       Limits{1, 1 << 20});
  keys({"state", "numbers that the recurrence carries from token to token"}, c.state, Limits{1, 8192});
  keys({"blocks", "blocks of the recurrence"}, c.blocks, Limits{1, 64});
  keys({"input_noise", "noise on the tokens before, in training"}, c.input_noise, not_negative);
  keys({"normalizer", "what networks are standardised by"}, c.normalizer, normalizer_named);
  describe_perceptron(keys, c.flow);
}

void check(const WindowsConfig &c) {
  check(c.flow, "fit.windows");
  if (!c.flow.conditions.empty())
    throw InputError("fit.windows.conditions: found ", c.flow.conditions.front(),
                     ", expected none: windows take no conditions");
  if (c.flow.accumulate != 1)
    throw InputError("fit.windows.accumulate: found ", c.flow.accumulate,
                     ", expected 1: a smaller window is what takes less memory");
}

std::size_t statistics_of(const WindowsConfig &c, const ZooFormat &networks) {
  return c.normalizer == NormalizerKind::coordinate ? networks.parameters
         : c.normalizer == NormalizerKind::tensor   ? networks.layout.size()
                                                    : 1;
}

std::vector<TensorSource> tensors_of(const Windows &w) {
  std::vector<TensorSource> tensors;
  for_models(w, [&](const std::string &prefix, const Layout &layout, const std::vector<float> &values) {
    put_tensors(tensors, prefix, layout, values);
  });
  return tensors;
}

GeneratorDraft draft_of(const std::filesystem::path &path, const Windows &w, const Stamp &stamp, bool anew) {
  GeneratorDraft::Tensors tensors;
  for_models(w, [&](const std::string &prefix, const Layout &layout, const std::vector<float> &) {
    for (const auto &place : layout.places())
      tensors.push_back({prefix + place.name, place.shape});
  });
  const auto n = std::int64_t(statistics_of(w.config, w.networks));
  tensors.push_back({windows_mean, {n}}), tensors.push_back({windows_std, {n}});
  WindowsConfig config = w.config;
  Json about = {{"kind", kind}, {"config", json_of([&](Keys &keys) { describe(keys, config); }, {})}};
  put_networks(about, w.networks);
  return GeneratorDraft(path, tensors, metadata_of(about, stamp), anew);
}

Windows load_windows(const std::filesystem::path &path) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  Windows w;
  read_json(field<Json>(about, "config", where), where, [&](Keys &keys) { describe(keys, w.config); });
  try {
    check(w.config);
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
  w.networks = networks_of(about, where);
  const Shape statistics{std::int64_t(statistics_of(w.config, w.networks))};
  for (const char *name : {windows_mean, windows_std})
    if (const TensorInfo &tensor = file.tensor(name); tensor.dtype != Dtype::f32 || tensor.shape != statistics)
      throw InputError(where, ": tensor '", name, "': found ", name_of(tensor.dtype), " ", text_of(tensor.shape),
                       ", expected F32 ", text_of(statistics));
  for_models(w, [&](const std::string &prefix, const Layout &layout, std::vector<float> &values) {
    values = read_tensors(file, prefix, layout);
  });
  return w;
}

} // namespace theta
