// The suite that judges groups: its figures against numbers from outside and brute force, and its verdicts on groups
// that are known to be copies, averages, combinations, or honest.
#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "engine/analysis/agreement.h"
#include "engine/analysis/curvature.h"
#include "engine/analysis/hull.h"
#include "engine/analysis/quality.h"
#include "engine/analysis/verdict.h"
#include "engine/networks/cnn.h"
#include "engine/pipeline/configuration/source.h"
#include "engine/tasks/eval_file.h"
#include "engine/tasks/images/suite.h"
#include "engine/weights/principal.h"
#include "engine/weights/symmetry.h"
#include "network_sets.h"
#include "small_data.h"
#include "tests/check.h"
#include <algorithm>
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

double squared(const float *a, const float *b, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    sum += std::pow(double(a[i]) - double(b[i]), 2);
  return sum;
}

// The least distance over all orders of the units of every group.
double by_brute_force(std::vector<float> theta, const std::vector<float> &reference, const NetworkShape &shape) {
  const auto groups = unit_elements(shape);
  double best = 1e30;
  std::vector<std::vector<int>> order;
  for (const auto &group : groups) {
    order.emplace_back(group.units);
    std::iota(order.back().begin(), order.back().end(), 0);
  }
  for (;;) {
    auto moved = theta;
    for (std::size_t g = 0; g < groups.size(); ++g)
      permute(moved.data(), groups[g], order[g]);
    best = std::min(best, squared(moved.data(), reference.data(), moved.size()));
    std::size_t g = 0;
    while (g < groups.size() && !std::next_permutation(order[g].begin(), order[g].end()))
      ++g;
    if (g == groups.size())
      return std::sqrt(best);
  }
}

} // namespace

TEST_CASE("compare: calibration error as its golden") {
  const Golden golden("calibration");
  const auto p = golden.get<float>("probabilities");
  CHECK(expected_calibration_error(p, golden.labels("label"), 10) ==
        doctest::Approx(golden.get<double>("ece_15")[0]).epsilon(1e-6));
}

TEST_CASE("compare: Hessian products, trace and eigenvalues as their golden") {
  const Golden golden("hessian_mlp");
  LossGradient gradient({{9, 5, 4}, Activation::tanh}, 12);
  gradient.start(golden.get<double>("x"), golden.labels("label"));
  const auto theta = golden.get<double>("theta"), vector = golden.get<double>("vector");
  const std::size_t v = gradient.parameters();
  REQUIRE(theta.size() == v);
  CHECK(relative_error(gradient.hessian_times(theta, vector), golden.get<double>("hessian_vector")) <= 1e-6);
  const Product product = [&](const std::vector<double> &x) { return gradient.hessian_times(theta, x); };
  double trace = 0;
  for (std::size_t i = 0; i < v; ++i) {
    std::vector<double> unit(v, 0);
    unit[i] = 1;
    trace += product(unit)[i];
  }
  const double expected = golden.get<double>("trace")[0];
  CHECK(trace == doctest::Approx(expected).epsilon(1e-6));
  const auto estimate = hutchinson_trace(product, v, 400, 1, 0);
  CHECK(std::abs(estimate.trace - expected) < 4 * estimate.error);
  CHECK(estimate.error < 0.1 * expected); // of 400 probes
  const auto eigenvalues = golden.get<double>("eigenvalues");
  const Extremes whole = lanczos_extremes(product, v, int(v), 1, 0), some = lanczos_extremes(product, v, 25, 1, 0);
  CHECK(whole.largest == doctest::Approx(eigenvalues.back()).epsilon(1e-6));
  CHECK(whole.least == doctest::Approx(eigenvalues.front()).epsilon(1e-5)); // near zero: 1e-6 of the largest
  CHECK(some.largest == doctest::Approx(eigenvalues.back()).epsilon(1e-6));
}

