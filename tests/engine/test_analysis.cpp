#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "engine/analysis/curvature.h"
#include "engine/analysis/novelty.h"
#include "engine/networks/cnn.h"
#include "engine/weights/symmetry.h"
#include "network_sets.h"
#include "small_data.h"
#include "tests/check.h"
#include <atomic>

using namespace theta;
using namespace theta::test;

TEST_CASE("statistics by their definitions") {
  const Summary s = summarise({1, 2, 4});
  CHECK(s.mean == doctest::Approx(7.0 / 3));
  CHECK(s.std == doctest::Approx(std::sqrt(7.0 / 3)));
  CHECK(s.min == 1);
  CHECK(s.max == 4);
  const Share half = share_of(50, 100); // Wilson's interval of 50 in 100: 0.4038 to 0.5962
  CHECK(half.low == doctest::Approx(0.4038).epsilon(1e-3));
  CHECK(half.high == doctest::Approx(0.5962).epsilon(1e-3));
  CHECK(share_of(0, 10).low == 0);
  CHECK(share_of(0, 10).high == doctest::Approx(0.2775).epsilon(1e-3));
}

TEST_CASE("statistics: quantiles as numpy's, and bootstrapped means") {
  CHECK(quantile({4, 1, 3, 2}, 0.5) == 2.5);
  CHECK(quantile({4, 1, 3, 2}, 0.25) == 1.75);
  CHECK(quantile({4, 1, 3, 2}, 1) == 4);
  CHECK(std::isnan(quantile({}, 0.5)));
  std::vector<float> x;
  for (std::uint32_t i = 0; i < 400; ++i)
    x.push_back(3 + 2 * normal(1, Purpose::test, i, 0));
  const Estimate mean = bootstrapped_mean(x);
  const Summary s = summarise(x);
  CHECK(mean.value == s.mean);
  CHECK(mean.n == 400);
  // ±1.96 standard errors of the mean, to the percentiles' own error at 1,000 draws: 5 % of the deviation, four times.
  const double error = s.std / 20;
  CHECK(std::abs(mean.low - (s.mean - 1.96 * error)) < 0.2 * error);
  CHECK(std::abs(mean.high - (s.mean + 1.96 * error)) < 0.2 * error);
  x.push_back(NAN);
  CHECK(bootstrapped_mean(x).value == s.mean); // left out
  CHECK(bootstrapped_mean({}).n == 0);
  CHECK(std::isnan(bootstrapped_mean({}).value));
}

TEST_CASE("Mann-Whitney's U agrees with scipy") {
  const Golden golden("statistics");
  const auto a = golden.get<float>("a"), b = golden.get<float>("b");
  CHECK(mann_whitney_u(a, b) == doctest::Approx(golden.get<double>("mannwhitney_u")[0]));
  CHECK(mann_whitney_z(a, b) == -mann_whitney_z(b, a));
  const double p = std::erfc(std::abs(mann_whitney_z(a, b)) / std::sqrt(2.0)); // two-sided; five ties
  CHECK(p == doctest::Approx(golden.get<double>("two_sided_p")[0]).epsilon(1e-6));
}

TEST_CASE("assigned distances: none between orders and balances of one network, and never above the plain one") {
  NetworkShape cnn{{3}, Activation::relu, Initialisation::pytorch, network_kind_named("cnn")};
  cnn.own = CnnSettings{7, 1, {{5, 3, 2}}};
  for (const NetworkShape &shape : {NetworkShape{{6, 5, 3}, Activation::relu}, cnn}) {
    const std::size_t v = layout_of(shape).size();
    const AssignedDistance distance(shape);
    auto a = random_values<float>(4 * v, 1), moved = a;
    for (std::uint32_t i = 0; i < 4; ++i)
      shuffle_units(moved.data() + i * v, shape, {.spread = 0.3}, 3, i);
    const auto d = distance.pairs(a, moved);
    auto balanced = a;
    for (std::size_t i = 0; i < 4; ++i)
      balance(balanced.data() + i * v, shape);
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 4; ++j) {
        double plain = 0;
        for (std::size_t e = 0; e < v; ++e)
          plain += std::pow(double(balanced[i * v + e]) - balanced[j * v + e], 2);
        CHECK(d[i * 4 + j] <= std::sqrt(plain) * (1 + 1e-6) + 1e-5);
        CHECK((d[i * 4 + j] < 1e-3) == (i == j));
      }
  }
}

