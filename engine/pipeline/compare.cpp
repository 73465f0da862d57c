#include "compare.h"
#include "engine/analysis/agreement.h"
#include "engine/analysis/diversity.h"
#include "engine/analysis/verdict.h"
#include "engine/training/interrupt.h"
#include "engine/zoo/trainer_kind.h"
#include <algorithm>
#include <fmt/core.h>
#include <numeric>

namespace theta {

namespace {

struct Group {
  std::string name, role;
  NetworkSet networks;
};

std::vector<std::size_t> all_rows(const ZooReader &zoo) {
  std::vector<std::size_t> rows(zoo.rows());
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  return rows;
}

void check_layout(const ZooReader &zoo, const NetworkShape &shape) {
  if (const std::size_t v = layout_of(shape).size(); zoo.parameters() != v)
    throw InputError("eval: ", zoo.path().string(), " holds networks of ", zoo.parameters(), " parameters, expected ",
                     v, ", as the configuration has");
}

std::size_t references_of(const EvalConfig &c, std::size_t training, std::size_t held_out) {
  const std::size_t n = std::min({std::size_t(c.references), training, held_out});
  if (n < 2)
    throw InputError("eval: found ", training, " training and ", held_out,
                     " held-out networks, expected at least 2 of each (zoo.held_out)");
  return n;
}

} // namespace

CompareJudges::CompareJudges(const EvalConfig &c, const NetworkShape &shape, std::size_t images, std::size_t training,
                             std::size_t held_out, Backend backend, Budget budget)
    : references(references_of(c, training, held_out)),
      novelty(shape, images, c.wave, references, std::size_t(c.networks), backend, c.distance, budget),
      landscape(shape, {std::size_t(c.lines), layout_of(shape).size() > large_network ? 0 : std::size_t(c.hessians),
                        c.hessian_images}) {
  if (c.ensemble > 0)
    quality.emplace(shape, images, c.wave, std::min(std::size_t(c.ensemble), std::size_t(c.networks)), backend, budget);
}

std::vector<const MemoryPlan *> CompareJudges::plans() const {
  std::vector<const MemoryPlan *> all{&novelty.plan()};
  if (quality)
    all.push_back(&quality->plan());
  for (const MemoryPlan *plan : landscape.plans())
    all.push_back(plan);
  return all;
}

std::vector<GroupReport> compare(const CompareTask &task, Journal &journal) {
  const Config &c = task.config;
  EvalConfig e = c.eval;
  if (layout_of(task.shape).size() > large_network && (e.diversity > 0 || e.lines > 0)) {
    e.diversity = e.closest = e.lines = 0; // they hold hundreds of networks at once
    journal.line(fmt::format("eval: networks of more than {} parameters: left out are diversity, hulls and lines",
                             large_network));
  }
  const Images &part = e.part == "test" ? task.data.test : task.data.validation;
  const std::size_t most = std::size_t(e.networks), v = layout_of(task.shape).size();
  check_layout(task.zoo, task.shape);
  const Split split = split_of(task.zoo, c.fit);
  CompareJudges judges(e, task.shape, part.size(), split.training.size(), split.held_out.size(), task.device.backend,
                       task.budget);
  judges.novelty.start(task.device, task.data, part, choose(task.zoo, split.training, judges.references, c.seed, 0),
                       choose(task.zoo, split.held_out, judges.references, c.seed, 1));

  std::vector<std::unique_ptr<ZooReader>> others;
  const auto of_another_zoo = [&](const ZooReader &zoo) {
    check_layout(zoo, task.shape);
    NetworkSet set = choose(zoo, all_rows(zoo), most, c.seed, 2);
    set.source.clear();
    return set;
  };
  std::vector<Group> groups{{"training", "training", choose(task.zoo, split.training, most, c.seed, 0)},
                            {"held_out", "held_out", choose(task.zoo, split.held_out, most, c.seed, 1)}};
  if (task.samples)
    groups.push_back({"generated", "generated", of_another_zoo(*task.samples)});
  for (const std::string &named : e.groups) {
    const auto equals = named.find('=');
    if (task.samples && named.substr(0, equals) == "generated")
      throw InputError("eval.groups: found a group named generated, expected another name than the run's own samples'");
    others.push_back(std::make_unique<ZooReader>(named.substr(equals + 1)));
    groups.push_back({named.substr(0, equals), "generated", of_another_zoo(*others.back())});
  }
  if (e.baselines) {
    const auto add = [&](std::string name, NetworkSet set) {
      groups.push_back({std::move(name), "baseline", std::move(set)});
    };
    for (std::size_t i = 0; i < e.noise.size(); ++i)
      add(fmt::format("noise_{}", e.noise[i]),
          noisy_copies(task.zoo, split.training, most, e.noise[i], c.seed, std::uint32_t(3 + i)));
    add(fmt::format("average_{}", e.average), averages(task.zoo, split.training, most, std::size_t(e.average), c.seed));
    add("gaussian", gaussians(task.zoo, split.training, most, c.seed,
                              v > large_network ? task.scratch / ".gaussian" : std::filesystem::path()));
    add("pairs", mixtures(task.zoo, split.training, most, c.seed));
    if (const auto &assigned = judges.novelty.assigned())
      add("aligned_pairs", mixtures(task.zoo, split.training, most, c.seed,
                                    [&](float *second, float *first) { assigned->align(second, first); }));
  }

  Progress progress(journal, "eval", "groups", double(2 * groups.size()));
  double done = 0;
  const auto next = [&](const std::string &name) {
    progress.update(++done, name);
    stop_if_interrupted("eval");
  };
  std::vector<JudgedGroup> judged;
  DiversityJudge diversity(v, std::size_t(e.diversity));
  const HullJudge hull(v, std::size_t(e.diversity), std::size_t(e.closest));
  for (const Group &group : groups) {
    judged.push_back(judges.novelty.judge(group.name, group.networks));
    judged.back().report.role = group.role;
    next(group.name);
  }
  if (e.diversity > 0)
    diversity.start(judges.novelty, judged[1]);
  for (JudgedGroup &each : judged) {
    if (each.sound.count > 0) {
      if (e.diversity > 0)
        diversity.judge(judges.novelty, each, each.report);
      if (e.closest > 1)
        hull.judge(judges.novelty, each, each.report);
      judges.landscape.lines(judges.novelty, each, each.report);
    }
    next(each.report.name);
  }
  if (!e.twin.empty() && !task.samples)
    throw InputError("eval.twin: found ", e.twin, ", expected nothing where there are no samples of the run's own");
  if (!e.twin.empty()) {
    const ZooReader twin(e.twin);
    check_layout(twin, task.shape);
    NetworkSet mine = rows_of(*task.samples, all_rows(*task.samples));
    mine.count = std::min(mine.count, most);
    judge_agreement(judges.novelty, v, mine, rows_of(twin, all_rows(twin)), judged[2].report);
  }
  const bool assigned = bool(judges.novelty.assigned()), exact = assigned && judges.novelty.assigned()->is_exact();
  judges.novelty.stop();
  if (judges.quality) {
    judges.quality->start(task.device, task.data, part);
    for (JudgedGroup &each : judged)
      judges.quality->judge(each.sound, each.report);
    judges.quality->stop();
  }
  judges.landscape.start(task.data, part);
  for (JudgedGroup &each : judged)
    judges.landscape.curvature(each, each.report);

  std::vector<GroupReport> reports;
  for (JudgedGroup &each : judged)
    reports.push_back(std::move(each.report));
  judge_frontier(reports);
  const GroupReport truth = reports[1];
  for (GroupReport &report : reports) {
    const auto &mine = report.of("nearest_l2"), &theirs = truth.of("nearest_l2");
    if (!mine.empty() && !theirs.empty())
      report.figures["z_u"] = bootstrapped(mine.size(), 200, [&](const std::vector<std::size_t> &of) {
        std::vector<float> drawn;
        for (const std::size_t i : of)
          drawn.push_back(mine[i]);
        return mann_whitney_z(drawn, theirs);
      });
    if (report.role == "generated" || report.role == "baseline")
      judge_group(report, truth, {judges.references, split.training.size(), assigned, exact});
  }
  return reports;
}

} // namespace theta
