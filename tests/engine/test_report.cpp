// Pictures and pages: what they say is what the data say.
#include "data/base64.h"
#include "data/json.h"
#include "engine/analysis/trajectories.h"
#include "engine/memory/arena.h"
#include "engine/pipeline/pages/watch.h"
#include "engine/pipeline/stages/trajectories_file.h"
#include "engine/report/charts.h"
#include "engine/report/figures.h"
#include "engine/report/font.h"
#include "engine/report/page.h"
#include "engine/report/plane_chart.h"
#include "engine/zoo/trainer_kind.h"
#include "small_data.h"
#include "tests/check.h"
#include <fstream>
#include <set>

using namespace theta;
using namespace theta::test;

TEST_CASE("report: text has a width and covers pixels, whatever its characters") {
  CHECK(width_of_text("", 13) == 0);
  CHECK(width_of_text("mm", 13) == doctest::Approx(2 * width_of_text("m", 13)).epsilon(0.1));
  CHECK(width_of_text("m", 26) == doctest::Approx(2 * width_of_text("m", 13)).epsilon(0.1));
  CHECK(width_of_text("i", 13) < width_of_text("m", 13));
  CHECK(width_of_text("ä", 13) == width_of_text("a", 13)); // one character of two bytes
  for (const std::string text : {"accuracy ± 0.5 %", "½ · √ θ σ", "\xff\xc3"}) {
    double covered = 0;
    rasterise(text, 13, [&](int x, int y, double share) {
      CHECK((x >= -2 && x <= width_of_text(text, 13) + 2 && y >= 0 && y < 13));
      CHECK((share > 0 && share <= 1));
      covered += share;
    });
    CHECK(covered > 10);
  }
  Canvas canvas(60, 20);
  canvas.text(2, 2, "theta", {0, 0, 0});
  CHECK(std::count_if(canvas.rgb().begin(), canvas.rgb().end(), [](auto c) { return c < 128; }) > 50);
}

TEST_CASE("report: a line covers what it should, and no more") {
  Canvas canvas(20, 20);
  canvas.line(4, 10, 16, 10, {0, 0, 0}, 1);
  const auto dark = [&](int x, int y) { return canvas.rgb()[std::size_t(y * 20 + x) * 3] < 128; };
  for (int x = 4; x <= 16; ++x)
    CHECK(dark(x, 10));
  CHECK(!dark(2, 10));
  CHECK(!dark(18, 10));
  CHECK(!dark(10, 8));
  canvas.line(2, 2, 18, 18, {0, 0, 0}, 1);
  for (int i = 3; i < 18; ++i)
    CHECK(dark(i, i));
  CHECK(!dark(3, 8));
}

TEST_CASE("report: marks of axes are round numbers within them") {
  const auto texts = [](double low, double high, bool logarithmic) {
    std::vector<std::string> all;
    for (const Tick &tick : ticks_of(low, high, logarithmic))
      all.push_back(tick.text);
    return all;
  };
  CHECK(texts(0, 1, false) == std::vector<std::string>{"0", "0.2", "0.4", "0.6", "0.8", "1"});
  CHECK(texts(-30, 70, false) == std::vector<std::string>{"-20", "0", "20", "40", "60"});
  CHECK(texts(0.01, 10, true) ==
        std::vector<std::string>{"0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10"});
  CHECK(texts(1, 1e6, true) == std::vector<std::string>{"1", "10", "100", "1000", "10000", "100000", "1e+06"});
  CHECK(texts(3, 4, true).size() >= 2); // no power of ten within: as on a linear one
}

TEST_CASE("report: base64 as RFC 4648 has it") {
  for (const auto &[bytes, text] : {std::pair{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}})
    CHECK(base64(bytes) == text);
}

TEST_CASE("report: a page holds its data, and nothing in them ends a script") {
  const Json run{{"name", "</script><b>&"}, {"groups", Json::array()}};
  const std::string page = page_of({run});
  const std::string begin = "<script id=\"data\" type=\"application/json\">";
  const auto from = page.find(begin) + begin.size(), to = page.find("</script>", from);
  CHECK(parse_json(page.substr(from, to - from), "page") == Json::array({run}));
  CHECK(page.find("<b>") == std::string::npos);
  CHECK(page.find("&lt;/script&gt;&lt;b&gt;&amp;") != std::string::npos);
  CHECK(page.find("fetch(") == std::string::npos);
  CHECK(page_of({run}, "7").find("fetch('/stamp')") != std::string::npos);
  std::set<std::string> names;
  for (const auto &figures : {figures_of_each(), figures_of_group()})
    for (const FigureText &f : figures) {
      CHECK(names.insert(f.name).second);
      CHECK(std::string(f.meaning).size() > 5);
    }
}

