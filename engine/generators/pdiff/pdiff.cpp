#include "pdiff.h"
#include "data/json.h"
#include "engine/generators/draft.h"
#include "engine/generators/generator_file.h"
#include "engine/settings/json_keys.h"
#include <numeric>

namespace theta {

namespace {

constexpr const char *kind = "p-diff";
constexpr std::size_t most_layers = 24; // that a file may ask for

// The order in which files have the settings.
const std::vector<std::string> file_order{
    "normalizer",   "autoencoder_channels", "autoencoder_kernel", "latent",          "input_noise",
    "latent_noise", "autoencoder",          "denoiser_channels",  "denoiser_kernel", "time_width",
    "denoiser",     "diffusion_steps",      "beta_first",         "beta_last",       "arithmetic",
    "compact"};

// The models whose layouts say which tensors a file has.
struct Models {
  ConvVae<float> autoencoder;
  Cnn1d<float> denoiser;
  Models(const PDiffConfig &c, std::size_t parameters)
      : autoencoder(c.autoencoder_shape(parameters)), denoiser(c.denoiser_shape()) {}
};

// Calls f(prefix, layout, vector) for each of the four flat vectors of a p-diff.
template <class P, class F> void for_vectors(const Models &m, P &p, F f) {
  f("autoencoder.", m.autoencoder.parameters(), p.autoencoder);
  f("autoencoder.", m.autoencoder.buffers(), p.autoencoder_buffers);
  f("denoiser.", m.denoiser.parameters(), p.denoiser);
  f("denoiser.", m.denoiser.buffers(), p.denoiser_buffers);
}

} // namespace

void describe(Keys &keys, PDiffConfig &c) {
  keys.section("fit");
  keys({"normalizer", "what networks are standardised by"}, c.normalizer, normalizer_named);
  keys({"latent", "numbers of a latent"}, c.latent, Limits{1, 1 << 20});
  keys({"diffusion_steps", "steps of the diffusion over latents"}, c.diffusion_steps, Limits{2, 1e6});
  keys({"beta_first", "variance of the first step's noise"}, c.beta_first, Limits{1e-12, 0.999});
  keys({"beta_last", "variance of the last step's noise"}, c.beta_last, Limits{1e-12, 0.999});
  keys({"input_noise", "noise added to networks in the autoencoder's training"}, c.input_noise, not_negative);
  keys({"latent_noise", "noise added to latents in the autoencoder's training"}, c.latent_noise, not_negative);
  keys({"arithmetic", "of products: fp32, or bf16 operands with sums in fp32"}, c.arithmetic, arithmetic_named);
  keys({"compact", "the autoencoder trains in little memory"}, c.compact);
  keys({"tile", nullptr, "elements of V that activations are made for at a time; 0: all"}, c.tile, Limits{0, 1 << 30});
  keys({"stream", nullptr,
        "where the autoencoder's two wide layers live: on the device, or streamed from host memory or files"},
       c.stream, streaming_named);
  keys({"moments", nullptr, "how the optimiser's moments of what streams are stored"}, c.moments, moment_storage_named);
  keys.section("fit.autoencoder");
  keys({"channels", "autoencoder_channels", "channels of the convolutions"}, c.autoencoder_channels,
       Limits{1, 1 << 16});
  keys({"kernel", "autoencoder_kernel", "width of the convolutions' kernels"}, c.autoencoder_kernel, Limits{1, 1023});
  keys.group("autoencoder", [&] { describe(keys, c.autoencoder); });
  keys.section("fit.denoiser");
  keys({"channels", "denoiser_channels", "channels of the convolutions"}, c.denoiser_channels, Limits{1, 1 << 16});
  keys({"kernel", "denoiser_kernel", "width of the convolutions' kernels"}, c.denoiser_kernel, Limits{1, 1023});
  keys({"time_width", "numbers of the embedding of time"}, c.time_width, Limits{2, 1 << 16});
  keys.group("denoiser", [&] { describe(keys, c.denoiser); });
}

void check(const PDiffConfig &c) {
  if (c.moments != MomentStorage::fp32 && !c.streams())
    throw InputError("fit.moments: found ", name_of(c.moments), ", expected fp32 but with fit.stream = memory or file");
  if (c.beta_first > c.beta_last)
    throw InputError("fit.beta_first: found ", c.beta_first, ", expected at most beta_last, ", c.beta_last);
  if (c.time_width % 2 != 0)
    throw InputError("fit.denoiser.time_width: found ", c.time_width, ", expected an even number");
  for (const auto &[key, kernel] :
       {std::pair{"fit.autoencoder.kernel", c.autoencoder_kernel}, {"fit.denoiser.kernel", c.denoiser_kernel}})
    if (kernel % 2 == 0)
      throw InputError(key, ": found ", kernel, ", expected an odd number");
}

int PDiffConfig::padded(std::size_t parameters) const {
  const std::size_t multiple = std::max<std::size_t>(64, std::size_t(1) << autoencoder_channels.size());
  const std::size_t length = (parameters + multiple - 1) / multiple * multiple;
  if (length > std::size_t(1) << 30)
    throw InputError("p-diff: ", parameters, " parameters are more than its convolutions can index");
  return int(length);
}

ConvVaeShape PDiffConfig::autoencoder_shape(std::size_t parameters) const {
  return {padded(parameters), autoencoder_channels, autoencoder_kernel, latent, arithmetic, {.compact = compact}, tile,
          streams()};
}

Cnn1dShape PDiffConfig::denoiser_shape() const {
  return {latent, denoiser_channels, denoiser_kernel, time_width, arithmetic};
}

void save_pdiff(const std::filesystem::path &path, const PDiff &p, const Stamp &stamp) {
  const Models models(p.config, p.networks.parameters);
  std::vector<TensorSource> tensors; // without data: streamed
  const auto whole = [&](const std::string &name, const std::vector<float> &values) {
    tensors.push_back({name, Dtype::f32, {std::int64_t(values.size())}, values.data()});
  };
  whole("normalizer.mean", p.normalizer.mean), whole("normalizer.std", p.normalizer.std);
  whole("latent.mean", p.latent_mean), whole("latent.std", p.latent_std);
  for_vectors(models, p, [&](const std::string &prefix, const Layout &layout, const std::vector<float> &values) {
    for (std::size_t i = 0; i <= layout.places().size(); ++i) {
      for (const OutsideTensor &outside : layout.outside())
        if (outside.before == i)
          tensors.push_back({prefix + outside.name, Dtype::f32, outside.shape, nullptr});
      if (i == layout.places().size())
        break;
      const TensorPlace &place = layout.places()[i];
      tensors.push_back({prefix + place.name, Dtype::f32, place.shape, values.data() + place.offset});
    }
  });
  PDiffConfig config = p.config;
  Json about = {{"kind", kind}, {"config", json_of([&](Keys &keys) { describe(keys, config); }, file_order)}};
  put_networks(about, p.networks);
  if (!p.streamed)
    return write_safetensors(path, tensors, metadata_of(about, stamp));
  GeneratorDraft draft(path.parent_path() / ".generator.begun", shapes_of(tensors), metadata_of(about, stamp), true);
  const auto &outside = models.autoencoder.parameters().outside();
  std::vector<float> part(std::size_t(1) << 18);
  for (std::size_t t = 0; t < outside.size(); ++t)
    for (std::size_t first = 0, n = outside[t].elements(); first < n; first += part.size()) {
      const std::size_t count = std::min(part.size(), n - first);
      p.streamed->read(t, StreamedStore::Part::value, first, count, part.data());
      draft.write("autoencoder." + outside[t].name, first, part.data(), count);
    }
  std::erase_if(tensors, [](const TensorSource &tensor) { return tensor.data == nullptr; });
  draft.write(tensors);
  draft.publish(path);
}

StreamedLinear::Weights streamed_weights(const Safetensors &file, const PDiffConfig &config, std::size_t parameters,
                                         std::size_t tensor) {
  const Models models(config, parameters);
  const OutsideTensor &outside = models.autoencoder.parameters().outside().at(tensor);
  const TensorInfo &info = file.tensor("autoencoder." + outside.name);
  if (info.dtype != Dtype::f32 || info.shape != outside.shape)
    throw InputError(file.path().string(), ": tensor '", info.name, "': found ", name_of(info.dtype), " ",
                     text_of(info.shape), ", expected F32 ", text_of(outside.shape));
  return {[&file, &info](std::size_t first, std::size_t count, float *to) {
    file.read(info, first * sizeof(float), to, count * sizeof(float));
  }};
}

PDiff load_pdiff(const std::filesystem::path &path, const PDiffConfig &how) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  PDiff p;
  read_json(field<Json>(about, "config", where), where, [&](Keys &keys) { describe(keys, p.config); });
  p.config.tile = how.tile, p.config.stream = how.stream;
  for (const auto *channels : {&p.config.autoencoder_channels, &p.config.denoiser_channels})
    if (channels->empty() || channels->size() > most_layers)
      throw InputError(where, ": field 'channels': found ", channels->size(), ", expected 1 to ", most_layers);
  p.networks = networks_of(about, where);
  const Models models(p.config, p.networks.parameters);
  const std::int64_t v = std::int64_t(p.networks.parameters), latent = p.config.latent;
  p.normalizer = {file.read<float>("normalizer.mean", {v}), file.read<float>("normalizer.std", {v})};
  p.latent_mean = file.read<float>("latent.mean", {latent}), p.latent_std = file.read<float>("latent.std", {latent});
  for_vectors(models, p, [&](const std::string &prefix, const Layout &layout, std::vector<float> &values) {
    values = read_tensors(file, prefix, layout);
  });
  return p;
}

} // namespace theta