namespace {

// 40 networks from one distribution: even rows train, odd rows are held out.
struct Setting {
  Scratch folder;
  Dataset data = small_data();
  NetworkShape shape{{16, 4, 3}, Activation::relu};
  std::vector<std::size_t> training, held_out;
  Setting() {
    const Layout layout = layout_of(shape);
    ZooWriter writer(folder.path(), {layout.places(), layout.size(), Dtype::f32, {}, "{}"}, 100);
    for (std::uint32_t r = 0; r < 40; ++r) {
      writer.append(layout.initial_values(3, r).data(), {});
      (r % 2 ? held_out : training).push_back(r);
    }
    writer.finish();
  }
};

} // namespace

TEST_CASE("memory: of copies of what was seen all, of copies of the control none, of broken networks nothing") {
  const Setting setting;
  const ZooReader zoo(setting.folder.path());
  const NetworkSet seen = choose(zoo, setting.training, 20, 1, 0), control = choose(zoo, setting.held_out, 20, 1, 1);
  for (const DistanceKind kind : {DistanceKind::plain, DistanceKind::assigned}) {
    const auto of = [&](const NetworkSet &group) { return memory_of(setting.shape, kind, group, seen, control); };
    const NetworkSet copies = noisy_copies(zoo, setting.training, 20, 1e-3, 1, 3),
                     others = noisy_copies(zoo, setting.held_out, 20, 1e-3, 1, 3);
    CHECK(of(copies).share.share == 1);
    CHECK(of(copies).share.n == 20);
    CHECK(of(others).share.share == 0);
    CHECK(of(copies).nearest < 0.1);
    CHECK(of(others).nearest > 0.5);
    // As the judge of all finds it.
    NoveltyJudge judge(setting.shape, setting.data.test.size(), 8, 20, 20, Backend::cpu, kind);
    judge.start(Device{}, setting.data, setting.data.test, seen, control);
    const NetworkSet between = mixtures(zoo, setting.training, 20, 1);
    const GroupReport judged = judge.judge("between", between).report;
    CHECK(of(between).share.share == judged.figure("memorised").value);
    CHECK(of(between).nearest == doctest::Approx(summarise(judged.of("nearest_l2")).mean).epsilon(1e-5));

    NetworkSet broken = copies;
    broken.network = [&](std::size_t i, float *theta) {
      copies.network(i, theta);
      theta[3] = i % 2 ? NAN : theta[3];
    };
    CHECK(of(broken).share.n == 10);
    broken.network = [&](std::size_t, float *theta) { std::fill_n(theta, zoo.parameters(), INFINITY); };
    CHECK(of(broken).share.n == 0);
  }
}

TEST_CASE("curvature: squares of single examples' gradients, by central differences of their losses") {
  const Setting setting;
  const std::size_t v = layout_of(setting.shape).size(), images = 4, n = 2;
  const auto theta = random_values<float>(n * v, 3, 0.5);
  const auto squares = mean_squared_gradients(setting.shape, setting.data, images, theta);
  REQUIRE(squares.size() == v);
  LossGradient loss(setting.shape, 1);
  std::vector<double> expected(v, 0), unused;
  for (std::size_t k = 0; k < images; ++k) {
    const std::size_t image = k * setting.data.train.size() / images;
    std::vector<double> x;
    for (std::size_t i = 0; i < 16; ++i)
      x.push_back((setting.data.train.pixels[image * 16 + i] / 255.0 - setting.data.mean) / setting.data.std);
    loss.start(x, {setting.data.train.labels[image]});
    for (std::size_t i = 0; i < n; ++i) {
      std::vector<double> at(theta.begin() + std::ptrdiff_t(i * v), theta.begin() + std::ptrdiff_t((i + 1) * v));
      for (std::size_t c = 0; c < v; ++c) {
        const double kept = at[c];
        at[c] = kept + 1e-6;
        const double up = loss(at.data(), unused);
        at[c] = kept - 1e-6;
        const double slope = (up - loss(at.data(), unused)) / 2e-6;
        at[c] = kept;
        expected[c] += slope * slope / double(n * images);
      }
    }
  }
  CHECK(relative_error(squares, expected) <= 1e-6);
}

