#include "kernels/device/parallel.h"
#include "kernels/operations/attention.h"
#include "kernels/operations/batchnorm.h"
#include "kernels/operations/conv1d.h"
#include "kernels/operations/gemm.h"
#include "kernels/operations/random.h"
#include "kernels/operations/reduce.h"
#include "kernels/parts/limits.h"
#include "tests/check.h"
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

using namespace theta;
using namespace theta::test;

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
  use_threads(0);
}

TEST_CASE("threads: many short loops one after another, and loops within loops") {
  use_threads(3);
  std::vector<int> sum(16, 0);
  for (int round = 0; round < 2000; ++round)
    parallel_each(16, [&](long i) { parallel_each(2, [&](long j) { sum[std::size_t(i)] += int(j) + 1; }); });
  for (const int of : sum)
    CHECK(of == 6000);
  use_threads(0);
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
  use_threads(0);
}

TEST_CASE("threads: an operation gives the same bits on one thread as on several") {
  Stream s{Device{}};
  std::vector<std::vector<float>> first;
  for (const int team : {1, 2, 3}) {
    use_threads(team);
    std::vector<std::vector<float>> found;
    const auto keep = [&](const Buffer<float> &x) { found.push_back(x.host()); };
    const Buffer<float> a(s, random_values<float>(300 * 200, 1)), b(s, random_values<float>(200 * 130, 2)),
        c(s, std::size_t(300 * 130));
    gemm<float>(s, c, a, b, {.m = 300, .n = 130, .k = 200});
    keep(c);
    const Conv1d p{.batch = 9, .in_channels = 20, .out_channels = 18, .in_length = 90, .stride = 2};
    const Buffer<float> x(s, random_values<float>(p.x_size(), 3)), w(s, random_values<float>(p.w_size(), 4)),
        y(s, p.y_size()), dx(s, p.x_size()), dw(s, std::vector<float>(p.w_size())),
        space(s, conv1d_workspace(Backend::cpu, p));
    conv1d_forward<float>(s, y, x, w, nullptr, space, p);
    conv1d_backward_data<float>(s, dx, y, w, nullptr, space, p);
    conv1d_backward_weight<float>(s, dw, y, x, space, p);
    keep(y), keep(dx), keep(dw);
    for (const Attention shape : {Attention{30, 9, 2, 24}, Attention{3, 70, 4, 24}}) {
      const std::size_t n = std::size_t(shape.batch) * shape.tokens * shape.heads * shape.head;
      const Buffer<float> qkv(s, random_values<float>(3 * n, 5)), out(s, n), d(s, 3 * n),
          sums(s, shape.pairs() * std::size_t(shape.tokens)), more(s, shape.pairs() * std::size_t(shape.tokens));
      attention_forward<float>(s, out, sums, qkv, nullptr, shape);
      attention_backward<float>(s, d, out, out, sums, qkv, nullptr, more, shape);
      keep(out), keep(d);
    }
    const Buffer<float> normal(s, std::size_t(3 * 30'001)), norm(s, std::size_t(1)), parts(s, partial_sums);
    fill_normal<float>(s, normal, 3, 30'001, 1, {5, Purpose::test});
    global_norm<float>(s, norm, normal, 3 * 30'001, parts);
    keep(normal), keep(norm);
    if (team == 1)
      first = found;
    CHECK(found == first);
  }
  use_threads(0);
}

TEST_CASE("limits: two cores multiply more than none, and a first cache is read") {
  CHECK(multiply_add_rate(1) > 1e6);
  CHECK(read_rate(16 << 10, 1) > 1e6);
}
