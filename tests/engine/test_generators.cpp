#include "bound.h"
#include "data/zoo_writer.h"
#include "engine/generators/flow/fit.h"
#include "engine/generators/pdiff/cnn1d.h"
#include "engine/generators/pdiff/conv_vae.h"
#include "kernels/operations/reduce.h"
#include "tests/scratch.h"
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

// One training step of the autoencoder: loss against `target`, gradients into `vectors`.
template <class T>
std::pair<T, std::vector<T>> vae_step(Stream &s, ConvVae<T> &vae, const Vectors<T> &vectors, const std::vector<T> &v,
                                      const std::vector<T> &noise, const std::vector<T> &target) {
  const Buffer<T> input(s, v), latent_noise(s, noise), clean(s, target), loss(s, std::size_t(1)),
      workspace(s, partial_sums);
  const auto parameters = vectors.parameters(vae.early());
  const T *out = vae.forward(s, parameters, input, latent_noise);
  const auto output = to_host(s, out, v.size());
  mean_squared_error<T>(s, loss, vae.d_out(), out, clean, v.size(), workspace);
  vae.backward(s, parameters, input);
  return {loss.host()[0], output};
}

} // namespace

TEST_CASE("conv_vae agrees with PyTorch: output, loss, every gradient, running statistics") {
  const Golden golden("pdiff_vae");
  // Compact storage is exact in double; in float it is bf16, and held against this below.
  for (const auto &[keeping, tile] :
       {std::pair{Keeping{}, 0}, {Keeping{true, 2}, 0}, {Keeping{true, 0}, 0}, {Keeping{}, 32}})
    in_every_precision([&]<class T>(T, Stream &s) {
      if (keeping.compact && std::is_same_v<T, float>)
        return;
      CAPTURE(keeping.compact);
      CAPTURE(tile);
      const int batch = golden.side("v", 0), length = golden.side("v", 1);
      ConvVae<T> vae({length, {4, 6, 8, 8, 4}, 7, 8, Arithmetic::fp32, keeping, tile});
      const Vectors<T> vectors(s, flat<T>(golden, vae.parameters(), "param."), cast<T>(vae.buffers().constants()));
      MemoryPlan plan("test");
      vae.plan(plan, s.device().backend, ConvVae<T>::Use::train, batch);
      plan.place();
      const Arena arena(s.device(), plan);
      auto v = golden.get<T>("v");
      const auto clean = v, noise = golden.get<T>("input_noise");
      for (std::size_t i = 0; i < v.size(); ++i)
        v[i] += noise[i];
      const auto [loss, output] = vae_step<T>(s, vae, vectors, v, golden.get<T>("latent_noise"), clean);
      // Thirteen layers, each within golden_tolerance of its own golden in float, on the way to a gradient.
      const double tolerance = (std::is_same_v<T, double> ? 1 : 10) * golden_tolerance<T>;
      CHECK(double(loss) == doctest::Approx(golden.get<T>("loss")[0]).epsilon(golden_tolerance<T>));
      CHECK(relative_error(output, golden.get<T>("output")) <= tolerance);
      const auto gradient = vectors.all_gradients(vae.early());
      // The bias before a batch norm has gradient zero; what remains is rounding, so it is held against the weights'
      // scale.
      for (const auto &place : vae.parameters().places()) {
        CAPTURE(place.name);
        const auto expected = golden.get<T>("grad." + place.name);
        const std::vector<T> found(gradient.begin() + std::ptrdiff_t(place.offset),
                                   gradient.begin() + std::ptrdiff_t(place.offset + elements_of(place)));
        const bool before_norm = place.name.ends_with(".0.bias");
        if (before_norm)
          for (const T g : found)
            CHECK(std::abs(g) <= tolerance);
        else
          CHECK(relative_error(found, expected) <= tolerance);
      }
      check_tensors(vectors.buffer.host(), golden, vae.buffers(), "buffer_after.", tolerance);
    });
}