TEST_CASE("compare: nearest by bounds and assignments is nearest by all assignments") {
  NetworkShape cnn{{3}, Activation::relu, Initialisation::pytorch, network_kind_named("cnn")};
  cnn.own = CnnSettings{7, 1, {{4, 3, 2}}};
  for (const NetworkShape &shape : {NetworkShape{{6, 5, 3}, Activation::relu},
                                    {{4, 3, 2}, Activation::tanh},
                                    cnn,
                                    {{5, 3, 4, 2}, Activation::relu}}) {
    CAPTURE(layout_of(shape).size());
    const std::size_t v = layout_of(shape).size(), n = 37, m = 530; // more than a block of references, and a part
    const auto group = random_values<float>(n * v, 1, 0.5);
    auto references = random_values<float>(m * v, 2, 0.5);
    references[7 * v] = NAN;   // is nobody's neighbour,
    references[9 * v] = 1e20f; // nor whose squares overflow
    const AssignedDistance distance(shape, AssignedDistance::usual_starts, 0);
    const auto all = distance.pairs(group, references);
    const auto found = distance.nearest(set_of(group, n), set_of(references, m), 3,
                                        [](std::size_t i, std::size_t j) { return i == 0 && j % 2 == 0; });
    REQUIRE(found.size() == 3 * n);
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<float> row;
      for (std::size_t j = 0; j < m; ++j)
        if (!(i == 0 && j % 2 == 0))
          row.push_back(all[i * m + j]);
      std::partial_sort(row.begin(), row.begin() + 3, row.end());
      for (std::size_t k = 0; k < 3; ++k) {
        CHECK(found[i * 3 + k].distance == row[k]);
        CHECK(found[i * 3 + k].distance == all[i * m + found[i * 3 + k].index]);
      }
    }
  }
}

TEST_CASE("compare: of deep networks those of the least bounds are matched, and copies are among them") {
  const NetworkShape shape{{5, 4, 4, 2}, Activation::relu};
  const std::size_t v = layout_of(shape).size(), n = 40, m = 600; // more than a block of references, and a part
  const auto group = random_values<float>(n * v, 1, 0.5);
  auto references = random_values<float>(m * v, 2, 0.5);
  for (std::size_t i = 0; i < 10; ++i) { // copies of the first ten: another order, another balance, a little noise
    const auto noise = random_values<float>(v, 3 + i, 0.01);
    float *copy = references.data() + (37 + 55 * i) * v;
    for (std::size_t e = 0; e < v; ++e)
      copy[e] = group[i * v + e] + noise[e];
    shuffle_units(copy, shape, {.spread = 0.3}, 3, std::uint32_t(i));
  }
  references[7 * v] = NAN;
  const NetworkSet some = vectors_of(group, v), all = vectors_of(references, v);
  const AssignedDistance listed(shape), whole(shape, AssignedDistance::usual_starts, 0);
  const auto found = listed.nearest(some, all, 2), least = whole.nearest(some, all, 2);
  const auto pairs = whole.pairs(group, references);
  double far = 0, near = 0;
  for (std::size_t i = 0; i < n; ++i) {
    CHECK(found[2 * i].distance == pairs[i * m + found[2 * i].index]);
    CHECK(found[2 * i + 1].distance >= found[2 * i].distance);
    CHECK(found[2 * i].distance >= least[2 * i].distance);
    if (i < 10)
      CHECK(found[2 * i].index == 37 + 55 * i);
    else
      far += found[2 * i].distance, near += least[2 * i].distance;
  }
  CHECK(far <= 1.02 * near); // 66 of 600 matched
  CHECK(AssignedDistance(shape, AssignedDistance::usual_starts, m).nearest(some, all)[20].distance ==
        least[40].distance);
}

TEST_CASE("compare: one hidden layer's distance is the least over all orders; of two, matching is near it") {
  double sum = 0, least = 0;
  for (const NetworkShape &shape : {NetworkShape{{3, 4, 2}, Activation::tanh}, {{3, 4, 4, 2}, Activation::tanh}}) {
    const std::size_t v = layout_of(shape).size();
    const AssignedDistance distance(shape);
    for (int pair = 0; pair < 20; ++pair) {
      auto a = random_values<float>(v, 10 + pair), b = random_values<float>(v, 40 + pair);
      const double found = double(distance.pairs(a, b)[0]);
      balance(a.data(), shape), balance(b.data(), shape);
      const double best = by_brute_force(a, b, shape);
      CHECK(found >= best * (1 - 1e-5));
      if (distance.is_exact())
        CHECK(found == doctest::Approx(best).epsilon(1e-5));
      else
        sum += found, least += best;
    }
  }
  CHECK(sum <= 1.01 * least); // four starts miss 0.1 % here, in the mean of 20 pairs
}

