// What plans say of a run's memory, and of changes: by definitions, and against the plans themselves.
#include "engine/memory/digest.h"
#include "engine/pipeline/budget/wall.h"
#include "engine/settings/toml_keys.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {
constexpr const char *pdiff = "runs/demo.toml", *transformer = "runs/transformer_small.toml";
}

TEST_CASE("digest: peaks, classes and bars by their definitions") {
  MemoryPlan plan("work");
  plan.reserve<float>("weights", MemoryClass::weights, {1000});                                // ticks 0 to the end
  const auto first = plan.reserve<float>("first", MemoryClass::activations, {5000}, "batch");  // 1 to 3
  const auto second = plan.reserve<float>("second", MemoryClass::activations, {3000}, "rows"); // 2 to 4
  plan.release(first, second);
  plan.reserve<float>("host", MemoryClass::staging, {7}); // 4
  plan.place();
  const Peak peak = peak_of(plan);
  CHECK(peak.tick == 2);
  CHECK(peak.bytes == 4 * 9000);
  CHECK(alive_at(plan, 0) == 4000);
  CHECK(alive_at(plan, 4) == 4000);
  CHECK(alive_at(plan, 2, MemoryClass::activations) == 4 * 8000);
  CHECK(alive_at(plan, 2, MemoryClass::staging) == 28);
  const std::string bars = waterfall_of(plan, 2), summary = summary_of({plan}), classes = classes_of({plan});
  const auto bar = [&](const std::string &name) {
    const auto at = bars.find("  " + name + " "), end = bars.find('\n', at);
    std::string cells = bars.substr(at, end - at), kept;
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (cells.compare(i, 3, "█") == 0)
        kept += '#', i += 2;
      else if (cells.compare(i, 2, "·") == 0)
        kept += '.', i += 1;
    return kept;
  };
  // 60 cells over 6 ticks.
  CHECK(bar("first") == std::string(10, '.') + std::string(20, '#') + std::string(30, '.'));
  CHECK(bar("second") == std::string(20, '.') + std::string(20, '#') + std::string(20, '.'));
  CHECK(bars.find("3.9 KiB  1 more") != std::string::npos);
  CHECK(summary.find("first 19.5 KiB, second 11.7 KiB, weights 3.9 KiB") != std::string::npos);
  CHECK(summary.find("batch, rows") != std::string::npos);
  CHECK(classes.find("31.2 KiB") != std::string::npos); // activations
}

TEST_CASE("run memory: changes are what the changed configuration's plans say") {
  const RunMemory memory(pdiff, {}, Backend::cpu);
  const auto now = memory.planned(), compact = memory.planned({"fit.compact=true"}),
             wide = memory.planned({"network.widths=[196,32,10]"}), wider = memory.planned({}, 2);
  const auto plans = plans_of(load_config(pdiff, {"fit.compact=true"}), Backend::cpu);
  REQUIRE(plans.size() == compact.plans.size());
  for (std::size_t i = 0; i < plans.size(); ++i)
    CHECK(compact.plans[i].device_bytes() == plans[i].device_bytes());
  CHECK(compact.bytes < now.bytes);
  CHECK(wider.parameters == wide.parameters);
  CHECK(wider.bytes == wide.bytes);
  CHECK(now.plans[now.stage].bytes_on(Backend::cpu) == now.bytes);
}

// Bytes are sums of products of V, B and constants, and 256-byte slots; only sharing between disjoint lifetimes bends
// them.
TEST_CASE("run memory: growth, found at V and 2V, B and 2B, foretells the plan at three times both") {
  for (const char *config : {pdiff, transformer}) {
    const auto growth = RunMemory(config, {}, Backend::cpu).growth();
    CHECK(growth.size() >= 4);
    for (const auto &g : growth) {
      CAPTURE(g.stage);
      CHECK(std::abs(g.error) < 0.05);
      if (g.stage == "fit.autoencoder") {
        CHECK(g.batch == "fit.autoencoder.batch");
        CHECK(g.of_bv > 0);
        // The two dense layers' weights, gradients and two moments: 16 bytes of 2·latent·(V/2), and more.
        CHECK(g.of_v >= 16 * std::stod(value_in(to_toml(load_config(config)), "fit.latent")));
      }
    }
  }
}

TEST_CASE("run memory: what can be planned itself is, where three times as much cannot") {
  // 0.4 G parameters: three times as many are more than p-diff's convolutions index.
  const RunMemory memory(pdiff, {"network.widths=[196,2000000,10]"}, Backend::cpu);
  CHECK(memory.planned().parameters > 400'000'000);
  CHECK_THROWS_AS(memory.planned({}, 3), InputError);
  CHECK(memory.growth().empty());
}

TEST_CASE("run memory: advice, applied again and again, leads to what fits") {
  for (const char *config : {pdiff, transformer})
    for (const double part : {0.7, 0.25, 0.05}) {
      CAPTURE(config);
      CAPTURE(part);
      const RunMemory memory(config, {}, Backend::cpu);
      const auto budget = std::size_t(part * double(memory.planned().bytes));
      CHECK_THROWS_AS(check_budget(memory.planned().plans[memory.planned().stage], Backend::cpu, budget), InputError);
      const auto advice = memory.advice(budget);
      const auto then = memory.within(budget).planned(advice.changes);
      CHECK(advice.fits == (then.bytes <= budget));
      if (!advice.fits)
        CHECK(!memory.advice(advice.changes, budget)); // nothing is left
      else
        for (const auto &plan : plans_of(load_config(config, advice.changes), Backend::cpu, budget))
          check_budget(plan, Backend::cpu, budget);
    }
}

TEST_CASE("wall: what is at the wall fits, and a little more does not") {
  const RunMemory memory(pdiff, {}, Backend::cpu);
  const std::size_t bytes = std::size_t(1) << 30;
  for (const WallCase &c : wall_cases(memory)) {
    if (c.generator != "p-diff" && c.generator != "transformer")
      continue;
    CAPTURE(c.generator);
    const Wall wall = wall_of(memory, c, bytes);
    REQUIRE(wall.parameters > 0);
    auto changes = c.changes;
    changes.insert(changes.begin(), "fit.generator=" + c.generator);
    const double now = double(memory.planned().parameters); // V of 196-16-10 is linear in its one hidden width
    const auto at = [&](double wider) { return memory.planned(changes, wider, StagesOf::generator); };
    if (wall.parameters == no_wall)
      continue;
    CHECK(at(double(wall.parameters) / now * 0.999).bytes <= bytes);
    CHECK(at(double(wall.parameters) / now * 1.01).bytes > bytes);
    changes.push_back(c.generator == "p-diff" ? "fit.autoencoder.batch=" : "fit.transformer.batch=");
    const auto of = [&](std::size_t batch) {
      auto with = changes;
      with.back() += std::to_string(batch);
      if (c.generator == "p-diff")
        with.push_back("fit.denoiser.batch=" + std::to_string(batch));
      return memory.planned(with, 1, StagesOf::generator).bytes;
    };
    if (c.changes.empty()) {
      CHECK(of(wall.batch) <= bytes);
      CHECK(of(wall.batch + 1) > bytes);
    }
  }
}
