// Flows: whole training steps, as their fit makes them, and sampling, on random networks.
#include "cases.h"
#include "engine/diffusion/solve.h"
#include "engine/generators/graph/graph.h"
#include "engine/memory/arena.h"
#include "engine/training/trainable.h"
#include "kernels/operations/random.h"
#include <fmt/core.h>

namespace theta {

namespace {

// FLOPs of a forward pass for one network: every weight of a token's layers twice, and attention.
double forward_flops(const WeightTransformerShape &shape) {
  double tokens = 0, coders = 0;
  for (const TokenType &type : shape.types)
    tokens += type.count, coders += 2.0 * double(type.size()) * shape.width;
  const double d = shape.width;
  return 2 * coders + shape.layers * (2 * tokens * 12 * d * d + 4 * tokens * tokens * d + 2 * 6 * d * d);
}

// A training, and what a forward pass does for one network.
struct Flow {
  std::function<std::unique_ptr<FlowFit>(Backend)> make;
  double forward_flops;
  int batch;
  bool half_products;
};

NetworkFacts perceptron(const std::vector<int> &widths) {
  NetworkShape shape;
  shape.widths = widths;
  return {layout_of(shape).places(), shape};
}

FlowConfig pieces(int token_width, int width, int layers, int heads, int batch) {
  FlowConfig c;
  c.tokens = "chunk", c.chunk = token_width, c.width = width, c.layers = layers, c.heads = heads, c.features = 256;
  c.arithmetic = Arithmetic::bf16, c.recipe.batch = batch;
  return c;
}
NetworkFacts in_pieces(int tokens, int token_width) { return {{{"pieces", {tokens * token_width}, 0}}, {}}; }

Flow flow_of(const FlowConfig &c, const NetworkFacts &facts) {
  return {[=](Backend backend) {
            return std::make_unique<FlowFit>(c, facts, 1, 1, backend, std::optional<StreamTask>(), "bench.flow");
          },
          forward_flops(TokenCoder(c, facts).shape(c)), c.recipe.batch, c.arithmetic == Arithmetic::bf16};
}

// Of perceptrons of such widths.
Flow flow_of(const std::vector<int> &widths, const GraphConfig &c) {
  const NetworkFacts facts = perceptron(widths);
  const GraphSlots slots = graph_slots({*facts.shape});
  const WeightGraph graph(*facts.shape, slots);
  const FlowConfig &f = c.flow;
  const double d = f.width, e = c.edge_width, n = graph.nodes(), m = graph.edges();
  const double coders = 4 * (n * slots.node_width() * d + m * slots.edge_width() * e);
  const double nodes = 2 * n * (12 * d * d + 4 * e * d) + 4 * n * n * d, edges = 2 * m * e * (2 * f.heads + 4 * e);
  return {[=](Backend backend) {
            GraphTask task = graph_task(c, {facts}, {1});
            return std::make_unique<FlowFit>(c.flow, std::move(task.networks), std::move(task.model), 1, backend,
                                             std::optional<StreamTask>(), "bench.flow");
          },
          coders + f.layers * (nodes + edges + 2 * d * (8 * d + 3 * e)), f.recipe.batch,
          f.arithmetic == Arithmetic::bf16};
}

GraphConfig graph(int width, int edge_width, int layers, int heads, Arithmetic arithmetic) {
  GraphConfig c;
  c.flow.width = width, c.edge_width = edge_width, c.flow.layers = layers, c.flow.heads = heads, c.flow.features = 64;
  c.flow.arithmetic = arithmetic;
  return c;
}

BenchCase step(const std::string &name, const Flow &flow, Backend backend) {
  BenchCase c{name, 0, 3 * flow.forward_flops * flow.batch, {}};
  const auto planned = flow.make(backend);
  for (const MemoryPlan *plan : planned->plans())
    c.planned_bytes += double(plan->device_bytes());
  c.bytes = double(planned->model_parameters()) * 4 * 12;
  c.half_products = flow.half_products;
  c.prepare = [flow](Stream &s) -> std::function<void(int)> {
    std::shared_ptr<FlowFit> fit = flow.make(s.device().backend);
    return [fit, run = fit->rehearsal(s)](int i) { run(i); };
  };
  return c;
}

// A model that carries a batch of tokens from noise by Heun's method.
struct Sampling {
  std::size_t size;
  int batch;
  Solver solver;
  WeightTransformer<float> model;
  Trainable weights;
  MemoryPlan plan{"bench.sampling"};
  Tensor<float> x, next, t;
  std::optional<Arena> arena;

