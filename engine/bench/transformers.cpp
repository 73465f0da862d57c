// The weight transformer and the graph transformer: whole training steps and sampling, on random tokens.
#include "cases.h"
#include "engine/diffusion/noisy_target.h"
#include "engine/generators/flow/weight_transformer.h"
#include "engine/generators/graph/graph_transformer.h"
#include "engine/memory/arena.h"
#include "engine/training/trainable.h"
#include "kernels/operations/add.h"
#include "kernels/operations/diffusion.h"
#include "kernels/operations/features.h"
#include "kernels/operations/reduce.h"
#include <fmt/core.h>

namespace theta {

namespace {

// A model, and what it does for one network.
struct Flow {
  std::function<std::unique_ptr<FlowModel<float>>()> make;
  std::vector<std::int32_t> place; // of its elements: −1 for padding
  double forward_flops;
  bool half_products;
};

struct Work {
  std::size_t size;
  int batch;
  Mode mode;
  std::vector<std::int32_t> places;
  std::unique_ptr<FlowModel<float>> model;
  Trainable weights;
  MemoryPlan plan{"bench.transformer"};
  Tensor<float> x, eps, velocity, t, loss, partials;
  Tensor<std::int32_t> place;
  std::optional<Arena> arena;
  Graph graph;

  Work(const Flow &flow, int batch_, Mode mode_)
      : size(flow.place.size()), batch(batch_), mode(mode_), places(flow.place), model(flow.make()),
        weights("transformer", model->parameters(), model->buffers(), true, {}, model->reads_narrow()) {
    weights.plan(plan);
    const std::int64_t b = batch, each = std::int64_t(size);
    const auto floats = [&](const char *name, Shape s) {
      return plan.reserve<float>(name, MemoryClass::activations, std::move(s));
    };
    x = floats("x", {b, each}), eps = floats("eps", {b, each}), velocity = floats("velocity", {b, each});
    t = floats("t", {b}), loss = floats("loss", {1}), partials = floats("partials", {std::int64_t(partial_sums)});
    place = plan.reserve<std::int32_t>("place", MemoryClass::data, {each});
    model->plan_for(plan, {batch}, mode);
    plan.place();
  }

  void bind(Stream &s) {
    arena.emplace(s.device(), plan);
    weights.initialise(s, 1, 0);
    model->upload(s);
    copy(s, place, places.data(), size * sizeof(std::int32_t));
    fill_normal<float>(s, x, batch, size, 1, {1, Purpose::test});
    clear_padding<float>(s, x, place, batch, size);
    s.synchronize();
  }

  void train(Stream &s, int i) {
    graph.run(s, [&] {
      const auto draw = std::uint32_t(i * batch);
      noisy_target(s, velocity, eps, t, x,
                   {.rows = batch,
                    .size = size,
                    .path = NoiseSchedule::logit_normal,
                    .objective = Objective::velocity,
                    .place = place},
                   1, draw, draw);
      const auto p = weights.parameters();
      const float *out = model->forward(s, p, velocity, {t});
      mean_squared_error<float>(s, loss, model->d_out(), out, eps, std::size_t(batch) * size, partials);
      model->backward(s, p);
      weights.step(s, {.lr = 1e-4, .step = i + 1, .ema_decay = 0.999}, 0);
    });
  }