namespace {

// A step on random numbers: planned bytes, loss and gradient.
struct StepResult {
  std::size_t bytes;
  float loss;
  std::vector<float> gradient;
};
StepResult random_step(Stream &s, const ConvVaeShape &shape) {
  const int batch = 4;
  ConvVae<float> vae(shape);
  const Vectors<float> vectors(s, vae.parameters().initial_values(1, 0), vae.buffers().constants());
  MemoryPlan plan("test");
  vae.plan(plan, s.device().backend, ConvVae<float>::Use::train, batch);
  plan.place();
  const Arena arena(s.device(), plan);
  const auto v = random_values<float>(std::size_t(batch * shape.length), 1),
             noise = random_values<float>(std::size_t(batch * shape.latent), 2, 0.1);
  const float loss = vae_step<float>(s, vae, vectors, v, noise, v).first;
  return {plan.device_bytes(), loss, vectors.all_gradients(vae.early())};
}

} // namespace

TEST_CASE("conv_vae, compact: the gradient of bf16 activations, in less memory") {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    ConvVaeShape shape{512, {8, 12, 4}, 7, 8};
    const StepResult kept = random_step(s, shape);
    shape.keeping = {true, 1};
    const StepResult compact = random_step(s, shape);
    // Each of some eight tensors on the way to a gradient is stored to 2^-8, and to about half of that in the norm.
    CHECK(std::abs(compact.loss - kept.loss) <= 8 * 0x1p-9 * kept.loss);
    CHECK(norm_error(compact.gradient, kept.gradient) <= 8 * 0x1p-9);
    CHECK(compact.bytes < kept.bytes * 2 / 3);
    // In tiles: sums in another order, through some thirteen layers.
    shape.keeping = {}, shape.tile = 64;
    const StepResult tiled = random_step(s, shape);
    CHECK(std::abs(tiled.loss - kept.loss) <= 1e-5 * kept.loss);
    CHECK(norm_error(tiled.gradient, kept.gradient) <= 1e-4);
    CHECK(tiled.bytes < kept.bytes * 2 / 3);
    shape.keeping.compact = true; // its dense layers' gradients are early then, and nothing else
    const StepResult both = random_step(s, shape);
    CHECK(norm_error(both.gradient, tiled.gradient) <= 1e-6);
  }
}

TEST_CASE("conv_vae in bf16 differs from fp32 by the rounding of its products") {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    ConvVaeShape shape{128, {16, 24, 16}, 7, 8};
    const StepResult exact = random_step(s, shape);
    shape.arithmetic = Arithmetic::bf16;
    const StepResult found = random_step(s, shape);
    // Each product is off by 2^-8 of its norm (as conv1d's test holds it); a gradient has passed some ten of them.
    CHECK(std::abs(found.loss - exact.loss) <= 10 * 0x1p-8 * exact.loss);
    CHECK(norm_error(found.gradient, exact.gradient) <= 10 * 0x1p-8);
  }
}

TEST_CASE("cnn1d agrees with PyTorch: output, loss, every gradient, running statistics") {
  const Golden golden("pdiff_denoiser");
  in_every_precision([&]<class T>(T, Stream &s) {
    const int batch = golden.side("z", 0), latent = golden.side("z", 1);
    Cnn1d<T> denoiser({latent, {1, 4, 6, 8, 12, 8, 6, 4, 1}, 7, golden.side("time_embedding", 1)});
    const Vectors<T> vectors(s, flat<T>(golden, denoiser.parameters(), "param."),
                             cast<T>(denoiser.buffers().constants()));
    MemoryPlan plan("test");
    denoiser.plan(plan, s.device().backend, Mode::train, batch);
    plan.place();
    const Arena arena(s.device(), plan);
    const Buffer<T> z(s, golden.get<T>("z")), e(s, golden.get<T>("time_embedding")), eps(s, golden.get<T>("eps")),
        loss(s, std::size_t(1)), workspace(s, partial_sums);
    const T *out = denoiser.forward(s, vectors.parameters(), z, e, Mode::train);
    const double tolerance = (std::is_same_v<T, double> ? 1 : 10) * golden_tolerance<T>;
    CHECK(relative_error(to_host(s, out, z.size()), golden.get<T>("output")) <= tolerance);
    mean_squared_error<T>(s, loss, denoiser.d_out(), out, eps, z.size(), workspace);
    CHECK(double(loss.host()[0]) == doctest::Approx(golden.get<T>("loss")[0]).epsilon(golden_tolerance<T>));
    denoiser.backward(s, vectors.parameters(), e);
    const auto gradient = vectors.gradient.host();
    for (const auto &place : denoiser.parameters().places()) {
      CAPTURE(place.name);
      const std::vector<T> found(gradient.begin() + std::ptrdiff_t(place.offset),
                                 gradient.begin() + std::ptrdiff_t(place.offset + elements_of(place)));
      if (place.name.starts_with("conv.") && place.name.ends_with(".bias") && place.name != "conv.7.bias")
        for (const T g : found) // before a batch norm: zero but for rounding
          CHECK(std::abs(g) <= tolerance);
      else
        CHECK(relative_error(found, golden.get<T>("grad." + place.name)) <= tolerance);
    }
    check_tensors(vectors.buffer.host(), golden, denoiser.buffers(), "buffer_after.", tolerance);
  });
}

