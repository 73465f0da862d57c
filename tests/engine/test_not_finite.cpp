// Numbers that are not numbers: they are counted, refused or stopped at, and never a distance.
#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "engine/analysis/novelty.h"
#include "engine/generators/pdiff/fit.h"
#include "engine/training/step_loop.h"
#include "kernels/operations/row_l2.h"
#include "network_sets.h"
#include "small_data.h"
#include <limits>

using namespace theta;
using namespace theta::test;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN(),
                infinite = std::numeric_limits<float>::infinity();

NetworkSet networks(std::size_t count, std::size_t v, int seed) {
  return set_of(random_values<float>(count * v, seed, 0.3), count);
}

} // namespace

TEST_CASE("not finite: distances of what is not a number are none") {
  same_on_every_device(0, [](Stream &s) {
    const Buffer<float> a(s, std::vector<float>{1, not_a_number, 3, 4}),
        b(s, std::vector<float>{1, 2, infinite, 4, 3, 4}), d(s, std::size_t(6)), workspace(s, std::size_t(5));
    row_l2(s, d, a, b, 2, 3, 2, workspace);
    const auto found = d.host();
    for (const int i : {0, 1, 2, 4})
      CHECK(!(found[std::size_t(i)] == 0));
    CHECK(found[5] == 0); // (3, 4) itself
    return Results{{found[3], found[5]}};
  });
}

TEST_CASE("not finite: broken networks are counted and take part in nothing") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 5, 3}};
  const std::size_t v = layout_of(shape).size();
  for (const auto device : all_devices())
    for (const auto distance : {DistanceKind::plain, DistanceKind::assigned}) {
      auto training = networks(4, v, 1), held_out = networks(4, v, 2), group = networks(6, v, 3);
      const auto judge_all = [&](const NetworkSet &of) {
        NoveltyJudge judge(shape, data.test.size(), 3, 4, 6, device.backend, distance);
        judge.start(device, data, data.test, training, held_out);
        return judge.judge("group", of).report;
      };
      const auto whole = judge_all(group);
      CHECK(whole.broken == 0);
      auto theta = theta_of(group, v);
      theta[v + 7] = not_a_number;
      theta[4 * v] = infinite;
      for (std::size_t i = 0; i < v; ++i)
        theta[5 * v + i] = 3e38f; // weights that are finite, logits that are not
      const auto part = judge_all(set_of(theta, 6));
      CHECK(part.networks == 6);
      CHECK(part.broken == 3);
      REQUIRE(part.of("nearest_l2").size() == 3);
      for (const auto &[here, there] : {std::pair{0, 0}, {1, 2}, {2, 3}}) {
        // Products of other shapes round otherwise: 1e-7 of squares of some tens.
        CHECK(part.of("nearest_l2")[std::size_t(here)] ==
              doctest::Approx(whole.of("nearest_l2")[std::size_t(there)]).epsilon(1e-5));
        CHECK(part.of("accuracy")[std::size_t(here)] == whole.of("accuracy")[std::size_t(there)]);
      }
      for (std::size_t i = 0; i < 6; ++i)
        theta[i * v] = not_a_number;
      CHECK(judge_all(set_of(theta, 6)).of("accuracy").empty());
      CHECK(judge_all(set_of(theta, 6)).broken == 6);
      auto references = theta_of(training, v);
      references[2] = not_a_number; // a reference is no neighbour either
      training = set_of(references, 4);
      const GroupReport judged = judge_all(group);
      for (const float d : judged.of("nearest_l2"))
        CHECK((std::isfinite(d) && d > 0.1f));
    }
}

TEST_CASE("not finite: a loop stops at the first such loss that is looked at, and saves nothing of it") {
  const Scratch folder;
  Journal journal;
  long saved = -1;
  const auto step = [&](long i, bool report) {
    std::vector<std::pair<std::string, double>> metrics;
    if (report)
      metrics = {{"mse", i >= 120 ? not_a_number : 1.0}};
    return metrics;
  };
  std::string message;
  try {
    StepLoop{journal, "fit", 1000}.run(0, step, [&](long done) { saved = done; });
  } catch (const InputError &) {
    FAIL("not the user's input");
  } catch (const Error &e) {
    message = e.what();
  }
  CHECK(message.find("the loss is nan at step 130 of 1000") != std::string::npos);
  CHECK(saved == -1);
}

TEST_CASE("not finite: a training that runs away ends; a zoo says which row holds what") {
  const Scratch folder;
  const std::size_t v = 70;
  ZooWriter writer(folder.path() / "zoo", {{{"0.weight", {10, 6}, 0}, {"0.bias", {10}, 60}}, v, Dtype::f32, {}, "{}"},
                   3);
  std::vector<std::size_t> rows;
  for (int r = 0; r < 7; ++r) {
    auto theta = random_values<float>(v, r);
    if (r == 4)
      theta[63] = not_a_number;
    else
      rows.push_back(std::size_t(r));
    writer.append(theta.data(), {});
  }
  writer.finish();
  const ZooReader zoo(folder.path() / "zoo");
  const auto bad = zoo.not_finite();
  REQUIRE(bad.size() == 1);
  CHECK(bad[0].row == 4);
  CHECK(bad[0].tensor == "0.bias");
  CHECK(zoo.not_finite(rows).empty());

  PDiffConfig c;
  c.autoencoder_channels = {3, 4}, c.latent = 6, c.denoiser_channels = {1, 4, 1}, c.time_width = 8;
  c.autoencoder.steps = 200, c.autoencoder.batch = 4, c.autoencoder.lr = 1e30;
  Journal journal;
  for (const auto device : all_devices())
    CHECK_THROWS_WITH_AS(
        PDiffFit(c, v, rows.size(), 5, device.backend).run(device, zoo, rows, folder.path() / "state", "key", journal),
        doctest::Contains("usually helps"), Error);
}