  // Heun's method, as generators/flow/sample.h.
  void sample(Stream &s, int steps) {
    const std::size_t n = std::size_t(batch) * size;
    const auto p = weights.parameters();
    for (int i = 0; i < 2 * steps - 1; ++i) {
      const float *v = model->forward(s, p, x, {t});
      add_scaled<float>(s, x, x, v, 0.5 / steps, n);
    }
  }
};

// FLOPs of a forward pass for one network: every weight of a token's layers twice, and attention.
double forward_flops(const WeightTransformerShape &shape) {
  double tokens = 0, coders = 0;
  for (const TokenType &type : shape.types)
    tokens += type.count, coders += 2.0 * double(type.size()) * shape.width;
  const double d = shape.width;
  return 2 * coders + shape.layers * (2 * tokens * 12 * d * d + 4 * tokens * tokens * d + 2 * 6 * d * d);
}

Flow flow_of(const WeightTransformerShape &shape) {
  return {[shape] { return std::make_unique<WeightTransformer<float>>(shape); },
          std::vector<std::int32_t>(WeightTransformer<float>(shape).size(), 0), forward_flops(shape),
          shape.arithmetic == Arithmetic::bf16};
}

// Of perceptrons of such widths.
Flow flow_of(const std::vector<int> &widths, GraphTransformerShape shape) {
  NetworkShape network;
  network.widths = widths;
  shape.slots = graph_slots({network});
  const WeightGraph graph(network, shape.slots);
  const double d = shape.width, e = shape.edge_width, n = graph.nodes(), m = graph.edges();
  const double coders = 4 * (n * shape.slots.node_width() * d + m * shape.slots.edge_width() * e);
  const double nodes = 2 * n * (12 * d * d + 4 * e * d) + 4 * n * n * d, edges = 2 * m * e * (2 * shape.heads + 4 * e);
  return {[=] { return std::make_unique<GraphTransformer<float>>(shape, std::vector<WeightGraph>{graph}); },
          graph.place(), coders + shape.layers * (nodes + edges + 2 * d * (8 * d + 3 * e)),
          shape.arithmetic == Arithmetic::bf16};
}

BenchCase step(const std::string &name, const Flow &flow, int batch) {
  BenchCase c{name, 0, 3 * flow.forward_flops * batch, {}};
  Work rehearsal(flow, batch, Mode::train);
  c.planned_bytes = double(rehearsal.plan.device_bytes());
  c.bytes = double(rehearsal.weights.parameters_size()) * 4 * 12;
  c.half_products = flow.half_products;
  c.prepare = [=](Stream &s) -> std::function<void(int)> {
    auto work = std::make_shared<Work>(flow, batch, Mode::train);
    work->bind(s);
    return [&s, work](int i) { work->train(s, i); };
  };
  return c;
}

BenchCase sampling(const std::string &name, const Flow &flow, int batch, int steps) {
  BenchCase c{name, 0, (2.0 * steps - 1) * flow.forward_flops * batch, {}};
  Work rehearsal(flow, batch, Mode::infer);
  c.planned_bytes = double(rehearsal.plan.device_bytes());
  c.bytes = double(rehearsal.weights.parameters_size()) * 4 * (2.0 * steps - 1);
  c.half_products = flow.half_products;
  c.prepare = [=](Stream &s) -> std::function<void(int)> {
    auto work = std::make_shared<Work>(flow, batch, Mode::infer);
    work->bind(s);
    return [&s, work, steps](int) { work->sample(s, steps); };
  };
  return c;
}

Flow pieces(int tokens, int token_width, int width, int layers, int heads) {
  return flow_of({{{"pieces", tokens, token_width, false}}, width, layers, heads, 256, Arithmetic::bf16});
}

} // namespace

std::vector<BenchCase> transformer_cases(bool gpu) {
  if (gpu)
    return {step("transformer_train_d768_L12_T64", pieces(64, 512, 768, 12, 12), 512),
            step("transformer_train_d768_L12_T256", pieces(256, 512, 768, 12, 12), 128),
            step("transformer_train_d512_L6_T64", pieces(64, 512, 512, 6, 8), 512),
            step("graph_train_d512_e128_L6_784-32-32-10",
                 flow_of({784, 32, 32, 10}, {{}, 512, 128, 6, 8, 64, Arithmetic::bf16}), 64),
            sampling("sample_1024_of_7960_params_50_steps_d512_L6", pieces(26, 310, 512, 6, 8), 1024, 50)};
  const WeightTransformerShape small{{{"units", 8, 60, true}, {"biases", 1, 10, false}}, 96, 3, 4, 64};
  return {step("transformer_train_cpu_d96_L3_T9_b64", flow_of(small), 64),
          step("graph_train_cpu_d96_e32_L4_49-8-8-10_b64", flow_of({49, 8, 8, 10}, {{}, 96, 32, 4, 4, 64}), 64)};
}

} // namespace theta
