// Random configurations of every generator: what is planned is what an arena takes, to the byte; a byte less is
// refused. And random shapes of their models: what saves memory changes no gradient.
#include "bound.h"
#include "engine/generators/flow/weight_transformer.h"
#include "engine/generators/graph/graph_transformer.h"
#include "engine/generators/pdiff/conv_vae.h"
#include "engine/pipeline/stages/stage.h"
#include "engine/training/streamed_store.h"

using namespace theta;
using namespace theta::test;

namespace {

// Whole numbers from 0 to n−1, drawn one after another.
class Below {
public:
  Below(std::uint64_t seed, int trial) : seed_(seed), trial_(std::uint32_t(trial)) {}
  int operator()(int n) const { return int(philox(seed_, Purpose::test, trial_, draws_++).word[0] % std::uint32_t(n)); }

private:
  std::uint64_t seed_;
  std::uint32_t trial_;
  mutable std::uint32_t draws_ = 0;
};

} // namespace

TEST_CASE("memory: of random configurations, plans are what arenas take, and budgets what they refuse") {
  for (int trial = 0; trial < 40; ++trial) {
    const Below below(77, trial);
    const auto either = [&](const char *key) { return std::string(key) + (below(2) ? "=true" : "=false"); };
    std::vector<std::string> set{"network.widths=[196," + std::to_string(1 + below(60)) + ",10]",
                                 "sample.batch=" + std::to_string(1 + below(20)),
                                 "eval.wave=" + std::to_string(1 + below(100))};
    switch (below(4)) {
    case 0:
      set.insert(set.end(), {either("fit.compact"), "fit.stream=" + std::string(name_of(Streaming(below(3)))),
                             "fit.tile=" + std::to_string(below(3) * 500),
                             "fit.autoencoder.batch=" + std::to_string(2 + below(60)),
                             "fit.latent=" + std::to_string(1 + below(90))});
      break;
    case 1:
      set.insert(set.end(), {"fit.generator=transformer", either("fit.transformer.recompute"),
                             "fit.transformer.arithmetic=" + std::string(below(2) ? "bf16" : "fp32"),
                             "fit.transformer.batch=" + std::to_string(2 * (1 + below(30))),
                             below(2) ? "fit.transformer.fused=true"
                                      : "fit.transformer.accumulate=" + std::to_string(1 + below(2))});
      break;
    case 2:
      set.insert(set.end(), {"fit.generator=subspace", "fit.subspace.directions=" + std::to_string(below(50)),
                             either("fit.subspace.align"), "fit.subspace.width=" + std::to_string(8 * (1 + below(9)))});
      break;
    default:
      set.insert(set.end(), {"fit.generator=windows", "fit.windows.chunk=" + std::to_string(1 + below(3000)),
                             "fit.windows.window=" + std::to_string(1 + below(20)), either("fit.windows.recompute"),
                             "fit.windows.state=" + std::to_string(1 + below(99))});
    }
    std::string said;
    for (const auto &one : set)
      said += one + " ";
    CAPTURE(said);
    const auto plans = plans_of(load_config("runs/demo.toml", set), Backend::cpu);
    CHECK(plans.size() >= 4);
    for (const MemoryPlan &plan : plans) {
      CAPTURE(plan.name());
      {
        const Arena arena(Device{}, plan);
        CHECK(arena.device_bytes() == plan.device_bytes());
        CHECK(arena.host_bytes() == plan.host_bytes());
      }
      const std::size_t bytes = plan.bytes_on(Backend::cpu);
      check_budget(plan, Backend::cpu, bytes);
      CHECK_THROWS_AS(check_budget(plan, Backend::cpu, bytes - 1), InputError);
    }
  }
}