TEST_CASE("novelty: distances, IoU and memory by their definitions, on every device") {
  const Setting setting;
  const ZooReader zoo(setting.folder.path());
  const std::size_t v = zoo.parameters();
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    NoveltyJudge judge(setting.shape, setting.data.test.size(), 8, 20, 20, device.backend);
    judge.start(device, setting.data, setting.data.test, choose(zoo, setting.training, 20, 1, 0),
                choose(zoo, setting.held_out, 20, 1, 1));

    const NetworkSet copies = noisy_copies(zoo, setting.training, 20, 1e-4, 1, 3);
    const GroupReport copied = judge.judge("copies", copies).report;
    CHECK(copied.figure("memorised").value == 1);
    CHECK(copied.of("max_iou")[0] == doctest::Approx(1).epsilon(1e-6));
    std::vector<float> row(v), copy_of_one(v);
    copies.network(0, copy_of_one.data());
    double nearest = 1e9;
    for (const std::size_t r : setting.training) {
      zoo.theta(r, row.data());
      double sum = 0;
      for (std::size_t i = 0; i < v; ++i)
        sum += std::pow(double(row[i]) - copy_of_one[i], 2);
      nearest = std::min(nearest, std::sqrt(sum));
    }
    // Distances of 1e-3 between vectors of norm 2: the product's rounding, 1e-7·2·2², is 5e-4 of d².
    CHECK(copied.of("nearest_l2")[0] == doctest::Approx(nearest).epsilon(0.3));

    const GroupReport held = judge.judge("held_out", choose(zoo, setting.held_out, 20, 1, 1)).report;
    const GroupReport own = judge.judge("training", choose(zoo, setting.training, 20, 1, 0)).report;
    for (const auto &report : {held, own}) { // drawn alike: no memory, and nobody is its own neighbour
      CHECK(report.figure("memorised").low < 0.5);
      CHECK(report.figure("memorised").high > 0.5);
      for (const float d : report.of("nearest_l2"))
        CHECK(d > 0.5f);
    }
    NetworkSet held_copies = noisy_copies(zoo, setting.held_out, 20, 1e-4, 1, 4);
    CHECK(judge.judge("copies of held-out", held_copies).report.figure("memorised").value == 0);
    CHECK(own.of("accuracy").size() == 20);
  }
}

