#include "data/json.h"
#include "kernels/device/memory_watch.h"
#include "kernels/operations/add.h"
#include "kernels/operations/gemm.h"
#include "tests/check.h"
#include "tests/scratch.h"
#include <fstream>

using namespace theta;
using namespace theta::test;

namespace {

Json read(const std::filesystem::path &path) {
  std::ifstream file(path);
  return Json::parse(file);
}

std::vector<Json> named(const Json &trace, const std::string &name) {
  std::vector<Json> found;
  for (const Json &event : trace)
    if (event["name"] == name)
      found.push_back(event);
  return found;
}

} // namespace

TEST_CASE("trace: operations within stages, with their bytes and FLOPs, and the memory that lives; nothing when off") {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    const auto path = folder.path() / "trace.json";
    Stream s(device);
    start_trace(path);
    {
      const Span stage("fit");
      const Buffer<float> a(s, random_values<float>(6, 1)), b(s, random_values<float>(6, 2)), c(s, std::size_t(4));
      gemm<float>(s, c, a, b, {.m = 2, .n = 2, .k = 3});
      add_scaled<float>(s, c, c, c, 1, 4);
    }
    end_trace();
    const Buffer<float> x(s, random_values<float>(4, 3));
    add_scaled<float>(s, x, x, x, 1, 4); // after the end: not in the file
    const Json trace = read(path);
    const auto gemms = named(trace, "gemm"), sums = named(trace, "add_scaled"), stages = named(trace, "fit"),
               memory = named(trace, "memory");
    REQUIRE(gemms.size() == 1);
    CHECK(gemms[0]["args"]["flops"] == 2 * 2 * 2 * 3);
    CHECK(gemms[0]["args"]["bytes"] == 4 * (6 + 6 + 4));
    CHECK(gemms[0]["cat"] == "operation");
    REQUIRE(sums.size() == 1);
    CHECK(sums[0]["args"]["bytes"] == 3 * 4 * 4);
    REQUIRE(stages.size() == 1);
    CHECK(stages[0]["cat"] == "stage");
    // Within the stage, in order.
    const auto begin = [](const Json &e) { return e["ts"].get<double>(); };
    const auto end = [&](const Json &e) { return begin(e) + e["dur"].get<double>(); };
    CHECK(begin(stages[0]) <= begin(gemms[0]));
    CHECK(end(gemms[0]) <= begin(sums[0]) + 1e-3); // written to a nanosecond
    CHECK(end(sums[0]) <= end(stages[0]) + 1e-3);
    // Three buffers taken and given back.
    REQUIRE(memory.size() == 6);
    const auto device_bytes = [&](std::size_t i) { return memory[i]["args"]["device"].get<long>(); };
    CHECK(device_bytes(2) - device_bytes(0) == 24 + 16);
    CHECK(device_bytes(5) == device_bytes(0) - 24);
    CHECK(trace.back()["name"] == "end");
  }
  CHECK_THROWS_AS(start_trace("/nowhere/at/all/trace.json"), Error);
}

// What is touched shows; what is only taken does not.
TEST_CASE("memory watch: the most that was resident, over what was there") {
  constexpr std::size_t bytes = std::size_t(64) << 20;
  const MemoryWatch watch{Device{}};
  CHECK(watch.before() > 0);
  {
    const Memory memory(Device{}, bytes);
    Stream s{Device{}};
    fill_zero(s, memory.data(), bytes);
  }
  constexpr std::size_t uncounted = 2 * 64 * 4096; // pages that a thread has not told the kernel's count of yet
  CHECK(watch.peak() >= bytes - uncounted);
  const MemoryWatch after{Device{}}; // the mark falls
  CHECK(after.peak() < bytes / 2);
}
