#include "engine/memory/arena.h"
#include "engine/pipeline/stages.h"
#include "tests/scratch.h"

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
  CHECK(c.zoo.recipe.optimizer == OptimizerKind::sgd);
  CHECK(c.fit.autoencoder_channels == std::vector<int>{4, 8});
  CHECK(c.name == "other");
  std::ofstream(again) << to_toml(c);
  CHECK(to_toml(load_config(again)) == to_toml(c));
}

TEST_CASE("every configuration of runs/ is planned, and its arenas take what was planned") {
  int found = 0;
  for (const auto &entry : std::filesystem::directory_iterator("runs")) {
    if (entry.path().extension() != ".toml")
      continue;
    ++found;
    CAPTURE(entry.path());
    const auto plans = plans_of(load_config(entry.path()), Backend::cpu);
    CHECK(plans.size() == 6);
    for (const auto &plan : plans) {
      CAPTURE(plan.name());
      const Arena arena(Device{}, plan);
      CHECK(plan.device_bytes() > 0);
      CHECK(arena.device_bytes() == plan.device_bytes());
      CHECK(arena.host_bytes() == plan.host_bytes());
    }
  }
  CHECK(found >= 4);
}