TEST_CASE("compare: the canonical form is one for all orders and balances of a network") {
  for (const NetworkShape &shape : {NetworkShape{{6, 5, 3}, Activation::relu}, {{5, 4, 3, 2}, Activation::relu}}) {
    auto theta = random_values<float>(layout_of(shape).size(), 1), moved = theta;
    shuffle_units(moved.data(), shape, {.spread = 0.3}, 3, 1);
    canonicalise(theta.data(), shape), canonicalise(moved.data(), shape);
    CHECK(relative_error(moved, theta) <= 1e-5);
  }
}

TEST_CASE("compare: distances to hulls and spans of points") {
  const auto gram = [](const std::vector<std::vector<double>> &points) {
    std::vector<double> g;
    for (const auto &a : points)
      for (const auto &b : points)
        g.push_back(std::inner_product(a.begin(), a.end(), b.begin(), 0.0));
    return g;
  };
  // From the origin to a segment in the plane z = 2: its nearest point is within, or an end.
  CHECK(distance_to_hull(gram({{-1, 1, 2}, {3, 1, 2}}), 2) == doctest::Approx(std::sqrt(5.0)));
  CHECK(distance_to_hull(gram({{1, 1, 2}, {3, 1, 2}}), 2) == doctest::Approx(std::sqrt(6.0)));
  CHECK(distance_to_span(gram({{1, 1, 2}, {3, 1, 2}}), 2) == doctest::Approx(std::sqrt(5.0)));
  CHECK(distance_to_hull(gram({{1, 1, 2}, {1, 1, 2}, {3, 1, 2}}), 3) == doctest::Approx(std::sqrt(6.0)));
  // Random points: within the hull 0, and outside the optimality condition min_p ⟨x, p⟩ = ‖x‖².
  const std::size_t k = 20, v = 12;
  const auto p = random_values<double>(k * v, 3);
  std::vector<double> middle(v, 0);
  for (std::size_t i = 0; i < k * v; ++i)
    middle[i % v] += p[i] / double(k);
  const auto from = [&](const std::vector<double> &x) {
    std::vector<std::vector<double>> rows(k, std::vector<double>(v));
    for (std::size_t i = 0; i < k * v; ++i)
      rows[i / v][i % v] = p[i] - x[i % v];
    return gram(rows);
  };
  CHECK(distance_to_hull(from(middle), k) < 1e-6);
  for (const double away : {1.0, 3.0, 10.0}) {
    auto x = middle;
    x[0] += away;
    const double distance = distance_to_hull(from(x), k);
    // By Frank and Wolfe's steps, 20,000 of them: a duality gap of 1e-4 of the points' spread.
    std::vector<double> at(p.begin(), p.begin() + v);
    for (int step = 0; step < 20000; ++step) {
      double best = 1e30;
      std::size_t to = 0;
      for (std::size_t i = 0; i < k; ++i) {
        double along = 0;
        for (std::size_t c = 0; c < v; ++c)
          along += (at[c] - x[c]) * p[i * v + c];
        if (along < best)
          best = along, to = i;
      }
      double above = 0, below = 0;
      for (std::size_t c = 0; c < v; ++c) {
        const double d = p[to * v + c] - at[c];
        above -= (at[c] - x[c]) * d, below += d * d;
      }
      const double t = below > 0 ? std::clamp(above / below, 0.0, 1.0) : 0;
      for (std::size_t c = 0; c < v; ++c)
        at[c] += t * (p[to * v + c] - at[c]);
    }
    double expected = 0;
    for (std::size_t c = 0; c < v; ++c)
      expected += (at[c] - x[c]) * (at[c] - x[c]);
    CHECK(distance == doctest::Approx(std::sqrt(expected)).epsilon(2e-3));
    CHECK(distance <= std::sqrt(expected) * (1 + 1e-9));
  }
}

namespace {

// A zoo of 240 trained perceptrons, half of them held out, and what a verdict is asked about.
struct Planted {
  Scratch folder;
  Dataset data = small_data();
  Journal journal;
  Config config;
  std::size_t v;
  std::vector<std::size_t> training;

