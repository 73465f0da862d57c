#include "data/zoo_reader.h"
#include "engine/generators/network_source.h"
#include "engine/memory/arena.h"
#include "engine/zoo/zoo_stream.h"
#include "small_data.h"
#include "tests/check.h"
#include <set>

using namespace theta;
using namespace theta::test;

namespace {

// A stream of small_task's networks, and the rows taken from it.
struct TestStream {
  Dataset data = small_data();
  ZooTask task = small_task("unused");
  Device device;
  MemoryPlan plan{"stream"};
  std::optional<Arena> arena;
  ZooStream stream; // ends before its memory
  Stream s;
  std::vector<float> theta;
  std::vector<ZooStream::Row> rows;

  explicit TestStream(Device d, int wave = 3, double divergence_limit = 1e3, long count = 10)
      : device(d), stream(recipe(wave, divergence_limit, count), task.network, task.seed, sizes_of(data), d.backend),
        s(d) {}
  const ZooRecipe &recipe(int wave, double divergence_limit, long count) {
    task.recipe.wave = wave, task.recipe.count = count, task.recipe.divergence_limit = divergence_limit;
    return task.recipe;
  }
  void start(StreamPosition from = {}) {
    stream.plan(plan);
    plan.place();
    arena.emplace(device, plan);
    stream.start(device, data, from, 1);
  }
  void take(std::size_t count) {
    const Buffer<float> out(s, count * stream.parameters());
    const auto more = stream.next(s, out, count);
    const auto weights = out.host();
    rows.insert(rows.end(), more.begin(), more.end());
    theta.insert(theta.end(), weights.begin(), weights.end());
  }
};

} // namespace

TEST_CASE("zoo stream: hands out the networks that a zoo of the same seed holds, in its order") {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    const Scratch folder;
    TestStream source(device);
    source.task.directory = folder.path() / "zoo", source.task.recipe.networks = 9;
    Journal journal;
    ZooTrainer(source.task, sizes_of(source.data), device.backend).run(device, source.data, journal);
    const ZooReader zoo(source.task.directory);
    source.start();
    for (const std::size_t count : {1, 4, 6, 2, 5}) // waves of 3 runs with 2 rows each: 6
      source.take(count);
    std::vector<float> row(zoo.parameters());
    for (std::size_t r = 0; r < 18; ++r) {
      zoo.theta(r, row.data());
      CHECK(std::equal(row.begin(), row.end(), source.theta.begin() + std::ptrdiff_t(r * row.size())));
      CHECK(source.rows[r].run == zoo.integers("run")[r]);
      CHECK(source.rows[r].step == zoo.integers("step")[r]);
      CHECK(source.rows[r].train_loss == zoo.floats("train_loss")[r]);
      for (const char *column : {"test_loss", "test_accuracy", "validation_loss", "validation_accuracy", "lr"})
        CHECK(source.stream.fact(source.rows[r], column) == zoo.floats(column)[r]);
    }
    CHECK(source.stream.position() == StreamPosition{3, 0});
  }
}

TEST_CASE("zoo stream: goes on from a position with the same rows") {
  TestStream whole(Device{}), before(Device{}), after(Device{});
  whole.start();
  whole.take(20);
  before.start();
  before.take(8);
  after.start(before.stream.position());
  after.take(12);
  before.theta.insert(before.theta.end(), after.theta.begin(), after.theta.end());
  CHECK(before.theta == whole.theta);
}

TEST_CASE("stream source: pairs are two rows of one run, none held out, no run twice") {
  constexpr int networks = 4, batches = 5;
  TestStream plain(Device{}, 3, 1e3, 4), paired(Device{}, 3, 1e3, 4); // runs of five rows
  plain.start(), paired.start();
  plain.take(5 * 30);
  const std::size_t v = plain.stream.parameters();
  const auto row_of = [&](float run, float step) {
    for (std::size_t r = 0; r < plain.rows.size(); ++r)
      if (float(plain.rows[r].run) == run && float(plain.rows[r].step) == step)
        return plain.theta.begin() + std::ptrdiff_t(r * v);
    return plain.theta.end();
  };
  const Buffer<float> theta(paired.s, networks * v), start(paired.s, networks * v), run_rows(paired.s, 5 * v);
  StreamSource source(paired.stream, paired.task.recipe, {networks, true, {"run", "step"}}, run_rows, 1);
  std::set<float> runs, steps;
  for (int batch = 0; batch < batches; ++batch) {
    const auto facts = source.next(paired.s, theta, start);
    const auto targets = theta.host(), starts = start.host();
    for (std::size_t b = 0; b < networks; ++b) {
      const float run = facts.target[b], target_step = facts.target[networks + b],
                  start_step = facts.start[networks + b];
      CHECK(runs.insert(run).second);
      CHECK(facts.start[b] == run);
      CHECK(start_step < target_step);
      steps.insert(target_step);
      const auto target_row = row_of(run, target_step), start_row = row_of(run, start_step);
      REQUIRE((target_row != plain.theta.end() && start_row != plain.theta.end()));
      CHECK(std::equal(target_row, target_row + std::ptrdiff_t(v), targets.begin() + std::ptrdiff_t(b * v)));
      CHECK(std::equal(start_row, start_row + std::ptrdiff_t(v), starts.begin() + std::ptrdiff_t(b * v)));
      CHECK(!(run < float(plain.task.recipe.networks) && is_held_out(long(run), plain.task.recipe.held_out)));
    }
  }
  CHECK(steps == std::set<float>{8, 12, 16, 20}); // all but the first, among 20 drawn
  TestStream single(Device{}, 3, 1e3, 20);
  CHECK_THROWS_AS(StreamSource(single.stream, single.task.recipe, {1, true, {}}, run_rows, 1), InputError);
}

TEST_CASE("zoo stream: a recipe under which every run diverges is an error, not a wait without end") {
  TestStream source(Device{}, 3, 1e-6);
  source.start();
  CHECK_THROWS_AS(source.take(1), Error);
}