TEST_CASE("report: curves in text, of one late point, of constants and of lines that are being written") {
  const Scratch folder;
  CHECK_THROWS_AS(curves_in_text(folder.path(), 40, 5), InputError);
  std::ofstream(folder.path() / "metrics.jsonl") << R"({"stage":"fit.probe","step":20000,"accuracy":30000})"
                                                 << "\n"
                                                 << R"({"stage":"fit","step":1,"mse":2})"
                                                 << "\n"
                                                 << R"({"stage":"fit","step":2,"mse":1})"
                                                 << "\n"
                                                 << R"({"stage":"fit","st)";
  const std::string text = curves_in_text(folder.path(), 40, 5);
  CHECK(text.find("fit.probe accuracy: 30000 at step 20000") != std::string::npos);
  CHECK(text.find("fit mse: 1 at step 2") != std::string::npos);

  // A family's members come before what they share; a folder of runs is none.
  const std::filesystem::path member = folder.path() / "49-8-10";
  std::filesystem::create_directory(member);
  std::ofstream(member / "metrics.jsonl") << R"({"stage":"zoo","step":7,"train_loss":3})";
  CHECK(curves_in_text(folder.path(), 40, 5) == text);
  std::ofstream(folder.path() / "config.toml") << "seed = 1\n";
  const std::string all = curves_in_text(folder.path(), 40, 5);
  CHECK(all.starts_with("49-8-10: zoo train_loss: 3 at step 7"));
  CHECK(all.ends_with(text));
  std::filesystem::remove(folder.path() / "metrics.jsonl");
  CHECK(curves_in_text(folder.path(), 40, 5).find("fit") == std::string::npos);
}

TEST_CASE("trajectories: lengths, turns and the plane of ways that are known") {
  const Dataset data = small_data();
  const NetworkShape shape{{16, 4, 3}, Activation::relu};
  const std::size_t v = layout_of(shape).size();
  const auto base = random_values<float>(v, 1, 0.3);
  auto one = random_values<float>(v, 2, 0.1), other = random_values<float>(v, 3, 0.1);
  double product = 0, squares = 0;
  for (std::size_t c = 0; c < v; ++c)
    product += double(one[c]) * other[c], squares += double(one[c]) * one[c];
  for (std::size_t c = 0; c < v; ++c) // a right angle
    other[c] -= float(product / squares) * one[c];
  const auto length_of = [](const std::vector<float> &x) {
    double sum = 0;
    for (const float e : x)
      sum += double(e) * e;
    return std::sqrt(sum);
  };
  const auto along = [&](const std::vector<std::pair<float, float>> &places) {
    std::vector<float> states;
    for (const auto &[a, b] : places)
      for (std::size_t c = 0; c < v; ++c)
        states.push_back(base[c] + a * one[c] + b * other[c]);
    return states;
  };
  std::vector<std::pair<float, float>> straight;
  for (int i = 0; i <= 120; ++i) // more than are looked at
    straight.emplace_back(float(i) / 120, 0.0f);
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Evaluator evaluator(shape, data.test.size(), 16, device.backend, exact_evaluator_for(device.backend, shape));
    MemoryPlan plan("test");
    evaluator.plan(plan);
    plan.place();
    Stream s(device);
    const Arena arena(device, plan);
    evaluator.upload(s, data, data.test);
    const Plane plane =
        plane_of({{"straight", "descent", along(straight)}, {"corner", "denoising", along({{0, 0}, {1, 0}, {1, 1}})}},
                 shape, evaluator, s, 5);
    REQUIRE(plane.ways.size() == 2);
    const DrawnWay &line = plane.ways[0], &corner = plane.ways[1];
    CHECK(line.x.size() == most_states);
    CHECK(line.length == doctest::Approx(length_of(one)).epsilon(1e-4));
    CHECK(line.displacement == doctest::Approx(line.length).epsilon(1e-4));
    CHECK(line.turn < 2); // degrees; steps of a fiftieth, in single precision
    CHECK(corner.length == doctest::Approx(length_of(one) + length_of(other)).epsilon(1e-4));
    CHECK(corner.displacement == doctest::Approx(std::hypot(length_of(one), length_of(other))).epsilon(1e-4));
    CHECK(corner.turn == doctest::Approx(90).epsilon(1e-3));
    // All states are in one plane: it explains everything, and keeps distances.
    CHECK(plane.explained[0] + plane.explained[1] == doctest::Approx(1).epsilon(1e-5));
    CHECK(std::hypot(corner.x[2] - corner.x[0], corner.y[2] - corner.y[0]) ==
          doctest::Approx(corner.displacement).epsilon(1e-4));
    const auto states = along({{0, 0}, {1, 0}, {1, 1}});
    const auto loss = evaluator.score_all(s, states.data(), 3).loss;
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(corner.loss[i] == doctest::Approx(loss[i]).epsilon(1e-4));
    CHECK(plane.grid_loss.size() == 25);

    const Scratch folder;
    write_trajectories(folder.path() / "t.json", plane, "key");
    const Plane back = read_trajectories(folder.path() / "t.json");
    CHECK(trajectories_key_of(folder.path() / "t.json") == "key");
    CHECK(back.grid_loss == plane.grid_loss);
    CHECK(back.ways[1].loss == corner.loss);
    CHECK(table_of(back) == table_of(plane));
    CHECK(plane_chart(back).png() == plane_chart(plane).png());
    CHECK_THROWS_AS(plane_of({{"short", "descent", along({{0, 0}, {1, 0}})}}, shape, evaluator, s, 5), InputError);
  }
}