  Planted() {
    config.name = "planted";
    config.network = {{16, 4, 3}, Activation::relu};
    config.eval.networks = 60, config.eval.references = 120, config.eval.diversity = 60, config.eval.ensemble = 8;
    config.eval.lines = 4, config.eval.hessians = 1, config.eval.hessian_images = 30;
    config.eval.distance = DistanceKind::assigned, config.eval.baselines = false;
    train("zoo", 3, 240);
    v = layout_of(config.network).size();
    const ZooReader zoo(folder.path() / "zoo");
    training = split_of(zoo, config.fit).training;
  }

  void train(const std::string &name, std::uint64_t seed, int networks) {
    ZooTask task = small_task(folder.path() / name);
    task.network = config.network, task.seed = seed, task.key = name;
    task.recipe.networks = networks, task.recipe.wave = 64, task.recipe.steps = 80;
    task.recipe.checkpoints = CheckpointKind::last, task.recipe.count = 1, task.recipe.weight_decay = 1e-2;
    task.recipe.optimizer = {OptimizerKind::adamw};
    ZooTrainer(task, sizes_of(data), Backend::cpu).run(Device{}, data, journal);
  }

  // Networks made by `make`, as a zoo in a folder of that name.
  void plant(const std::string &name, const NetworkSet &set) {
    const ZooReader zoo(folder.path() / "zoo");
    ZooWriter writer(folder.path() / name, {zoo.format().layout, v, Dtype::f32, {}, "{}"}, 100);
    std::vector<float> theta(v);
    for (std::size_t i = 0; i < set.count; ++i) {
      set.network(i, theta.data());
      writer.append(theta.data(), {});
    }
    writer.finish();
    config.eval.groups.push_back(name + "=" + (folder.path() / name).string());
  }

  std::vector<GroupReport> judged() {
    const ZooReader zoo(folder.path() / "zoo");
    const Split split = split_of(zoo, config.fit);
    return compare({config.eval,
                    config.seed,
                    config.network,
                    Device{},
                    {},
                    data,
                    zoo,
                    split.training,
                    split.held_out,
                    nullptr,
                    folder.path()},
                   journal);
  }
};

const GroupReport &named(const std::vector<GroupReport> &groups, const std::string &name) {
  return *std::find_if(groups.begin(), groups.end(), [&](const GroupReport &g) { return g.name == name; });
}

} // namespace

