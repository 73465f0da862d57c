// A zoo's networks with their units in one order: nothing but that changes.
#include "engine/networks/kind.h"
#include "engine/weights/symmetry.h"
#include "engine/zoo/align.h"
#include "engine/zoo/zoo_trainer.h"
#include "small_data.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("align: copies whose units were exchanged come home, rows and columns stay") {
  const Scratch scratch;
  const Silence silence;
  const NetworkShape shape{{6, 5, 3}, Activation::relu};
  const Layout layout = layout_of(shape);
  const std::size_t v = layout.size();
  ZooFormat format{layout.places(), v, Dtype::f32, {{"run", Dtype::i64}, {"test_loss", Dtype::f32}}};
  format.facts = R"({"architecture": )" + architecture_of(shape) + R"(, "seed": 4})";
  std::vector<std::vector<float>> networks;
  {
    ZooWriter writer(scratch.path() / "zoo", format, 4); // two shards
    const auto home = random_values<float>(v, 1);
    for (int i = 0; i < 6; ++i) {
      auto theta = home;
      std::vector<int> order;
      for (std::uint32_t u = 0; u < 5; ++u)
        order.push_back(int(shuffled(3, Purpose::test, std::uint32_t(i), u, 5)));
      permute_units(theta.data(), shape, 0, order);
      if (i == 5)
        theta = random_values<float>(v, 2); // another network
      networks.push_back(theta);
      writer.append(theta.data(), {std::int64_t(10 + i), 0.5 * i});
    }
    writer.finish();
  }
  Journal journal({}, Journal::Without::terminal);
  const ZooReader zoo(scratch.path() / "zoo");
  align_zoo(zoo, scratch.path() / "aligned", 2, false, journal);
  const ZooReader aligned(scratch.path() / "aligned");
  REQUIRE(aligned.rows() == 6);
  CHECK(aligned.corrupt_rows().empty());
  CHECK(aligned.integers("run") == zoo.integers("run"));
  CHECK(aligned.floats("test_loss") == zoo.floats("test_loss"));
  CHECK(aligned.format().facts.find("\"seed\":4") != std::string::npos);
  CHECK(aligned.format().facts.find("\"aligned\"") != std::string::npos);
  std::vector<float> theta(v);
  for (std::size_t row = 0; row < 5; ++row) {
    aligned.theta(row, theta.data());
    CHECK(theta == networks[2]);
  }
  aligned.theta(5, theta.data());
  const auto distance = [&](const std::vector<float> &a) {
    double sum = 0;
    for (std::size_t i = 0; i < v; ++i)
      sum += double(a[i] - networks[2][i]) * double(a[i] - networks[2][i]);
    return sum;
  };
  CHECK(distance(theta) < distance(networks[5]));
  std::sort(theta.begin(), theta.end()), std::sort(networks[5].begin(), networks[5].end());
  CHECK(theta == networks[5]); // moved, not changed

  const auto refused = [&](std::size_t to, bool balances, const std::string &says, const char *folder) {
    CHECK_THROWS_WITH_AS(align_zoo(zoo, scratch.path() / folder, to, balances, journal),
                         doctest::Contains(says.c_str()), InputError);
  };
  refused(6, false, "--to: found 6, expected a row", "new");
  refused(0, false, "found a zoo there, expected a new folder", "aligned");
  CHECK(!std::filesystem::exists(scratch.path() / "new"));
}