namespace {

// What a training step of a model gives: its output, and all gradients.
template <class T> struct Step { std::vector<T> out, gradient; };

// Of a model that denoises `batch` networks of `elements` each.
template <class T>
Step<T> step_of(Stream &s, FlowModel<T> &model, std::size_t elements, int batch, std::uint64_t seed,
                std::size_t &bytes) {
  MemoryPlan plan("test");
  model.plan_for(plan, {batch}, Mode::train);
  plan.place();
  bytes = plan.device_bytes();
  const Arena arena(s.device(), plan);
  model.upload(s);
  const std::size_t n = std::size_t(batch) * elements;
  Vectors<T> vectors(s, random_values<T>(model.parameters().size(), seed, 0.3), {T(0)});
  const Buffer<T> x(s, random_values<T>(n, seed + 1)), t(s, random_values<T>(std::size_t(batch), seed + 2));
  const auto p = vectors.parameters(model.early());
  const auto out = to_host(s, model.forward(s, p, x, {.time = t}), n);
  const auto d = random_values<T>(n, seed + 3);
  copy(s, model.d_out(), d.data(), n * sizeof(T));
  model.backward(s, p);
  return {out, vectors.all_gradients(model.early())};
}

template <class T>
Step<T> step_of(Stream &s, const WeightTransformerShape &shape, int batch, std::uint64_t seed, std::size_t &bytes) {
  WeightTransformer<T> model(shape);
  return step_of<T>(s, model, model.size(), batch, seed, bytes);
}

// The autoencoder's, all its tensors in the order of one that keeps them; streamed ones from `values`, by name.
template <class T> Step<T> step_of(Stream &s, const ConvVaeShape &shape, int batch, std::uint64_t seed) {
  auto kept_shape = shape;
  kept_shape.stream = false;
  const Layout whole = ConvVae<T>(kept_shape).parameters();
  const auto values = random_values<T>(whole.size(), seed, 0.3);
  ConvVae<T> vae(shape);
  std::vector<T> own(vae.parameters().size());
  for (const TensorPlace &place : vae.parameters().places())
    std::copy_n(values.begin() + std::ptrdiff_t(whole[place.name].offset), elements_of(place),
                own.begin() + std::ptrdiff_t(place.offset));
  std::map<std::string, std::vector<T>> streamed; // gradients
  MemoryPlan plan("test");
  vae.plan(plan, s.device().backend, ConvVae<T>::Use::train, batch);
  plan.place();
  vae.stream_from([&](std::size_t tensor) {
    const auto &outside = vae.parameters().outside()[tensor];
    const std::size_t at = whole[outside.name].offset;
    return StreamedLinear::Weights{
        [&values, at](std::size_t first, std::size_t n, float *to) {
          std::copy_n(values.begin() + std::ptrdiff_t(at + first), n, to);
        },
        [](std::size_t, std::size_t n, float *m, float *v) { std::fill_n(m, n, 0.0f), std::fill_n(v, n, 0.0f); },
        [&, name = outside.name, n_all = outside.elements()](std::size_t first, std::size_t n, const float *gradient,
                                                             const float *, const float *) {
          auto &to = streamed[name];
          to.resize(n_all);
          std::copy_n(gradient, n, to.begin() + std::ptrdiff_t(first));
        }};
  });
  const Arena arena(s.device(), plan);
  const std::size_t n = std::size_t(batch) * std::size_t(shape.length);
  Vectors<T> vectors(s, own, cast<T>(vae.buffers().constants()));
  const Buffer<T> v(s, random_values<T>(n, seed + 1)),
      noise(s, random_values<T>(std::size_t(batch * shape.latent), seed + 2, 0.1));
  const auto p = vectors.parameters(vae.early());
  const auto out = to_host(s, vae.forward(s, p, v, noise), n);
  const auto d = random_values<T>(n, seed + 3);
  copy(s, vae.d_out(), d.data(), n * sizeof(T));
  vae.backward(s, p, v, [&](float *value, float *, float *, float *gradient, std::size_t count) {
    copy(s, value, gradient, count * sizeof(float)); // goes back in its place
  });
  const auto gradient = vectors.all_gradients(vae.early());
  Step<T> step{out, std::vector<T>(whole.size())};
  for (const TensorPlace &place : vae.parameters().places())
    std::copy_n(gradient.begin() + std::ptrdiff_t(place.offset), elements_of(place),
                step.gradient.begin() + std::ptrdiff_t(whole[place.name].offset));
  for (const auto &[name, of] : streamed)
    std::copy(of.begin(), of.end(), step.gradient.begin() + std::ptrdiff_t(whole[name].offset));
  return step;
}

} // namespace

