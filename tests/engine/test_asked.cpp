#include "data/zoo_writer.h"
#include "engine/pipeline/configuration/source.h"
#include "engine/tasks/asked.h"
#include "small_data.h"
#include "tests/check.h"
#include <fstream>
#include <set>

using namespace theta;
using namespace theta::test;

namespace {

// Forty networks of eight weights, on a straight line of their loss, r/40 of network r; even ones were seen. Of kind r mod 2.
struct Line {
  Scratch folder;
  std::vector<std::size_t> training, held_out;
  std::vector<float> start = random_values<float>(8, 1), way = random_values<float>(8, 2);

  Line() {
    ZooWriter writer(folder.path() / "zoo", format({{"validation_loss", Dtype::f32}, {"kind", Dtype::i64}}), 100);
    for (std::size_t r = 0; r < 40; ++r) {
      const double loss = double(r) / 40;
      writer.append(at(loss).data(), {loss, std::int64_t(r % 3)});
      (r % 2 ? held_out : training).push_back(r);
    }
    writer.finish();
  }
  static ZooFormat format(std::vector<Column> columns) {
    return {{{"w", {8}, 0}}, 8, Dtype::f32, std::move(columns), "{}"};
  }
  std::vector<float> at(double loss) const {
    std::vector<float> theta = start;
    for (std::size_t c = 0; c < 8; ++c)
      theta[c] += float(loss) * way[c];
    return theta;
  }
  // Samples that were told these.
  std::filesystem::path samples(const std::string &name, const std::vector<std::string> &told,
                                const std::vector<std::vector<double>> &values) const {
    std::vector<Column> columns{{"sample", Dtype::i64}};
    for (const std::string &each : told)
      columns.push_back({"told_" + each, Dtype::f32});
    ZooWriter writer(folder.path() / name, format(columns), 100);
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::vector<ColumnValue> row{std::int64_t(i)};
      for (const double value : values[i])
        row.emplace_back(value);
      writer.append(start.data(), row);
    }
    writer.finish();
    return folder.path() / name;
  }
};

} // namespace

TEST_CASE("asked: held-out networks have what samples were told, numbers by their place, labels by themselves") {
  const Line line;
  const ZooReader zoo(line.folder.path() / "zoo");
  const ZooReader ranks(line.samples("ranks", {"rank.validation_loss"}, std::vector<std::vector<double>>(30, {0.5})));
  const Asked asked(zoo, line.training, ranks);
  CHECK(asked.is_something());
  CHECK(asked.prompts() == 1);
  // Of 20 seen losses 0, 2/40, ..., held-out r/40 has the place (r + 1)/40: within 0.1 of a half are r = 15 to 23, odd.
  const auto found = asked.having(line.held_out, 100, 0.1001, 1);
  CHECK(std::set<std::size_t>(found.rows.begin(), found.rows.end()) == std::set<std::size_t>{15, 17, 19, 21, 23});
  CHECK(found.rows.size() == 5); // none twice
  CHECK(found.in_all == 5);
  CHECK(asked.having(line.held_out, 3, 0.1001, 1).rows.size() == 3);
  CHECK(asked.text(0.1) == "rank.validation_loss of place 0.5 ± 0.1");

  // A loss is told by itself and counts by its place; a label must be the same; two prompts share what both have.
  const ZooReader both(line.samples("both", {"validation_loss", "kind"}, {{0.5, 1}, {0.5, 2}, {0.5, 1}, {0.5, 2}}));
  const auto of_both = Asked(zoo, line.training, both).having(line.held_out, 100, 0.1001, 1);
  CHECK(of_both.in_all == 3); // 15, 21 of kind 0 are left out
  CHECK(std::set<std::size_t>(of_both.rows.begin(), of_both.rows.end()) == std::set<std::size_t>{17, 19, 23});
  CHECK(Asked(zoo, line.training, both).prompts() == 2);

  // What the zoo says nothing of, and samples that were told nothing.
  CHECK_FALSE(
      Asked(zoo, line.training, ZooReader(line.samples("start", {"start.validation_loss"}, {{0.5}}))).is_something());
  CHECK_FALSE(Asked(zoo, line.training, ZooReader(line.samples("none", {}, {{}}))).is_something());
}

TEST_CASE("asked: the nearest seen networks, and a straight line, answer a prompt") {
  const Line line;
  const ZooReader zoo(line.folder.path() / "zoo");
  const ZooReader samples(line.samples("samples", {"validation_loss"}, {{0.2}, {0.7}, {0.2}, {0.7}, {0.2}}));
  const Asked asked(zoo, line.training, samples);
  const NetworkSet nearest = asked.retrieved(10);
  CHECK(nearest.count == 5);
  CHECK(nearest.source.empty());
  std::vector<float> theta(8);
  const auto is_at = [&](double loss) { return relative_error(theta, line.at(loss)) <= 1e-6; };
  for (const auto &[sample, loss] : {std::pair{0, 0.2}, {1, 0.7}}) {
    nearest.network(std::size_t(sample), theta.data());
    CHECK(is_at(loss)); // row 8, row 28
  }
  std::set<float> different;
  for (const std::size_t sample : {0, 2, 4}) {
    nearest.network(sample, theta.data());
    different.insert(theta[0]);
    CHECK((is_at(0.2) || is_at(0.15) || is_at(0.25)));
  }
  CHECK(different.size() == 3);

  // The ridge of one network's weight takes 1/21 of the way from the mean of 20 networks.
  const NetworkSet line_of_best_fit = asked.regressed(10, 1, 100, {});
  const auto places = [](double loss) { return (loss * 40 + 1) / 40; }; // of a seen network that stands there
  double mean = 0;
  for (int r = 0; r < 40; r += 2)
    mean += places(r / 40.0) / 20;
  for (const std::size_t sample : {std::size_t(0), std::size_t(1)}) {
    line_of_best_fit.network(sample, theta.data());
    const double told = sample == 0 ? 0.2 : 0.7, place = mean + (places(told) - mean) * 20 / 21;
    CHECK(is_at(place - 1.0 / 40));
  }
}

TEST_CASE("asked: what a generator is told never comes from the images that its networks are judged on") {
  const Scratch folder;
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << "[network]\nwidths = [49, 4, 10]\n[data]\npool = 4\n[fit]\ngenerator = 'transformer'\n";
  const DatasetSizes sizes{55000, 5000, 10000, 49, 10};
  const auto told = [&](const std::string &condition, const std::string &part) {
    source_of(load_config(path, {"fit.transformer.conditions=['" + condition + "']", "fit.transformer.start=true",
                                 "zoo.checkpoints=log", "zoo.count=4", "eval.part=" + part}),
              sizes);
  };
  DatasetSizes none = sizes;
  none.validation = 0;
  CHECK_THROWS_WITH_AS(source_of(load_config(path, {"fit.transformer.conditions=['rank.validation_loss']"}), none),
                       doctest::Contains("data.validation = 0"), InputError);
  for (const char *column : {"loss", "accuracy"})
    for (const std::string form : {"", "rank.", "start.", "delta."}) {
      CHECK_NOTHROW(told(form + "validation_" + column, "test"));
      CHECK_THROWS_WITH_AS(told(form + "test_" + column, "test"),
                           doctest::Contains(("expected validation_" + std::string(column)).c_str()), InputError);
      CHECK_THROWS_WITH_AS(told(form + "validation_" + column, "validation"),
                           doctest::Contains(("expected test_" + std::string(column)).c_str()), InputError);
    }
}
