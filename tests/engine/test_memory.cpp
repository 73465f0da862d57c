#include "engine/memory/arena.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("plan: slots that live together never overlap; disjoint ones share") {
  MemoryPlan plan("test");
  const auto a = plan.reserve<float>("a", MemoryClass::activations, {1000});
  const auto b = plan.reserve<float>("b", MemoryClass::activations, {500});
  plan.release(a);
  const auto c = plan.reserve<float>("c", MemoryClass::activations, {900});
  plan.release(b);
  const auto d = plan.reserve<float>("d", MemoryClass::activations, {10});
  plan.place();
  CHECK(plan[a].offset == plan[c].offset); // c takes a's place
  const auto overlap = [&](const auto &x, const auto &y) {
    return plan[x].offset < plan[y].offset + plan[y].bytes && plan[y].offset < plan[x].offset + plan[x].bytes;
  };
  CHECK(!overlap(a, b));
  CHECK(!overlap(b, c));
  CHECK(!overlap(c, d));
  CHECK(plan.device_bytes() == 4096 + 2048);
  CHECK_THROWS_AS(plan.release(a), Error);
}

TEST_CASE("plan: random rehearsals place correctly") {
  for (int trial = 0; trial < 50; ++trial) {
    MemoryPlan plan("test");
    std::vector<Tensor<float>> open, all;
    for (std::uint64_t i = 0; i < 60; ++i) {
      const auto bits = philox(1, Purpose::test, std::uint32_t(trial), i);
      if (bits.word[0] % 5 < 2 && !open.empty()) {
        plan.release(open[bits.word[1] % open.size()]);
        open.erase(open.begin() + bits.word[1] % open.size());
      } else
        all.push_back(plan.reserve<float>("x", MemoryClass::activations, {1 + bits.word[2] % 5000})),
            open.push_back(all.back());
    }
    plan.place();
    for (const auto &x : all)
      for (const auto &y : all)
        if (&x != &y && plan[x].born < plan[y].died && plan[y].born < plan[x].died)
          CHECK((plan[x].offset + plan[x].bytes <= plan[y].offset || plan[y].offset + plan[y].bytes <= plan[x].offset));
  }
}

TEST_CASE("arena: takes the plan's bytes, aligned, and its tensors are there while it lives") {
  MemoryPlan plan("test");
  const auto a = plan.reserve<float>("a", MemoryClass::weights, {3});
  const auto b = plan.reserve<std::uint8_t>("b", MemoryClass::data, {5});
  const auto c = plan.reserve<float>("c", MemoryClass::staging, {7});
  plan.place();
  CHECK(a.get() == nullptr);
  MemoryPlan unplaced("test");
  unplaced.reserve<float>("x", MemoryClass::data, {4});
  CHECK_THROWS_AS(Arena(Device{}, unplaced), Error);
  {
    const Arena arena(Device{}, plan);
    CHECK(arena.device_bytes() == plan.device_bytes());
    CHECK(arena.host_bytes() == plan.host_bytes());
    CHECK(reinterpret_cast<std::uintptr_t>(a.get()) % 256 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(b.get()) % 256 == 0);
    c[6] = 1;
    const auto copy_of_a = a;
    CHECK(copy_of_a.get() == a.get());
    CHECK_THROWS_AS(Arena(Device{}, plan), Error); // one arena at a time
    CHECK(copy_of_a.get() == a.get());
  }
  CHECK(a.get() == nullptr);
  const Arena again(Device{}, plan);
  CHECK(a.get() != nullptr);
  CHECK(!Tensor<float>{}.planned());
}

TEST_CASE("plan: a budget refuses with the three largest entries and what would shrink them") {
  MemoryPlan plan("fit");
  plan.reserve<float>("small", MemoryClass::weights, {10});
  plan.reserve<float>("huge", MemoryClass::activations, {1000, 1000}, "fit.batch");
  plan.reserve<float>("large", MemoryClass::weights, {500, 1000}, "fit.latent");
  plan.reserve<float>("medium", MemoryClass::weights, {1000});
  plan.place();
  check_budget(plan, Backend::cpu, std::nullopt);
  check_budget(plan, Backend::cpu, plan.device_bytes());
  try {
    check_budget(plan, Backend::cpu, plan.device_bytes() - 1);
    FAIL("accepted");
  } catch (const InputError &e) {
    const std::string what = e.what();
    const auto huge = what.find("huge"), large = what.find("large"), medium = what.find("medium");
    CHECK(huge < large);
    CHECK(large < medium);
    CHECK(medium != std::string::npos);
    CHECK(what.find("small [") == std::string::npos);
    CHECK(what.find("fit.batch") != std::string::npos);
  }
  CHECK(parse_bytes("2GiB") == std::size_t(2) << 30);
  CHECK(parse_bytes("1.5 M") == std::size_t(3) << 19);
  CHECK_THROWS_AS(parse_bytes("a lot"), InputError);
  CHECK_THROWS_AS(plan.reserve<double>("too large", MemoryClass::weights, {1ll << 40, 1ll << 40}), InputError);
}