TEST_CASE("conv_vae: gradients agree with central differences in double, on other shapes") {
  Stream s{Device{}};
  for (const ConvVaeShape &shape : {ConvVaeShape{24, {3, 2}, 5, 3}, ConvVaeShape{40, {2, 5, 3}, 7, 4}}) {
    const int batch = 3;
    ConvVae<double> vae(shape);
    const auto start = cast<double>(vae.parameters().initial_values(1, 0)),
               buffers = cast<double>(vae.buffers().constants());
    const auto v = random_values<double>(std::size_t(batch * shape.length), 1),
               noise = random_values<double>(std::size_t(batch * shape.latent), 2, 0.1);
    MemoryPlan plan("test");
    vae.plan(plan, Backend::cpu, ConvVae<double>::Use::train, batch);
    plan.place();
    const Arena arena(Device{}, plan);
    const Vectors<double> vectors(s, start, buffers);
    vae_step<double>(s, vae, vectors, v, noise, v);
    check_gradient(start, vectors.gradient.host(), [&](const std::vector<double> &values) {
      return vae_step<double>(s, vae, Vectors<double>(s, values, buffers), v, noise, v).first;
    });
  }
}

TEST_CASE("cnn1d: gradients agree with central differences in double, on other shapes") {
  Stream s{Device{}};
  for (const Cnn1dShape &shape : {Cnn1dShape{9, {1, 3, 1}, 3, 4}, Cnn1dShape{12, {1, 2, 4, 2, 1}, 5, 6}}) {
    const int batch = 4;
    const std::size_t n = std::size_t(batch * shape.latent);
    Cnn1d<double> denoiser(shape);
    MemoryPlan plan("test");
    denoiser.plan(plan, Backend::cpu, Mode::train, batch);
    plan.place();
    const Arena arena(Device{}, plan);
    const auto start = cast<double>(denoiser.parameters().initial_values(1, 0)),
               buffers = cast<double>(denoiser.buffers().constants());
    const Buffer<double> z(s, random_values<double>(n, 1)),
        e(s, random_values<double>(std::size_t(batch * shape.time_width), 2)), eps(s, random_values<double>(n, 3)),
        loss(s, std::size_t(1)), workspace(s, partial_sums);
    const auto run = [&](const Vectors<double> &vectors) {
      const double *out = denoiser.forward(s, vectors.parameters(), z, e, Mode::train);
      mean_squared_error<double>(s, loss, denoiser.d_out(), out, eps, n, workspace);
      return loss.host()[0];
    };
    const Vectors<double> vectors(s, start, buffers);
    run(vectors);
    denoiser.backward(s, vectors.parameters(), e);
    check_gradient(start, vectors.gradient.host(),
                   [&](const std::vector<double> &values) { return run(Vectors<double>(s, values, buffers)); });
  }
}

