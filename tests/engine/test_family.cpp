#include "engine/pipeline/stages/finetune_report.h"
#include "engine/pipeline/stages/pipeline.h"
#include "tests/scratch.h"
#include <fstream>

using namespace theta;
using namespace theta::test;

namespace {

Config config_of(const Scratch &folder, const std::string &toml, const std::vector<std::string> &overrides = {}) {
  const auto path = folder.path() / "family.toml";
  std::ofstream(path) << "[data]\npool = 4\n" << toml;
  return load_config(path, overrides);
}

} // namespace

TEST_CASE("family: lists of widths are members, in their order, the unseen last; one list is one architecture") {
  const Scratch folder;
  const Config one = config_of(folder, "[network]\nwidths = [49, 8, 10]\n");
  CHECK_FALSE(is_family(one));
  CHECK(to_toml(one).find("widths = [49, 8, 10]\n") != std::string::npos);
  CHECK(to_toml(one).find("unseen") == std::string::npos); // as before there were families: keys of stages are of text
  const Config c = config_of(folder, "[network]\nwidths = [[49, 8, 10], [49, 6, 7, 10]]\nunseen = [[49, 9, 10]]\n"
                                     "[zoo]\nnetworks = 100\n[fit]\ngenerator = 'graph'\n");
  CHECK(is_family(c));
  const auto members = members_of(c);
  REQUIRE(members.size() == 3);
  CHECK(members[0].name == "49-8-10");
  CHECK(members[1].name == "49-6-7-10");
  CHECK(members[2].name == "49-9-10");
  CHECK((members[0].seen && members[1].seen && !members[2].seen));
  for (const MemberConfig &member : members) {
    CHECK_FALSE(is_family(member.config));
    CHECK(member.config.family.size() == 2);
    // A member's folder says whose member it is; what its zoo is keyed by does not.
    std::ofstream(folder.path() / "member.toml") << to_toml(member.config);
    const Config read = load_config(folder.path() / "member.toml");
    REQUIRE(read.family.size() == 2);
    CHECK(read.family[1].widths == std::vector<int>{49, 6, 7, 10});
    CHECK(to_toml(read) == to_toml(member.config));
    CHECK(zoo_text(read).find("family") == std::string::npos);
  }
  const Pipeline pipeline({.config = c, .out = folder.path() / "run", .writes = false});
  CHECK((pipeline.is_family() && pipeline.members().size() == 3 && pipeline.seen().size() == 2));
  CHECK(pipeline.members()[2]->zoo_path() == folder.path() / "run" / "zoo" / pipeline.members()[2]->name());
  CHECK(pipeline.members()[2]->generator_path() == folder.path() / "run" / "generator.safetensors");
  // What is written reads back the same, and can be overridden.
  const auto again = folder.path() / "again.toml";
  std::ofstream(again) << to_toml(c);
  CHECK(to_toml(load_config(again)) == to_toml(c));
  CHECK(load_config(again, {"network.unseen=[]"}).unseen.empty());
  CHECK(load_config(again, {"network.widths=[49,5,10]"}).others.empty());
  CHECK_THROWS_AS(members_of(config_of(folder, "[network]\nwidths = [[49, 8, 10], [49, 8, 10]]\n")), InputError);
  CHECK_THROWS_AS(config_of(folder, "[network]\nwidths = [[49, 8, 10], 7]\n"), InputError);
}

TEST_CASE("family: the generator's plan is of all that it learns") {
  const Scratch folder;
  const std::string rest =
      "[zoo]\nnetworks = 100\n[fit]\ngenerator = 'graph'\n[fit.graph]\nwidth = 16\nheads = 2\nbatch = 8\n";
  const auto fit_bytes = [&](const std::string &widths) {
    const Config c = config_of(folder, "[network]\nwidths = " + widths + "\n" + rest);
    for (const MemoryPlan &plan : is_family(c) ? family_plans(c, Backend::cpu) : plans_of(c, Backend::cpu))
      if (plan.name() == "fit.graph")
        return plan.device_bytes();
    return std::size_t(0);
  };
  const std::size_t thin = fit_bytes("[49, 4, 10]"), wide = fit_bytes("[49, 16, 16, 10]"),
                    both = fit_bytes("[[49, 4, 10], [49, 16, 16, 10]]");
  CHECK(thin < both);
  CHECK(both < wide); // half of its batch is thin
}

TEST_CASE("finetune: the share of steps that a start saves") {
  FinetuneReport report{.held_out = 0.75, .target = 0.74, .generated = {}, .scratch = {}};
  report.generated = {{0, 10, 20}, {0.70, 0.73, 0.745}, {0, 0, 0}};
  report.scratch = {{10, 20, 100, 200}, {0.2, 0.4, 0.74, 0.75}, {0, 0, 0, 0}};
  CHECK(report.generated.reaches(0.74) == std::optional(20L));
  CHECK(*report.saved() == doctest::Approx(0.8));
  const Scratch folder;
  write_finetune(folder.path() / "finetune.json", report, "key");
  CHECK(finetune_key_of(folder.path() / "finetune.json") == "key");
  CHECK(text_of(read_finetune(folder.path() / "finetune.json")) == text_of(report));
  CHECK(text_of(report).find("80 % of the steps saved") != std::string::npos);
  report.generated.mean = {0.74, 0.745, 0.75};
  CHECK(*report.saved() == 1);
  report.generated.mean = {0.70, 0.71, 0.72};
  CHECK_FALSE(report.saved());
  CHECK(text_of(report).find("never") != std::string::npos);
}

TEST_CASE("finetune: from generated networks the recipe goes on more slowly, with a look every so many steps") {
  const Scratch folder;
  const Config c = config_of(folder, "[network]\nwidths = [49, 4, 10]\n[zoo]\nlr = [0.01, 0.02]\nsteps = 50\n"
                                     "[finetune]\nnetworks = 7\nevery = 20\nlr = 0.5\n");
  const ZooTask from = finetune_task(c, true), scratch = finetune_task(c, false);
  CHECK(scratch.recipe.lr.values == std::vector<double>{0.01, 0.02});
  CHECK(from.recipe.lr.values == std::vector<double>{0.005, 0.01});
  CHECK(checkpoint_steps(from.recipe, 1, 0) == std::vector<long>{20, 40});
  CHECK(from.recipe.networks == 7);
}
