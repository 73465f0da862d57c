#include "data/zoo_writer.h"
#include "engine/analysis/joint.h"
#include "engine/analysis/novelty.h"
#include "tests/check.h"
#include "tests/scratch.h"
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

GroupReport judged(std::string name, std::string role, std::vector<float> accuracy, std::vector<float> distance,
                   std::size_t broken = 0) {
  GroupReport report{.name = std::move(name), .role = std::move(role)};
  report.networks = accuracy.size() + broken, report.broken = broken;
  report.values["accuracy"] = std::move(accuracy), report.values["nearest_l2"] = std::move(distance);
  return report;
}

} // namespace

TEST_CASE("joint curve: copies are good, noise is new, and only what is both counts") {
  GroupReport training = judged("training", "training", {0.7f, 0.8f, 0.9f, 0.8f}, {1, 2, 3, 4});
  const GroupReport held_out = judged("held_out", "held_out", {0.50f, 0.60f, 0.70f, 0.80f, 0.90f}, {2, 3, 2, 4, 3});
  const JointBar bar = joint_bar(training, held_out, training.of("nearest_l2"), 40, 0, 0.1);
  CHECK(bar.accuracy == doctest::Approx(0.54)); // numpy's quantile of five numbers
  CHECK(bar.spread == doctest::Approx(2.5));
  CHECK(std::isnan(bar.neighbours));
  CHECK(joint_bar(training, held_out, training.of("nearest_l2"), 40, 0.75, 0.1).accuracy == 0.75);

  GroupReport copies = judged("copies", "baseline", {0.9f, 0.9f}, {0, 0}),
              noise = judged("noise", "baseline", {0.1f, 0.1f}, {40, 40}),
              generated = judged("generated", "generated", {0.6f, 0.6f, 0.54f, 0.6f, 0.5f, 0.6f},
                                 {2.5f, 2.6f, 5.1f, 7.6f, 100, 15.1f}, 2);
  for (GroupReport *each : {&training, &copies, &noise, &generated})
    judge_joint(*each, bar);
  CHECK(copies.series["joint"].y == std::vector<double>(5, 0));
  CHECK(noise.series["joint"].y == std::vector<double>(5, 0));
  // Of eight, two broken: one at the spread itself is not farther, 0.54 is the bar itself, 0.5 is below it.
  CHECK(generated.series["joint"].x == std::vector<double>{1, 2, 3, 4, 6});
  CHECK(generated.series["joint"].y == std::vector<double>{4.0 / 8, 3.0 / 8, 2.0 / 8, 1.0 / 8, 1.0 / 8});
  CHECK(generated.series["joint"].low[0] == doctest::Approx(share_of(4, 8).low));
  CHECK(training.figure("joint_bar").value == doctest::Approx(0.54));
  CHECK(training.figure("joint_spread").value == doctest::Approx(2.5));
  CHECK_FALSE(generated.figures.contains("joint_bar"));
  const std::string table = joint_table({training, generated});
  CHECK(table.find(
            "at least 54.00 % accurate, and farther from all 40 training networks compared with than m times 2.5,") !=
        std::string::npos);
  CHECK(table.find("0.50 (") != std::string::npos);
  CHECK(joint_table({generated}).empty());
}

TEST_CASE("joint curve: checkpoints of one run are no measure of what networks are apart") {
  GroupReport training = judged("training", "training", {0.8f, 0.8f, 0.8f}, {0.1f, 0.2f, 0.3f});
  const GroupReport held_out = judged("held_out", "held_out", {0.8f}, {3});
  const JointBar bar = joint_bar(training, held_out, {4, 5, 6}, 3, 0, 0.1);
  CHECK(bar.spread == 5);
  CHECK(bar.neighbours == doctest::Approx(0.2));
  judge_joint(training, bar);
  CHECK(joint_table({training}).find("from those of other runs (0.2 from checkpoints of their own)") !=
        std::string::npos);

  GroupReport one_run = judged("training", "training", {0.8f, 0.8f, 0.8f}, {0.1f, 0.2f, 0.3f});
  const JointBar near = joint_bar(one_run, held_out, {}, 3, 0, 0.1);
  CHECK((near.spread == near.neighbours && near.spread == doctest::Approx(0.2)));
  judge_joint(one_run, near);
  CHECK(joint_table({one_run}).find("m times 0.2, what they are apart, all being checkpoints of one run\n") !=
        std::string::npos);
}

