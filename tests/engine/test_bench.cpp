#include "data/json.h"
#include "engine/bench/bench.h"
#include "tests/check.h"
#include <set>

using namespace theta;

TEST_CASE("bench: every case has a name of its own, a floor, and the whole steps a plan") {
  for (const Device device : {Device{}, Device{Backend::cuda, 0}}) {
    if (device.backend == Backend::cuda && !built_with_cuda)
      continue;
    std::set<std::string> names;
    for (const auto &c : bench_cases(device)) {
      CAPTURE(c.name);
      CHECK(names.insert(c.name).second);
      CHECK(c.bytes + c.flops > 0);
      const bool whole = c.name.starts_with("pdiff_") || c.name.starts_with("transformer_") ||
                         c.name.starts_with("graph_") || c.name.starts_with("sample_");
      CHECK((c.planned_bytes > 0) == whole);
    }
    CHECK(names.size() > 20);
  }
}

TEST_CASE("p-diff of 300,288 parameters, latent 1024, batch 50, trains in 14 GB of a GPU") {
  if (!built_with_cuda)
    return; // workspaces of kernels are part of it
  const auto cases = bench_cases(Device{Backend::cuda, 0});
  const auto step = std::find_if(cases.begin(), cases.end(),
                                 [](const BenchCase &c) { return c.name == "pdiff_vae_step_b50_v300288_latent1024"; });
  REQUIRE(step != cases.end());
  CHECK(step->planned_bytes <= 14e9);
  CHECK(step->planned_bytes > 7.3e9); // 615 million weights in the two wide products, with two moments each
}

TEST_CASE("bench: runs a case on every device; the record says what was measured") {
  for (const Device device : theta::test::all_devices()) {
    Stream s(device);
    int runs = 0, prepared = 0;
    const BenchCase c{"twice", 2e6, 0, [&](Stream &) {
                        ++prepared;
                        return [&runs](int i) { CHECK(i == runs++); };
                      }};
    const BenchResult r = measure(s, c, {1e9, 1e12, 1e12});
    CHECK(prepared == 1);
    CHECK(runs > 10);
    CHECK(r.share == doctest::Approx(2e-3 / r.seconds)); // 2 MB at 1 GB/s
    DeviceFacts facts{device, "a device", 1 << 30, 1, "1.0"};
    const Json record = Json::parse(bench_record(facts, {1e9, 1e12, 2e12}, {r}));
    CHECK(record.at("device") == "a device");
    CHECK(record.at("ceilings")
              .at(device.backend == Backend::cuda ? "bf16_product_TFLOP_per_s" : "multiply_add_TFLOP_per_s") ==
          (device.backend == Backend::cuda ? 2 : 1));
    CHECK(record.at("results").at(0).at("name") == "twice");
    CHECK(record.at("results").at(0).at("unit") == "ms");
    CHECK(record.at("results").at(0).at("value") == doctest::Approx(r.seconds * 1e3));
    CHECK(record.at("date").get<std::string>().size() == 10);
    CHECK(!record.at("commit").get<std::string>().empty());
  }
}