// Blocks of any size, down to one network at a time, measure the same: to the bit on the cpu, where a sum is one chain
// whatever stands beside it.
TEST_CASE("novelty: what a budget divides is measured as what memory holds whole") {
  const Setting setting;
  const ZooReader zoo(setting.folder.path());
  for (const auto distance : {DistanceKind::plain, DistanceKind::assigned}) {
    const auto judged = [&](Budget budget) {
      NoveltyJudge judge(setting.shape, setting.data.test.size(), 8, 20, 20, Backend::cpu, distance, budget);
      if (budget)
        CHECK(judge.plan().bytes_on(Backend::cpu) <= *budget);
      judge.start(Device{}, setting.data, setting.data.test, choose(zoo, setting.training, 20, 1, 0),
                  choose(zoo, setting.held_out, 20, 1, 1));
      return std::pair{judge.judge("gaussians", gaussians(zoo, setting.training, 17, 1)).report,
                       judge.plan().bytes_on(Backend::cpu)};
    };
    const auto [whole, bytes] = judged({});
    std::size_t least = bytes;
    for (std::size_t budget = bytes; budget > bytes / 2; budget -= bytes / 16) {
      const NoveltyJudge small(setting.shape, setting.data.test.size(), 8, 20, 20, Backend::cpu, distance, budget);
      if (small.plan().bytes_on(Backend::cpu) > budget)
        break; // even one at a time
      const auto [part, smaller] = judged(budget);
      least = std::min(least, smaller);
      CHECK(part.of("nearest_l2") == whole.of("nearest_l2"));
      CHECK(part.of("max_iou") == whole.of("max_iou"));
      CHECK(part.of("accuracy") == whole.of("accuracy"));
      CHECK(part.figure("memorised").value == whole.figure("memorised").value);
    }
    CHECK(least < bytes);
  }
}

TEST_CASE("baselines: averages and Gaussians by their definitions") {
  const Setting setting;
  const ZooReader zoo(setting.folder.path());
  const std::size_t v = zoo.parameters();
  const NetworkSet all = averages(zoo, setting.training, 2, 20, 1); // of all twenty: the mean, twice
  std::vector<float> mean(v), row(v);
  for (const std::size_t r : setting.training) {
    zoo.theta(r, row.data());
    for (std::size_t i = 0; i < v; ++i)
      mean[i] += row[i] / 20;
  }
  const auto both = theta_of(all, v);
  CHECK(relative_error(std::vector<float>(both.begin(), both.begin() + std::ptrdiff_t(v)), mean) <= 1e-5);
  CHECK(relative_error(std::vector<float>(both.begin() + std::ptrdiff_t(v), both.end()), mean) <= 1e-5);
  // All brought to the first of them: here by becoming it, so that the average is one of the twenty.
  const auto met = theta_of(
      averages(zoo, setting.training, 1, 20, 1, [v](float *second, float *first) { std::copy_n(first, v, second); }),
      v);
  bool is_one = false;
  for (const std::size_t r : setting.training) {
    zoo.theta(r, row.data());
    is_one |= relative_error(met, row) <= 1e-6;
  }
  CHECK(is_one);
  std::atomic<int> calls = 0;
  const NetworkSet once = made_once({2, [&](std::size_t i, float *to) { ++calls, to[0] = float(i), to[1] = 7; }}, 2);
  CHECK(theta_of(once, 2) == std::vector<float>{0, 7, 1, 7});
  CHECK(theta_of(once, 2) == std::vector<float>{0, 7, 1, 7});
  CHECK(calls == 2);
  const auto fitted = theta_of(gaussians(zoo, setting.training, 4000, 1), v);
  CHECK(theta_of(gaussians(zoo, setting.training, 5, 1, setting.folder.path() / "scratch"), v) ==
        std::vector<float>(fitted.begin(), fitted.begin() + std::ptrdiff_t(5 * v)));
  CHECK(!std::filesystem::exists(setting.folder.path() / "scratch"));
  double sum = 0, square = 0, expected = 0;
  for (std::size_t i = 0; i < 4000; ++i)
    sum += fitted[i * v + 5] / 4000, square += std::pow(fitted[i * v + 5], 2) / 4000;
  for (const std::size_t r : setting.training) {
    zoo.theta(r, row.data());
    expected += std::pow(row[5] - mean[5], 2) / 20;
  }
  CHECK(std::abs(sum - mean[5]) < 5 * std::sqrt(expected / 4000)); // five standard errors
  CHECK(std::abs(square - sum * sum - expected) < 5 * expected * std::sqrt(2.0 / 4000));
  const NetworkSet chosen = choose(zoo, setting.training, 100, 1, 0);
  CHECK(chosen.count == 20);
  auto sources = chosen.source;
  std::sort(sources.begin(), sources.end());
  CHECK(sources == setting.training);
}
