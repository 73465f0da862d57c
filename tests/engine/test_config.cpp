#include "engine/analysis/curvature.h"
#include "engine/memory/arena.h"
#include "engine/networks/kind.h"
#include "engine/pipeline/configuration/source.h"
#include "engine/pipeline/stages/finetune_report.h"
#include "engine/pipeline/stages/pipeline.h"
#include "engine/pipeline/studies/study.h"
#include "engine/zoo/learning.h"
#include "engine/zoo/trainer_kind.h"
#include "tests/scratch.h"

#include <algorithm>
#include <tuple>

using namespace theta;
using namespace theta::test;

namespace {

std::string refusal(const std::string &toml, const std::vector<std::string> &overrides = {}) {
  const Scratch folder;
  const auto path = folder.path() / "x.toml";
  std::ofstream(path) << "[network]\nwidths = [196, 8, 10]\n" << toml;
  try {
    load_config(path, overrides);
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

} // namespace

TEST_CASE("config: what is wrong is named, with what was found and expected") {
  CHECK(refusal("") == "");
  const std::pair<std::string, std::vector<std::string>> bad[] = {
      {"[zoo]\nstepps = 5", {"zoo.stepps", "zoo.steps"}},
      {"[zo]\nsteps = 5", {"unknown key 'zo'", "'zoo'"}},
      {"[zoo]\nsteps = 0", {"zoo.steps", "found 0", "from 1"}},
      {"[zoo]\nsteps = -3", {"zoo.steps", "-3"}},
      {"[zoo]\nsteps = 2.5", {"zoo.steps", "2.5", "whole"}},
      {"[zoo]\nlr = \"fast\"", {"zoo.lr", "fast", "number"}},
      {"[zoo]\noptimizer = \"adamm\"", {"zoo.optimizer", "adamm", "adamw"}},
      {"[zoo]\nheld_out = 1.5", {"zoo.held_out", "1.5"}},
      {"[fit.autoencoder]\nchannels = 5", {"fit.autoencoder.channels", "list"}},
      {"[fit.autoencoder]\nkernel = 4", {"kernel", "odd"}},
      {"[fit]\nautoencoder = 3", {"fit.autoencoder", "table"}},
      {"[eval]\npart = \"train\"", {"eval.part", "test or validation"}},
      {"[data]\nname = \"mnist\"", {"data.name", "fashion-mnist"}},
      {"[zoo\nsteps = 5", {"line 3"}},
      {"[sample]\nsampler = \"ddim\"\nddim_steps = 5000", {"ddim_steps", "5000"}},
  };
  for (const auto &[toml, parts] : bad) {
    CAPTURE(toml);
    const auto message = refusal(toml);
    CAPTURE(message);
    CHECK(message.find("x.toml") != std::string::npos);
    for (const auto &part : parts)
      CHECK(message.find(part) != std::string::npos);
  }
  CHECK(refusal("", {"zoo.steps"}).find("KEY=VALUE") != std::string::npos);
  CHECK(refusal("", {"zoo.stepps=3"}).find("zoo.steps") != std::string::npos);
  CHECK_THROWS_AS(load_config("runs/missing.toml"), InputError);
}

TEST_CASE("config: --set overrides numbers, words and lists; what is written reads back the same") {
  const Scratch folder;
  const auto path = folder.path() / "x.toml", again = folder.path() / "again.toml";
  std::ofstream(path) << "[network]\nwidths = [196, 8, 10]\n[zoo]\nlr = 1e-3\n";
  const Config c = load_config(
      path, {"zoo.steps=77", "zoo.optimizer=sgd", "fit.autoencoder.channels=[4, 8]", "name=other", "eval.noise=[0.5]"});
  CHECK(c.zoo.recipe.steps == 77);
  CHECK(c.zoo.recipe.optimizer == std::vector{OptimizerKind::sgd});
  CHECK(fit_text(c).find("\nchannels = [4, 8]\n") != std::string::npos);
  CHECK(c.name == "other");
  std::ofstream(again) << to_toml(c);
  CHECK(to_toml(load_config(again)) == to_toml(c));
}

TEST_CASE("config: what differs between runs is a value, a list or a range, and reads back the same") {
  const Scratch folder;
  const auto path = folder.path() / "x.toml", again = folder.path() / "again.toml";
  std::ofstream(path) << "[network]\nwidths = [196, 8, 10]\nactivation = ['relu', 'tanh']\ninitialisation = 'he'\n"
                         "[zoo]\noptimizer = ['adam', 'sgd']\nlr = {from = 1e-4, to = 1e-2, log = true, points = 3}\n"
                         "weight_decay = [0.0, 0.01]\ndropout = 0.1\ndraw = 'grid'\nwarmup = 5\n";
  const Config c = load_config(path);
  CHECK(c.zoo.recipe.activation == std::vector{Activation::relu, Activation::tanh});
  CHECK(c.network.act == Activation::relu);
  CHECK(c.zoo.recipe.initialisation == std::vector{Initialisation::he});
  CHECK(c.zoo.recipe.lr.range->log);
  CHECK(c.zoo.recipe.weight_decay.values == std::vector{0.0, 0.01});
  CHECK(c.zoo.recipe.dropout.is_fixed());
  std::ofstream(again) << to_toml(c);
  CHECK(to_toml(load_config(again)) == to_toml(c));

  const auto refused = [&](const std::string &set) {
    CAPTURE(set);
    CHECK_THROWS_AS(load_config(path, {set}), InputError);
  };
  refused("zoo.lr={from = 1e-2, to = 1e-4}");
  refused("zoo.lr={from = 0.0, to = 1e-4, log = true}");
  refused("zoo.lr={from = 1e-4}");
  refused("zoo.lr={from = 1e-4, to = 1e-2, step = 3}");
  refused("zoo.lr={from = 1e-4, to = 1e-2}"); // a grid needs points
  refused("zoo.lr=[]");
  refused("zoo.lr=[1e-3, 'x']");
  refused("zoo.dropout=1.5");
  refused("network.activation=['relu', 'rule']");
  refused("zoo.warmup=1000");
}

TEST_CASE("recipes: a grid visits every combination, a draw follows its range, and a run's draw is its own") {
  ZooRecipe r{.draw = DrawKind::grid,
              .activation = {Activation::relu, Activation::tanh},
              .lr = Range{1e-4, 1e-2, true, 3},
              .weight_decay = std::vector{0.0, 0.1}};
  std::vector<std::tuple<Activation, float, float>> seen;
  for (int run = 0; run < 12; ++run) {
    const RunRecipe c = choice_of(r, 1, run).recipe;
    seen.emplace_back(c.act, c.lr, c.weight_decay);
    CHECK(choice_of(r, 1, run + 12).recipe.lr == c.lr);
  }
  std::sort(seen.begin(), seen.end());
  CHECK(std::unique(seen.begin(), seen.end()) == seen.end());
  CHECK(std::get<1>(seen[2]) == doctest::Approx(1e-3));

  r.draw = DrawKind::random;
  int below = 0, tanh = 0;
  for (int run = 0; run < 1000; ++run) {
    const RunRecipe c = choice_of(r, 1, run).recipe;
    CHECK((c.lr >= 1e-4f && c.lr <= 1e-2f));
    below += c.lr < 1e-3f, tanh += c.act == Activation::tanh;
    CHECK(choice_of(r, 1, run).recipe.lr == c.lr);
  }
  CHECK(below == doctest::Approx(500).epsilon(0.13)); // 16 is one standard deviation
  CHECK(tanh == doctest::Approx(500).epsilon(0.13));
  CHECK(choice_of(r, 2, 0).recipe.lr != choice_of(r, 1, 0).recipe.lr);
}

TEST_CASE("every configuration of runs/ is planned, and its arenas take what was planned") {
  int found = 0;
  for (const auto &entry : std::filesystem::directory_iterator("runs")) {
    if (entry.path().extension() != ".toml")
      continue;
    ++found;
    CAPTURE(entry.path());
    if (is_study(entry.path())) {
      CHECK(!load_study(entry.path()).runs.empty()); // their configurations are checked
      continue;
    }
    const Config config = load_config(entry.path());
    const auto plans = is_family(config) ? family_plans(config, Backend::cpu) : plans_of(config, Backend::cpu);
    // p-diff has three phases, the subspace two, and its samples two. Classifiers are scored and judged, their
    // probabilities and small perceptrons' curvature too; fields of images are drawn, a classifier is trained and looks
    // at them, and neighbours are searched by weights and by pixels.
    const std::string generator = config.generators.name();
    const std::size_t fit = generator == "p-diff" || generator == "subspace" ? 3 : 1;
    const bool stream = config.generators.name() == "transformer" &&
                        fit_text(config).find("source = \"stream\"") != std::string::npos; // beside the generator
    const bool is_small = layout_of(config.network).size() <= large_network;
    const bool is_language = std::string_view(config.network.kind->learns(config.network)) == "text"; // one judge
    const std::size_t judged = is_language ? 1
                               : learning_of(config.network).scored_on({1, 1, 1, 1, 1}).front().images > 0
                                   ? LossGradient::can(config.network) && is_small ? 4 : 3
                               : config.data.name == "solids" ? 4
                                                              : 5;
    // Of every architecture: its zoo, trunk, what it is shown, scores, judges, statistics counted anew and starts of training; of all of them the generator and its
    // samples.
    const std::size_t members = 1 + config.others.size() + config.unseen.size();
    const std::size_t networks = 1 + judged + (config.zoo.recipe.start == StartKind::base) + !config.subset.empty() +
                                 (config.fit.shown > 0) + (config.eval.recount > 0) +
                                 (config.of<FinetuneConfig>().networks > 0 ? 2 : 0);
    CHECK(plans.size() == 1 + fit + stream + members * networks);
    for (const auto &plan : plans) {
      CAPTURE(plan.name());
      const Arena arena(Device{}, plan);
      CHECK(plan.device_bytes() + plan.host_bytes() > 0);
      CHECK(arena.device_bytes() == plan.device_bytes());
      CHECK(arena.host_bytes() == plan.host_bytes());
    }
  }
  CHECK(found >= 4);
}
