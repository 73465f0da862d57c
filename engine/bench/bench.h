// Measures operations and whole training steps against what the device can do at most: bytes over the rate of a copy
// and FLOPs over the rate of a matrix product, both measured in the same run.
#pragma once
#include "kernels/device/device.h"
#include <functional>
#include <string>
#include <vector>

namespace theta {

// One thing to measure. `prepare` makes whatever it works on and returns one run of it; run(i) is called with
// i = 0, 1, ...: it should work on other memory than the runs just before, so that no cache helps.
struct BenchCase {
  std::string name;
  double bytes = 0, flops = 0; // that one run must move and compute at least
  std::function<std::function<void(int)>(Stream &)> prepare;
  double planned_bytes = 0;   // of device memory, for whole steps
  bool half_products = false; // FLOPs are held against bf16 products; otherwise against fp32 ones
  double steps = 0;           // network-steps of one run, for trainings of zoos
};

struct BenchCeilings {
  double copy = 0; // bytes/s read and written by a copy within the device; on the cpu by an update in place, if faster
  double fp32 = 0; // FLOP/s: on cuda of a large fp32 product, on the cpu of multiply-adds in registers, all threads
  double bf16 = 0; // FLOP/s of the same in bf16, with sums in fp32
  // On the cpu alone:
  double one_core = 0;                      // FLOP/s of multiply-adds on one thread
  double product = 0, half_product = 0;     // FLOP/s of a product of 1024 x 1024 matrices, fp32 and bf16
  double first_cache = 0, second_cache = 0; // bytes/s read from 16 KiB and 256 KiB a core, all threads
};

struct BenchResult {
  std::string name;
  double seconds = 0; // median of a run
  double bytes = 0, flops = 0, planned_bytes = 0, steps = 0;
  double share = 0; // of the time that the ceilings allow: 1 is the floor itself
};

// Every case for a device: each operation at sizes that matter there, and whole training steps.
std::vector<BenchCase> bench_cases(const Device &);

BenchCeilings measure_ceilings(Stream &);

// Median over several samples, each long enough for the clock, after warming up.
BenchResult measure(Stream &, const BenchCase &, const BenchCeilings &);

// The record that runs/records/ keeps: device, commit, date, ceilings, results.
std::string bench_record(const DeviceFacts &, const BenchCeilings &, const std::vector<BenchResult> &);

} // namespace theta