  Sampling(const WeightTransformerShape &shape, int batch_, int steps)
      : batch(batch_), solver(solver_of(SolverKind::heun, NoiseSchedule::logit_normal, Objective::velocity, steps, 0)),
        model(shape), weights("transformer", model.parameters(), model.buffers(), false, {}, model.reads_narrow()) {
    size = model.size();
    weights.plan(plan);
    const Shape tokens{batch, std::int64_t(size)};
    x = plan.reserve<float>("x", MemoryClass::activations, tokens);
    next = plan.reserve<float>("next", MemoryClass::activations, tokens);
    t = plan.reserve<float>("t", MemoryClass::activations, {batch});
    model.plan(plan, batch, Mode::infer);
    plan.place();
  }

  void bind(Stream &s) {
    arena.emplace(s.device(), plan);
    weights.initialise(s, 1, 0);
    fill_normal<float>(s, x, batch, size, 1, {1, Purpose::test});
    s.synchronize();
  }

  void run(Stream &s) {
    const auto p = weights.parameters();
    solve(
        s, solver, x.get(), next.get(), batch, size, {1, Purpose::sample_noise},
        [&](const float *z, double at) {
          const std::vector<float> times(static_cast<std::size_t>(batch), static_cast<float>(at));
          copy(s, t, times.data(), times.size() * sizeof(float));
          return model.forward(s, p, z, {t});
        },
        [](const SolverStep &, const float *, const float *) {}, [](float *) {});
  }
};

BenchCase sampling(const std::string &name, const FlowConfig &config, const NetworkFacts &facts, int batch, int steps) {
  const WeightTransformerShape shape = TokenCoder(config, facts).shape(config);
  const Sampling rehearsal(shape, batch, steps);
  BenchCase c{name, 0, (2.0 * steps - 1) * forward_flops(shape) * batch, {}};
  c.planned_bytes = double(rehearsal.plan.device_bytes());
  c.bytes = double(rehearsal.weights.parameters_size()) * 4 * (2.0 * steps - 1);
  c.half_products = config.arithmetic == Arithmetic::bf16;
  c.prepare = [=](Stream &s) -> std::function<void(int)> {
    auto work = std::make_shared<Sampling>(shape, batch, steps);
    work->bind(s);
    return [&s, work](int) { work->run(s); };
  };
  return c;
}

} // namespace

std::vector<BenchCase> transformer_cases(bool gpu) {
  if (gpu) {
    const auto on = Backend::cuda;
    return {step("transformer_train_d768_L12_T64", flow_of(pieces(512, 768, 12, 12, 512), in_pieces(64, 512)), on),
            step("transformer_train_d768_L12_T256", flow_of(pieces(512, 768, 12, 12, 128), in_pieces(256, 512)), on),
            step("transformer_train_d512_L6_T64", flow_of(pieces(512, 512, 6, 8, 512), in_pieces(64, 512)), on),
            step("graph_train_d512_e128_L6_784-32-32-10",
                 flow_of({784, 32, 32, 10}, graph(512, 128, 6, 8, Arithmetic::bf16)), on),
            sampling("sample_1024_of_7960_params_50_steps_d512_L6", pieces(310, 512, 6, 8, 1024), in_pieces(26, 310),
                     1024, 50)};
  }
  FlowConfig half;
  half.arithmetic = Arithmetic::bf16;
  return {step("transformer_train_cpu_d96_L3_T9_b64", flow_of(FlowConfig{}, perceptron({49, 8, 10})), Backend::cpu),
          step("transformer_train_cpu_d96_L3_T9_b64_bf16", flow_of(half, perceptron({49, 8, 10})), Backend::cpu),
          step("graph_train_cpu_d96_e32_L4_49-8-8-10_b64",
               flow_of({49, 8, 8, 10}, graph(96, 32, 4, 4, Arithmetic::fp32)), Backend::cpu)};
}

} // namespace theta
