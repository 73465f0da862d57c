#include "pdiff.h"
#include "generator_file.h"
#include <numeric>

namespace theta {

namespace {

constexpr const char *kind = "p-diff";

Json json_of(const PDiffConfig &c) {
  return {{"normalizer", name_of(c.normalizer)},
          {"autoencoder_channels", c.autoencoder_channels},
          {"autoencoder_kernel", c.autoencoder_kernel},
          {"latent", c.latent},
          {"input_noise", c.input_noise},
          {"latent_noise", c.latent_noise},
          {"autoencoder", json_of(c.autoencoder)},
          {"denoiser_channels", c.denoiser_channels},
          {"denoiser_kernel", c.denoiser_kernel},
          {"time_width", c.time_width},
          {"denoiser", json_of(c.denoiser)},
          {"diffusion_steps", c.diffusion_steps},
          {"beta_first", c.beta_first},
          {"beta_last", c.beta_last},
          {"arithmetic", name_of(c.arithmetic)},
          {"compact", c.compact}};
}

PDiffConfig config_of(const Json &j, const std::string &where) {
  PDiffConfig c;
  c.normalizer = normalizer_named(field<std::string>(j, "normalizer", where));
  c.autoencoder_channels = field<std::vector<int>>(j, "autoencoder_channels", where);
  c.autoencoder_kernel = field<int>(j, "autoencoder_kernel", where), c.latent = field<int>(j, "latent", where);
  c.input_noise = field<double>(j, "input_noise", where), c.latent_noise = field<double>(j, "latent_noise", where);
  c.autoencoder = recipe_of(field<Json>(j, "autoencoder", where), where);
  c.denoiser_channels = field<std::vector<int>>(j, "denoiser_channels", where);
  c.denoiser_kernel = field<int>(j, "denoiser_kernel", where), c.time_width = field<int>(j, "time_width", where);
  c.denoiser = recipe_of(field<Json>(j, "denoiser", where), where);
  c.diffusion_steps = field<int>(j, "diffusion_steps", where);
  c.beta_first = field<double>(j, "beta_first", where), c.beta_last = field<double>(j, "beta_last", where);
  c.arithmetic = arithmetic_named(field<std::string>(j, "arithmetic", where));
  c.compact = field<bool>(j, "compact", where);
  const auto positive = [&](const char *name, int value, int most) {
    if (value < 1 || value > most)
      throw InputError(where, ": field '", name, "': found ", value, ", expected 1 to ", most);
  };
  positive("latent", c.latent, 1 << 20), positive("time_width", c.time_width, 1 << 16);
  positive("autoencoder_kernel", c.autoencoder_kernel, 1023), positive("denoiser_kernel", c.denoiser_kernel, 1023);
  for (const auto *channels : {&c.autoencoder_channels, &c.denoiser_channels}) {
    positive("channels", int(channels->size()), 24);
    for (const int channel : *channels)
      positive("channels", channel, 1 << 16);
  }
  return c;
}

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

int PDiffConfig::padded(std::size_t parameters) const {
  const std::size_t multiple = std::max<std::size_t>(64, std::size_t(1) << autoencoder_channels.size());
  const std::size_t length = (parameters + multiple - 1) / multiple * multiple;
  if (length > std::size_t(1) << 30)
    throw InputError("p-diff: ", parameters, " parameters are more than its convolutions can index");
  return int(length);
}

ConvVaeShape PDiffConfig::autoencoder_shape(std::size_t parameters) const {
  return {padded(parameters), autoencoder_channels, autoencoder_kernel, latent, arithmetic, {.compact = compact}};
}

Cnn1dShape PDiffConfig::denoiser_shape() const {
  return {latent, denoiser_channels, denoiser_kernel, time_width, arithmetic};
}

void save_pdiff(const std::filesystem::path &path, const PDiff &p, const std::string &key) {
  const Models models(p.config, p.networks.parameters);
  std::vector<TensorSource> tensors;
  const auto whole = [&](const std::string &name, const std::vector<float> &values) {
    tensors.push_back({name, Dtype::f32, {std::int64_t(values.size())}, values.data()});
  };
  whole("normalizer.mean", p.normalizer.mean), whole("normalizer.std", p.normalizer.std);
  whole("latent.mean", p.latent_mean), whole("latent.std", p.latent_std);
  for_vectors(models, p, [&](const std::string &prefix, const Layout &layout, const std::vector<float> &values) {
    for (const auto &place : layout.places())
      tensors.push_back({prefix + place.name, Dtype::f32, place.shape, values.data() + place.offset});
  });
  Json about = {{"kind", kind}, {"config", json_of(p.config)}};
  put_networks(about, p.networks);
  write_safetensors(path, tensors, {{"theta", about.dump()}, {"key", key}});
}

PDiff load_pdiff(const std::filesystem::path &path) {
  const Safetensors file(path);
  const std::string where = path.string();
  const Json about = about_generator(file, kind);
  PDiff p;
  p.config = config_of(field<Json>(about, "config", where), where);
  p.networks = networks_of(about, where);
  const Models models(p.config, p.networks.parameters);
  const std::int64_t v = std::int64_t(p.networks.parameters), latent = p.config.latent;
  p.normalizer = {file.read<float>("normalizer.mean", {v}), file.read<float>("normalizer.std", {v})};
  p.latent_mean = file.read<float>("latent.mean", {latent}), p.latent_std = file.read<float>("latent.std", {latent});
  for_vectors(models, p, [&](const std::string &prefix, const Layout &layout, std::vector<float> &values) {
    for (const auto &place : layout.places()) {
      const auto part = file.read<float>(prefix + place.name, place.shape);
      values.insert(values.end(), part.begin(), part.end());
    }
  });
  return p;
}

} // namespace theta