TEST_CASE("joint curve: a group that averages beat, intervals apart, is told so") {
  const JointBar bar{.accuracy = 0.5, .spread = 1};
  const auto with = [&](const char *name, const char *role, int good, int of) {
    std::vector<float> accuracy(std::size_t(of), 0.1f);
    std::fill_n(accuracy.begin(), good, 0.9f);
    GroupReport report = judged(name, role, accuracy, std::vector<float>(std::size_t(of), 2));
    judge_joint(report, bar);
    return report;
  };
  GroupReport generated = with("generated", "generated", 20, 100);
  CHECK_FALSE(is_beaten_by(with("average_16", "baseline", 25, 100), generated)); // intervals meet
  CHECK(generated.reasons.empty());
  CHECK(is_beaten_by(with("average_16", "baseline", 80, 100), generated));
  REQUIRE(generated.reasons.size() == 1);
  CHECK(generated.reasons[0] == "20 % (13 to 29) are good and new at once, of average_16 80 % (71 to 87)");
}

TEST_CASE("joint curve: copies, averages, noise and fresh networks, as numpy finds them") {
  const Golden golden("joint");
  const NetworkShape shape{{16, 4, 3}, Activation::relu};
  const Layout layout = layout_of(shape);
  const auto seen = golden.get<float>("seen"), control = golden.get<float>("held_out");
  const std::size_t v = layout.size(), n = seen.size() / v;
  const Scratch folder;
  ZooWriter writer(folder.path() / "zoo", {layout.places(), v, Dtype::f32, {}, "{}"}, 100);
  for (const auto *all : {&seen, &control})
    for (std::size_t k = 0; k < n; ++k)
      writer.append(all->data() + k * v, {});
  writer.finish();
  const ZooReader zoo(folder.path() / "zoo");
  std::vector<std::size_t> training(n), held_out(n);
  std::iota(training.begin(), training.end(), std::size_t(0)), std::iota(held_out.begin(), held_out.end(), n);
  Dataset data{.name = "stripes", .side = 4, .classes = 3};
  data.mean = 0.35, data.std = 0.25;
  for (const double byte : golden.get<double>("byte"))
    data.test.pixels.push_back(std::uint8_t(byte));
  for (const double label : golden.get<double>("label"))
    data.test.labels.push_back(std::uint8_t(label));

  NoveltyJudge judge(shape, data.test.size(), 8, n, n, Backend::cpu, DistanceKind::assigned);
  judge.start(Device{}, data, data.test, rows_of(zoo, training), rows_of(zoo, held_out));
  GroupReport own = judge.judge("training", rows_of(zoo, training)).report;
  own.role = "training";
  const GroupReport others = judge.judge("held_out", rows_of(zoo, held_out)).report;
  const JointBar bar = joint_bar(own, others, own.of("nearest_l2"), n, 0, 0.1);
  CHECK(bar.accuracy == doctest::Approx(golden.get<double>("bar")[0]).epsilon(1e-6));
  CHECK(bar.spread == doctest::Approx(golden.get<double>("spread")[0]).epsilon(1e-5));
  for (const std::string name : {"copies", "averages", "noise", "fresh"}) {
    CAPTURE(name);
    const auto theta = golden.get<float>(name);
    GroupReport group = judge
                            .judge(name, {theta.size() / v,
                                          [&](std::size_t i, float *to) { std::copy_n(theta.data() + i * v, v, to); }})
                            .report;
    const auto distance = golden.get<double>(name + ".distance"), accuracy = golden.get<double>(name + ".accuracy");
    for (std::size_t i = 0; i < distance.size(); ++i) {
      // A copy's distance is what rounding leaves of it: 84 weights of about 1, to 6e-8 each.
      CHECK(group.of("nearest_l2")[i] == doctest::Approx(distance[i]).epsilon(1e-5).scale(1));
      CHECK(double(group.of("accuracy")[i]) == doctest::Approx(accuracy[i]).epsilon(1e-6));
    }
    judge_joint(group, bar);
    const auto joint = golden.get<double>(name + ".joint");
    for (std::size_t m = 0; m < joint.size(); ++m)
      CHECK(group.series["joint"].y[m] == doctest::Approx(joint[m]).epsilon(1e-9));
  }
}
