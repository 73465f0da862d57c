#include "kernels/device/parallel.h"
#include "kernels/parts/limits.h"
#include "tests/check.h"
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

using namespace theta;

TEST_CASE("threads: every piece of a loop is done once, by a thread of the team, whatever its size") {
  for (const int team : {1, 2, 3, 5}) {
    use_threads(team);
    CHECK(threads() == team);
    for (const long n : {0L, 1L, 7L, 64L, 1000L}) {
      std::vector<std::atomic<int>> seen(std::size_t(n) + 1);
      std::atomic<bool> strangers = false;
      parallel_each(n, [&](long i) {
        ++seen[std::size_t(i)];
        if (thread_index() < 0 || thread_index() >= team)
          strangers = true;
      });
      parallel_for(n, 1e9, [&](long i) { ++seen[std::size_t(i)]; });
      for (long i = 0; i < n; ++i)
        CHECK(seen[std::size_t(i)] == 2);
      CHECK(seen[std::size_t(n)] == 0);
      CHECK(!strangers);
    }
  }
  use_threads(1);
}

TEST_CASE("threads: many short loops one after another, and loops within loops") {
  use_threads(3);
  std::vector<int> sum(16, 0);
  for (int round = 0; round < 2000; ++round)
    parallel_each(16, [&](long i) { parallel_each(2, [&](long j) { sum[std::size_t(i)] += int(j) + 1; }); });
  for (const int of : sum)
    CHECK(of == 6000);
  use_threads(1);
}

TEST_CASE("threads: each calling thread has a team and a number of its own") {
  use_threads(2);
  long total[2] = {};
  std::thread other([&] {
    use_threads(3);
    std::atomic<long> sum = 0;
    for (int round = 0; round < 200; ++round)
      parallel_each(10, [&](long i) { sum += i; });
    total[1] = sum;
  });
  std::atomic<long> sum = 0;
  for (int round = 0; round < 200; ++round)
    parallel_for(10, 10, 1e9, [&](long i, long j) { sum += i * 10 + j; });
  total[0] = sum;
  other.join();
  CHECK(threads() == 2);
  CHECK(total[0] == 200 * 4950);
  CHECK(total[1] == 200 * 45);
  use_threads(1);
}

TEST_CASE("limits: two cores multiply more than none, and a first cache is read") {
  CHECK(multiply_add_rate(1) > 1e6);
  CHECK(read_rate(16 << 10, 1) > 1e6);
}