TEST_CASE("generators: inference uses running statistics, and needs less memory than training") {
  Stream s{Device{}};
  const ConvVaeShape shape{64, {4, 6}, 7, 8};
  const auto bytes = [&](ConvVae<float>::Use use) {
    MemoryPlan plan("test");
    ConvVae<float>(shape).plan(plan, Backend::cpu, use, 5);
    plan.place();
    return plan.device_bytes();
  };
  const auto training = bytes(ConvVae<float>::Use::train), decoding = bytes(ConvVae<float>::Use::decode);
  CHECK(decoding < training);
  ConvVae<float> vae(shape);
  const Vectors<float> vectors(s, vae.parameters().initial_values(1, 0), vae.buffers().constants());
  MemoryPlan plan("test");
  vae.plan(plan, Backend::cpu, ConvVae<float>::Use::decode, 5);
  plan.place();
  const Arena arena(Device{}, plan);
  CHECK_THROWS_WITH_AS(vae.plan(plan, Backend::cpu, ConvVae<float>::Use::train, 5), "vae: is planned already", Error);
  const auto z = random_values<float>(5 * 8, 1);
  const Buffer<float> all(s, z), last(s, std::vector<float>(z.end() - 8, z.end()));
  const auto together = to_host(s, vae.decode(s, vectors.parameters(), all), 5 * 64);
  {
    ConvVae<float> tiled({.length = 64, .channels = {4, 6}, .kernel = 7, .latent = 8, .tile = 16});
    MemoryPlan plan("test");
    tiled.plan(plan, Backend::cpu, ConvVae<float>::Use::decode, 5);
    plan.place();
    const Arena arena(Device{}, plan);
    CHECK(relative_error(to_host(s, tiled.decode(s, vectors.parameters(), all), 5 * 64), together) < 1e-5);
  }
  ConvVae<float> one({64, {4, 6}, 7, 8});
  MemoryPlan plan_one("test");
  one.plan(plan_one, Backend::cpu, ConvVae<float>::Use::decode, 1);
  plan_one.place();
  const Arena arena_one(Device{}, plan_one);
  const auto alone = to_host(s, one.decode(s, vectors.parameters(), last), 64);
  CHECK(relative_error(std::vector<float>(together.end() - 64, together.end()), alone) < 1e-5);
}

TEST_CASE("generators refuse shapes that cannot be") {
  CHECK_THROWS_AS(ConvVae<float>({30, {4, 6}, 7, 8}), InputError);
  CHECK_THROWS_AS(Cnn1d<float>({8, {1, 4, 6, 1}, 7, 16}), InputError);
  CHECK_THROWS_AS(Cnn1d<float>({8, {1, 4, 1}, 7, 15}), InputError);
}

TEST_CASE("flows: elements count by their effect on the loss, in units of their deviations") {
  const Scratch folder;
  const NetworkShape shape{{5, 4, 3}, Activation::relu};
  const Layout layout = layout_of(shape);
  const std::size_t v = layout.size(), n = 12;
  ZooWriter writer(folder.path() / "zoo", {layout.places(), v, Dtype::f32, {}, "{}"}, 100);
  const auto theta = random_values<float>(n * v, 3);
  for (std::size_t k = 0; k < n; ++k)
    writer.append(theta.data() + k * v, {});
  writer.finish();
  const ZooReader zoo(folder.path() / "zoo");
  std::vector<std::size_t> rows(n);
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  int run = 0;
  std::size_t asked_for = 0;
  const auto learned = [&](WeighBy by, NormalizerKind normalizer, const std::function<double(std::size_t)> &square) {
    FlowConfig c;
    c.width = 8, c.layers = 1, c.heads = 2, c.features = 8, c.warmup = 1, c.weigh_by = by, c.normalizer = normalizer;
    c.balance = false, c.recipe.steps = 30, c.recipe.batch = 4, c.recipe.lr = 1e-2;
    const auto effect = [&](std::size_t of, const std::vector<float> &networks) {
      CHECK(of == 0);
      asked_for = networks.size() / v;
      CHECK(std::equal(networks.begin(), networks.end(), theta.begin())); // of the first, as they are learned
      std::vector<double> squares(v);
      for (std::size_t i = 0; i < v; ++i)
        squares[i] = square(i);
      return squares;
    };
    Journal journal;
    return FlowFit(c, {layout.places(), shape}, n, 5, Backend::cpu, {}, "fit.transformer")
        .run(Device{}, {{zoo, rows}}, folder.path() / ("state" + std::to_string(run++)), "key", journal, {}, effect)
        .weights;
  };
  const auto alike = [](std::size_t) { return 0.3; };
  // All of one deviation and one effect: as if nothing were weighed.
  const auto plain = learned(WeighBy::elements, NormalizerKind::global, alike);
  CHECK(relative_error(learned(WeighBy::effect, NormalizerKind::global, alike), plain) <= 1e-6);
  CHECK(asked_for == n);
  // A scale of all effects is none; those of one tensor alone are.
  const auto of_biases = [&](double scale) {
    return learned(WeighBy::effect, NormalizerKind::global,
                   [&, scale](std::size_t i) { return scale * (i >= v - 3 ? 100 : 1); });
  };
  CHECK(relative_error(of_biases(7), of_biases(1)) <= 1e-5);
  CHECK(relative_error(of_biases(1), plain) >= 1e-3);
}