TEST_CASE("compare: planted copies, averages, a subspace sampler and honest networks are named for what they are") {
  Planted p;
  const std::size_t v = p.v, n = 60;
  const ZooReader zoo(p.folder.path() / "zoo");
  const AssignedDistance distance(p.config.network);
  double spread = 0; // of a weight
  {
    const auto all = theta_of(rows_of(zoo, p.training), v);
    spread = summarise(all).std;
  }
  p.plant("copies", {n, [&](std::size_t i, float *theta) {
                       zoo.theta(p.training[i], theta);
                       for (std::size_t c = 0; c < v; ++c)
                         theta[c] += float(0.01 * spread) * normal(5, Purpose::test, std::uint32_t(i), c);
                       shuffle_units(theta, p.config.network, {.spread = 0.2}, 6, std::uint32_t(i));
                     }});
  // Of a network and the two nearest to it, their units brought to its own.
  const auto neighbours = distance.nearest(rows_of(zoo, p.training), rows_of(zoo, p.training), 2, {});
  p.plant("averages", {n, [&](std::size_t i, float *theta) {
                         std::vector<float> other(v), sum(v, 0);
                         zoo.theta(p.training[i], theta);
                         balance(theta, p.config.network);
                         for (std::size_t c = 0; c < v; ++c)
                           sum[c] += theta[c] / 3;
                         for (std::size_t k = 0; k < 2; ++k) {
                           zoo.theta(p.training[neighbours[2 * i + k].index], other.data());
                           distance.align(other.data(), theta);
                           for (std::size_t c = 0; c < v; ++c)
                             sum[c] += other[c] / 3;
                         }
                         std::copy(sum.begin(), sum.end(), theta);
                         shuffle_units(theta, p.config.network, {}, 7, std::uint32_t(i));
                       }});
  // Of 12 aligned training networks all directions, drawn as wide as they are.
  const std::size_t seen = 12;
  std::vector<float> aligned(seen * v), first(v);
  zoo.theta(p.training[0], first.data());
  for (std::size_t i = 0; i < seen; ++i) {
    zoo.theta(p.training[i], aligned.data() + i * v);
    distance.align(aligned.data() + i * v, first.data());
  }
  p.plant("subspace", {n, [&](std::size_t i, float *theta) {
                         std::vector<double> sum(v, 0);
                         for (std::size_t k = 0; k < seen; ++k) {
                           const double draw = double(normal(8, Purpose::test, std::uint32_t(i), k));
                           for (std::size_t c = 0; c < v; ++c)
                             sum[c] += double(aligned[k * v + c]) * (1.0 / seen + draw / std::sqrt(double(seen)));
                         }
                         double draws = 0; // keeps the sum of the weights one
                         for (std::size_t k = 0; k < seen; ++k)
                           draws += double(normal(8, Purpose::test, std::uint32_t(i), k)) / std::sqrt(double(seen));
                         for (std::size_t k = 0; k < seen; ++k)
                           for (std::size_t c = 0; c < v; ++c)
                             sum[c] -= double(aligned[k * v + c]) * draws / seen;
                         std::copy(sum.begin(), sum.end(), theta);
                       }});
  p.train("honest", 17, 60);
  p.config.eval.groups.push_back("honest=" + (p.folder.path() / "honest").string());

  const auto groups = p.judged();
  CHECK(named(groups, "copies").verdict == "copies");
  CHECK(named(groups, "averages").verdict == "averages");
  CHECK((named(groups, "subspace").verdict == "combinations" || named(groups, "subspace").verdict == "narrower"));
  CHECK(named(groups, "honest").verdict == "new");
  for (const GroupReport &g : groups) {
    CAPTURE(g.name);
    CHECK(g.of("accuracy").size() == 60);
    CHECK(g.of("ece").size() == 8);
    CHECK(g.series.at("ensemble").x == std::vector<double>{1, 2, 4, 8});
    CHECK(g.of("barrier").size() == 4);
    CHECK(g.of("hessian_top").size() == 1);
    CHECK(g.of("hessian_top")[0] > 0);
    CHECK(g.series.at("singular.0.weight").y.size() == 4);
    CHECK(g.figure("dimension").value > 1);
    CHECK(g.figure("pairwise").low <= g.figure("pairwise").value);
    if (g.role == "generated")
      CHECK(g.reasons.size() >= 2);
  }
  // Copies answer as what they copy does; honest networks differ from it as two seen ones do.
  for (const float share : named(groups, "copies").of("disagreement"))
    CHECK(share == 0);
  CHECK(named(groups, "copies").figure("disagreement_tenth").value == 0);
  CHECK(named(groups, "training").of("disagreement").size() == 8);
  CHECK(named(groups, "honest").figure("pairwise_disagreement").value > 0);
  CHECK(named(groups, "copies").of("raw_l2")[0] > 3 * named(groups, "copies").of("nearest_l2")[0]);

  // What is written is what is read, and told.
  const auto file = p.folder.path() / "eval.json";
  write_eval(file, groups, "key");
  const auto back = read_eval(file);
  REQUIRE(back.size() == groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g) {
    CHECK(back[g].of("nearest_l2") == groups[g].of("nearest_l2"));
    CHECK(back[g].figure("memorised").value == doctest::Approx(groups[g].figure("memorised").value));
    CHECK(back[g].series.at("spectrum").y.size() == groups[g].series.at("spectrum").y.size());
    CHECK(back[g].verdict == groups[g].verdict);
  }
  CHECK(table_of(back) == table_of(groups));
}

