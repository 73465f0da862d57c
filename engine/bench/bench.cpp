#include "bench.h"
#include "data/json.h"
#include "engine/training/interrupt.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/add.h"
#include "kernels/operations/gemm.h"
#include "kernels/parts/limits.h"
#include "tensors.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>

namespace theta {

namespace {

constexpr int samples = 11, warm_ups = 3;
constexpr double sample_seconds = 2e-3; // a sample lasts at least this long
constexpr double patience = 10;         // a case that is slower than this in all is sampled less often

// The commit that this tree is at: git's, else what a bundle was made from, else "unknown".
std::string commit() {
  std::string line;
  if (FILE *git = popen("git rev-parse HEAD 2>/dev/null", "r")) {
    char text[64] = "";
    if (fgets(text, sizeof text, git))
      line = text;
    pclose(git);
  }
  if (line.empty())
    std::getline(std::ifstream("COMMIT"), line);
  while (!line.empty() && line.back() == '\n')
    line.pop_back();
  return line.empty() ? "unknown" : line;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

double median_seconds(Stream &s, const std::function<void(int)> &run) {
  Stopwatch watch(s);
  int i = 0;
  const auto time = [&](int count) {
    watch.start();
    for (int k = 0; k < count; ++k)
      run(i++);
    return watch.stop() / count;
  };
  double once = time(1); // the first run may load code; the second is as slow as the rest
  if (once < patience / 4)
    once = time(1);
  if (once > patience / 2)
    return once;
  for (int w = 0; w < warm_ups && once < patience / 20; ++w)
    once = time(1);
  const int count = std::max(1, int(sample_seconds / std::max(once, 1e-7)));
  const int wanted = std::clamp(int(patience / (once * count)), 1, samples);
  std::vector<double> seconds;
  for (int sample = 0; sample < wanted; ++sample)
    seconds.push_back(time(count));
  std::nth_element(seconds.begin(), seconds.begin() + wanted / 2, seconds.end());
  return seconds[std::size_t(wanted / 2)];
}

template <class T> double product_rate(Stream &s, int side) {
  const std::size_t n = std::size_t(side) * side;
  Tensors tensors(s, {n * sizeof(T), n * sizeof(T), n * sizeof(T)}, 1);
  const Gemm p{.m = side, .n = side, .k = side, .transpose_b = true};
  return 2.0 * side * side * side /
         median_seconds(s, [&](int) { gemm<T>(s, tensors.at<T>(0, 0), tensors.at<T>(0, 1), tensors.at<T>(0, 2), p); });
}

} // namespace

BenchCeilings measure_ceilings(Stream &s) {
  BenchCeilings c;
  const std::size_t bytes = std::size_t(s.is_cuda() ? 1024 : 512) << 20;
  Tensors tensors(s, {bytes, bytes}, 1);
  const double copied = median_seconds(s, [&](int) {
    if (s.is_cuda())
      return copy(s, tensors.at<std::byte>(0, 0), tensors.at<std::byte>(0, 1), bytes);
    constexpr int parts = 64; // memcpy on every thread
    parallel_each(parts, [&](long part) {
      copy(s, tensors.at<std::byte>(0, 0) + part * (bytes / parts),
           tensors.at<std::byte>(0, 1) + part * (bytes / parts), bytes / parts);
    });
  });
  c.copy = 2.0 * double(bytes) / copied;
  stop_if_interrupted("bench");
  if (!s.is_cuda()) { // a processor fetches the lines that a copy will overwrite; an update in place pays for nothing
                      // else
    const std::size_t n = bytes / sizeof(float);
    auto *y = tensors.at<float>(0, 0);
    const double updated = median_seconds(s, [&](int) { add_scaled<float>(s, y, y, tensors.at<float>(0, 1), 0.5, n); });
    c.copy = std::max(c.copy, 3.0 * double(bytes) / updated);
  }
  stop_if_interrupted("bench");
  if (s.is_cuda()) {
    c.fp32 = product_rate<float>(s, 8192), c.bf16 = product_rate<bf16>(s, 8192);
  } else {
    c.one_core = multiply_add_rate(1);
    c.fp32 = multiply_add_rate(threads()), c.bf16 = pair_rate(threads());
    stop_if_interrupted("bench");
    c.product = product_rate<float>(s, 1024), c.half_product = product_rate<bf16>(s, 1024);
    c.first_cache = read_rate(std::size_t(16) << 10, threads());
    c.second_cache = read_rate(std::size_t(256) << 10, threads());
  }
  return c;
}

BenchResult measure(Stream &s, const BenchCase &c, const BenchCeilings &ceilings) {
  const auto run = c.prepare(s);
  BenchResult r{c.name, median_seconds(s, run), c.bytes, c.flops, c.planned_bytes, c.steps};
  const double floor = std::max(c.bytes / ceilings.copy, c.flops / (c.half_products ? ceilings.bf16 : ceilings.fp32));
  r.share = floor / r.seconds;
  return r;
}

std::string bench_record(const DeviceFacts &device, const BenchCeilings &c, const std::vector<BenchResult> &results) {
  Json all = Json::array();
  for (const auto &r : results) {
    Json entry = {{"name", r.name},
                  {"value", r.seconds * 1e3},
                  {"unit", "ms"},
                  {"share_of_limit", r.share},
                  {"bytes", r.bytes},
                  {"flops", r.flops},
                  {"GB_per_s", r.bytes / r.seconds * 1e-9},
                  {"TFLOP_per_s", r.flops / r.seconds * 1e-12}};
    if (r.planned_bytes > 0)
      entry["planned_bytes"] = r.planned_bytes;
    if (r.steps > 0)
      entry["network_steps_per_s"] = r.steps / r.seconds;
    all.push_back(entry);
  }
  Json ceilings{{"copy_GB_per_s", c.copy * 1e-9}};
  if (device.device.backend == Backend::cuda) {
    ceilings["fp32_product_TFLOP_per_s"] = c.fp32 * 1e-12, ceilings["bf16_product_TFLOP_per_s"] = c.bf16 * 1e-12;
  } else {
    ceilings["multiply_add_TFLOP_per_s"] = c.fp32 * 1e-12, ceilings["one_core_TFLOP_per_s"] = c.one_core * 1e-12;
    ceilings["bf16_multiply_add_TFLOP_per_s"] = c.bf16 * 1e-12;
    ceilings["product_1024_TFLOP_per_s"] = c.product * 1e-12;
    ceilings["bf16_product_1024_TFLOP_per_s"] = c.half_product * 1e-12;
    ceilings["first_cache_GB_per_s"] = c.first_cache * 1e-9, ceilings["second_cache_GB_per_s"] = c.second_cache * 1e-9;
    ceilings["threads"] = device.units;
  }
  return Json{{"device", device.description}, {"capability", device.capability},
              {"commit", commit()},           {"date", today()},
              {"ceilings", ceilings},         {"results", all}}
      .dump(1);
}

} // namespace theta