TEST_CASE("memory: of random transformers, recomputed and fused, gradients are the plain ones, bit for bit") {
  Stream s{Device{}};
  for (int trial = 0; trial < 24; ++trial) {
    const Below below(78, trial);
    const int heads = 1 + below(3);
    WeightTransformerShape shape{{}, heads * 2 * (1 + below(4)), 1 + below(4), heads, 4 + 2 * below(4)};
    for (int types = 1 + below(3); types > 0; --types)
      shape.types.push_back({"t", 1 + below(5), 1 + below(9), below(2) == 1});
    shape.way = below(2) ? ConditionWay::modulation : ConditionWay::tokens;
    shape.qk_norm = below(2), shape.places = below(2) ? PlaceKind::learned : PlaceKind::sinusoidal;
    CAPTURE(trial);
    const int batch = 1 + below(5);
    std::size_t plain_bytes = 0, bytes = 0;
    const auto plain = step_of<float>(s, shape, batch, std::uint64_t(trial), plain_bytes);
    auto saving = shape;
    saving.recompute = true;
    const auto recomputed = step_of<float>(s, saving, batch, std::uint64_t(trial), bytes);
    CHECK((recomputed.out == plain.out && recomputed.gradient == plain.gradient));
    CHECK((bytes < plain_bytes || shape.layers == 1));
    saving.fused = true;
    const auto both = step_of<float>(s, saving, batch, std::uint64_t(trial), bytes);
    CHECK((both.out == plain.out && both.gradient == plain.gradient));
  }
}

TEST_CASE("memory: of random graph transformers, recomputed and fused gradients are the plain ones, bit for bit") {
  Stream s{Device{}};
  for (int trial = 0; trial < 16; ++trial) {
    const Below below(80, trial);
    NetworkShape network;
    network.widths = {1 + below(6)};
    for (int hidden = 1 + below(3); hidden > 0; --hidden)
      network.widths.push_back(1 + below(5));
    network.widths.push_back(1 + below(4));
    const int heads = 1 + below(3);
    GraphTransformerShape shape{graph_slots({network}), heads * 2 * (1 + below(4)), 1 + below(9), 1 + below(3), heads,
                                4 + 2 * below(4)};
    CAPTURE(trial);
    const int batch = 1 + below(5);
    const auto step = [&](std::size_t &bytes) {
      const WeightGraph graph(network, shape.slots);
      GraphTransformer<float> model(shape, {graph});
      return step_of<float>(s, model, graph.size(), batch, std::uint64_t(trial), bytes);
    };
    std::size_t plain_bytes = 0, bytes = 0;
    const auto plain = step(plain_bytes);
    shape.recompute = true;
    const auto recomputed = step(bytes);
    CHECK((recomputed.out == plain.out && recomputed.gradient == plain.gradient));
    CHECK((bytes < plain_bytes || shape.layers == 1));
    shape.fused = true;
    const auto both = step(bytes);
    CHECK((both.out == plain.out && both.gradient == plain.gradient));
  }
}

TEST_CASE("memory: of random autoencoders, streamed gradients are the plain ones bit for bit, tiled ones to rounding") {
  Stream s{Device{}};
  for (int trial = 0; trial < 12; ++trial) {
    const Below below(79, trial);
    ConvVaeShape shape;
    shape.channels.clear();
    for (int levels = 2 + below(3); levels > 0; --levels)
      shape.channels.push_back(1 + below(9));
    shape.kernel = 3 + 2 * below(3), shape.latent = 1 + below(12);
    shape.length = (1 + below(20)) << shape.channels.size();
    CAPTURE(trial);
    const int batch = 2 + below(4);
    const auto plain = step_of<float>(s, shape, batch, std::uint64_t(trial));
    auto saving = shape;
    saving.stream = true;
    const auto streamed = step_of<float>(s, saving, batch, std::uint64_t(trial));
    CHECK((streamed.out == plain.out && streamed.gradient == plain.gradient));
    saving = shape, saving.tile = 1 + below(2 * shape.length);
    CAPTURE(saving.tile);
    const auto whole = step_of<double>(s, shape, batch, std::uint64_t(trial)),
               tiled = step_of<double>(s, saving, batch, std::uint64_t(trial));
    // Sums in another order, through up to ten layers and norms over as few as two elements.
    CHECK(norm_error(tiled.out, whole.out) <= 1e-10);
    CHECK(norm_error(tiled.gradient, whole.gradient) <= 1e-10);
  }
}