TEST_CASE("compare: samples that were asked for something stand beside held-out networks that have it") {
  Planted p;
  p.config.eval.baselines = true, p.config.eval.noise = {0.1}, p.config.eval.networks = 20, p.config.eval.ensemble = 16;
  const ZooReader zoo(p.folder.path() / "zoo");
  const Split split = split_of(zoo, p.config.fit);
  // Noise on networks of all kinds, said to have been asked for the worst tenth.
  const auto write = [&](const std::string &name, bool is_told, std::size_t count) {
    ZooFormat format{zoo.format().layout, p.v, Dtype::f32, {}, "{}"};
    if (is_told)
      format.columns.push_back({"told_rank.validation_loss", Dtype::f32});
    ZooWriter writer(p.folder.path() / name, format, 100);
    const NetworkSet set = noisy_copies(zoo, split.held_out, count, 1, 1, 9);
    std::vector<float> theta(p.v);
    for (std::size_t i = 0; i < count; ++i) {
      set.network(i, theta.data());
      writer.append(theta.data(), is_told ? std::vector<ColumnValue>{0.95} : std::vector<ColumnValue>{});
    }
    writer.finish();
  };
  write("told", true, 20), write("untold", false, 20);
  p.config.eval.groups = {"told=" + (p.folder.path() / "told").string(),
                          "untold=" + (p.folder.path() / "untold").string()};
  const auto groups = p.judged();
  const GroupReport &told = named(groups, "told"), &asked = named(groups, "asked_told");
  CHECK(asked.role == "asked");
  CHECK(asked.verdict.empty());
  // Of 120 seen and 120 held-out networks within a twentieth of the place 0.95, about a tenth.
  const Estimate having = told.figure("asked");
  CHECK(having.value >= 4);
  CHECK(having.value <= 24);
  CHECK(std::size_t(having.value) == asked.networks);
  CHECK(told.reasons.front().find("asked for rank.validation_loss of place 0.95 ± 0.05, which") == 0);
  const auto loss = [](const GroupReport &g) { return summarise(g.of("loss")).mean; };
  CHECK(loss(asked) > loss(named(groups, "held_out"))); // worse on other images, too
  // Beside as many of those, whose figures are its own.
  const std::size_t n = std::min(asked.networks, told.networks);
  CHECK(told.figure("held_out_variance").n == n);
  if (n == asked.networks)
    CHECK(told.figure("held_out_variance").value == doctest::Approx(asked.figure("variance").value).epsilon(1e-9));
  CHECK(told.figure("dispersion").value ==
        doctest::Approx(told.figure("variance").value / told.figure("held_out_variance").value));
  bool is_compared = false;
  for (const std::string &reason : told.reasons)
    is_compared |= reason.find("worse than those that have it") != std::string::npos;
  CHECK(is_compared);
  CHECK_FALSE(named(groups, "untold").figures.contains("asked"));
  for (const std::string &reason : named(groups, "untold").reasons)
    CHECK(reason.find("have it") == std::string::npos);
  for (const char *name : {"aligned_pairs", "aligned_average_16", "aligned_gaussian", "aligned_gaussian_full"})
    CHECK(named(groups, name).role == "baseline");
  for (const auto &g : groups) // one checkpoint a run, and the run's own samples were asked for nothing
    CHECK((g.name != "along_runs" && g.name != "retrieval" && g.name != "ridge"));
  CHECK(told.figure("ensemble_gain").n == 16);
  CHECK(told.figure("ensemble_gain").low <= told.figure("ensemble_gain").value);
}

TEST_CASE("compare: an ensemble and a straight line, by their definitions") {
  Planted p;
  p.config.eval.networks = 8, p.config.eval.references = 20, p.config.eval.diversity = 8;
  const auto groups = p.judged();
  const GroupReport &g = named(groups, "held_out");
  const Series &ensemble = g.series.at("ensemble");
  double mean = 0;
  for (const float a : g.of("accuracy"))
    mean += double(a) / 8;
  CHECK(ensemble.y.size() == 4);
  CHECK(std::abs(ensemble.y[0] - mean) < 0.2); // of 20 random single networks, of three classes
  // The ends of the lines: the networks' own loss, and the barrier above the chord.
  const Series &line = g.series.at("line");
  double loss = 0;
  for (std::size_t i = 0; i < 4; ++i)
    loss += double(g.of("loss")[i]) / 4;
  CHECK(line.y.front() == doctest::Approx(loss).epsilon(1e-4));
  for (const float barrier : g.of("barrier"))
    CHECK(barrier >= 0);
  CHECK(summarise(g.of("raw_barrier")).mean >= summarise(g.of("barrier")).mean);
}

TEST_CASE("compare: agreement is 0 of one and the same, and 1 of what has nothing in common") {
  Planted p;
  const ZooReader zoo(p.folder.path() / "zoo");
  NoveltyJudge judge(p.config.network, p.data.test.size(), 16, 20, 60, Backend::cpu, DistanceKind::assigned);
  judge.start(Device{}, p.data, p.data.test, choose(zoo, p.training, 20, 1, 0), choose(zoo, p.training, 20, 1, 1));
  const NetworkSet mine = choose(zoo, p.training, 60, 1, 2), others = choose(zoo, p.training, 60, 1, 3);
  GroupReport same, different;
  const auto distance = [&](const auto &a, const auto &b) { return judge.pairs(a, b)[0]; };
  judge_agreement(distance, p.v, mine, mine, same);
  judge_agreement(distance, p.v, mine, others, different);
  CHECK(same.figure("agreement").value < 1e-3);
  CHECK(different.figure("agreement").low < 1);
  CHECK(different.figure("agreement").high > 0.9);
}

