#include "transformer.h"
#include "data/json.h"
#include "engine/settings/json_keys.h"

namespace theta {

namespace {

constexpr const char *kind = "weight transformer";

// The order in which files have the settings, where it is not that of configurations.
const std::vector<std::string> file_order{"conditions", "start", "residual", "condition_by", "drop"};

} // namespace

void describe_transformer(Keys &keys, FlowConfig &c) {
  describe(keys, c, {"source",     "draws",      "tokens",       "chunk",       "own_coders", "normalizer", "balance",
                     "align",      "shuffle",    "flip",         "rescale",     "augment",    "noise",      "objective",
                     "weigh_by",   "conditions", "condition_by", "drop",        "start",      "residual",   "width",
                     "layers",     "heads",      "features",     "places",      "qk_norm",    "warmup",     "beta2",
                     "accumulate", "recompute",  "fused",        "probe_every", "arithmetic", "recipe"});
}

void save_transformer(const std::filesystem::path &path, const TrainedFlow &t, const Stamp &stamp) {
  FlowConfig config = t.config;
  Json about = {{"kind", kind},
                {"config", json_of([&](Keys &keys) { describe_transformer(keys, config); }, file_order)}};
  put_networks(about, t.networks);
  write_safetensors(path, tensors_of(t), metadata_of(about, stamp));
}

TrainedFlow load_transformer(const std::filesystem::path &path) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  TrainedFlow t;
  read_json(field<Json>(about, "config", where), where, [&](Keys &keys) { describe_transformer(keys, t.config); });
  try {
    check(t.config, transformer_table);
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
  t.networks = networks_of(about, where);
  read_tensors(t, file);
  return t;
}

} // namespace theta
