// Random configurations of every generator: what is planned is what an arena takes, to the byte; a byte less is
// refused.
#include "engine/memory/arena.h"
#include "engine/pipeline/source.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("memory: of random configurations, plans are what arenas take, and budgets what they refuse") {
  for (int trial = 0; trial < 40; ++trial) {
    std::uint32_t draws = 0;
    const auto below = [&](int n) {
      return int(philox(77, Purpose::test, std::uint32_t(trial), draws++).word[0] % std::uint32_t(n));
    };
    const auto either = [&](const char *key) { return std::string(key) + (below(2) ? "=true" : "=false"); };
    std::vector<std::string> set{"network.widths=[196," + std::to_string(1 + below(60)) + ",10]",
                                 "sample.batch=" + std::to_string(1 + below(20)),
                                 "eval.wave=" + std::to_string(1 + below(100))};
    switch (below(4)) {
    case 0:
      set.insert(set.end(), {either("fit.compact"), either("fit.stream"), "fit.tile=" + std::to_string(below(3) * 500),
                             "fit.autoencoder.batch=" + std::to_string(2 + below(60)),
                             "fit.latent=" + std::to_string(1 + below(90))});
      break;
    case 1:
      set.insert(set.end(), {"fit.generator=transformer", either("fit.transformer.recompute"),
                             "fit.transformer.arithmetic=" + std::string(below(2) ? "bf16" : "fp32"),
                             "fit.transformer.batch=" + std::to_string(2 * (1 + below(30))),
                             "fit.transformer.accumulate=" + std::to_string(1 + below(2))});
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