TEST_CASE("compare: mixtures lie on the line between two rows") {
  Planted p;
  const ZooReader zoo(p.folder.path() / "zoo");
  const auto rows = std::vector<std::size_t>{p.training[0], p.training[1]};
  std::vector<float> a(p.v), b(p.v), x(p.v);
  zoo.theta(rows[0], a.data()), zoo.theta(rows[1], b.data());
  const NetworkSet set = mixtures(zoo, rows, 5, 1);
  for (std::size_t i = 0; i < 5; ++i) {
    set.network(i, x.data());
    const double whole = std::sqrt(squared(a.data(), b.data(), p.v));
    CHECK(std::sqrt(squared(a.data(), x.data(), p.v)) + std::sqrt(squared(x.data(), b.data(), p.v)) ==
          doctest::Approx(whole).epsilon(1e-5));
  }
}

TEST_CASE("compare: a verdict knows how little few networks say, and what was not looked at") {
  GroupReport truth, group;
  truth.name = "held_out", group.name = "generated";
  truth.values = {{"accuracy", {0.5f, 0.6f}}, {"hull", {0.5f, 0.6f}}};
  group.values = {{"accuracy", std::vector<float>(100, 0.55f)}, {"hull", std::vector<float>(100, 0.4f)}};
  for (std::size_t i = 0; i < 30; ++i)
    group.values["hull"][i] = 0.7f;
  judge_group(group, truth, {2, 2, true, true});
  // Seven in ten are closer than both held-out networks: to an honest group that happens often.
  CHECK(group.verdict != "averages");
  CHECK(std::count_if(group.reasons.begin(), group.reasons.end(), [](const std::string &r) {
          return r.find("were not looked for") != std::string::npos || r.find("was not looked at") != std::string::npos;
        }) == 2);
  truth.values["hull"] = random_values<float>(200, 1, 0.05);
  for (float &x : truth.values["hull"])
    x += 0.5f;
  group.values["hull"] = std::vector<float>(100, 0.1f), group.reasons.clear();
  judge_group(group, truth, {200, 200, true, true});
  CHECK(group.verdict == "averages");
  GroupReport none;
  judge_group(none, truth, {200, 200, true, true});
  CHECK(none.verdict == "broken");
}

TEST_CASE("compare: the frontier of noise copies is between them, and nobody below it is beyond it") {
  const auto group = [](const char *name, const char *role, std::vector<float> accuracy, std::vector<float> iou) {
    GroupReport g;
    g.name = name, g.role = role;
    g.values = {{"accuracy", std::move(accuracy)}, {"max_iou", std::move(iou)}};
    return g;
  };
  std::vector<GroupReport> groups{
      group("noise_0.1", "baseline", {0.6f}, {0.4f}), group("noise_0.01", "baseline", {0.8f}, {0.8f}),
      group("noise_mine", "generated", {0.7f, 0.7f, 0.1f, 0.9f}, {0.59f, 0.61f, 0.0f, 0.9f})};
  judge_frontier(groups);
  CHECK(groups[0].series.at("frontier").x == std::vector<double>{double(0.6f), double(0.8f)});
  CHECK(groups[1].series.count("frontier") == 0);
  const Estimate beyond = groups[2].figure("beyond_noise"); // of 0.7: below and above 0.6; of 0.9: above 0.8
  CHECK(beyond.n == 3);
  CHECK(beyond.value == doctest::Approx(1.0 / 3));
}

TEST_CASE("compare: groups have names of their own") {
  check_groups({"a=x", "b=y"}, "--zoo");
  for (const std::string bad : {"a", "=x", "a=", "training=x", "noise_1=x", "pairs=x"})
    CHECK_THROWS_AS(check_groups({bad}, "--zoo"), InputError);
  CHECK_THROWS_AS(check_groups({"a=x", "a=y"}, "--zoo"), InputError);
}
