#include "suite.h"
#include "engine/analysis/diversity.h"
#include "engine/analysis/joint.h"
#include "engine/analysis/verdict.h"
#include "engine/tasks/eval_file.h"
#include "engine/tasks/form_metric.h"
#include "engine/tasks/metric.h"
#include "engine/training/interrupt.h"
#include "engine/zoo/trainer_kind.h"
#include <algorithm>
#include <fmt/core.h>
#include <map>
#include <set>

namespace theta {

namespace {

constexpr std::size_t most_fitted = 1024; // aligned networks that Gaussians are fitted to
constexpr int recounted_batch = 128;

std::size_t references_of(const EvalConfig &c, std::size_t training, std::size_t held_out) {
  const std::size_t n = std::min({std::size_t(c.references), training, held_out});
  if (n < 2)
    throw InputError("eval: found ", training, " training and ", held_out,
                     " held-out networks, expected at least 2 of each (zoo.held_out)");
  return n;
}

// From each training network to the nearest one of another run: as it is in the report where a run has one checkpoint,
// nothing where there is one run.
std::vector<float> between_runs(const ZooReader &zoo, const NoveltyJudge &novelty, const JudgedGroup &training) {
  const auto &group = training.sound.source, &references = novelty.training().source;
  const auto run = zoo.integers("run");
  std::set<std::int64_t> runs;
  for (const std::size_t row : references)
    runs.insert(run[row]);
  if (runs.size() == references.size() || group.empty())
    return training.report.of("nearest_l2");
  std::vector<float> distances;
  if (runs.size() < 2)
    return distances;
  for (const Nearest &each : novelty.nearest(
           training.sound, true, 1, [&](std::size_t i, std::size_t j) { return run[group[i]] == run[references[j]]; }))
    distances.push_back(each.distance);
  return distances;
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
  if (c.recount > 0)
    recount = std::make_unique<Recount>(shape, c.recount, recounted_batch);
}

std::vector<const MemoryPlan *> CompareJudges::plans() const {
  std::vector<const MemoryPlan *> all{&novelty.plan()};
  if (quality)
    all.push_back(&quality->plan());
  for (const MemoryPlan *plan : landscape.plans())
    all.push_back(plan);
  if (recount)
    all.push_back(&recount->plan());
  return all;
}

std::vector<GroupReport> compare(const EvalWork &work, Journal &journal) {
  EvalConfig e = work.eval;
  const std::size_t most = std::size_t(e.networks), v = layout_of(work.shape).size();
  if (v > large_network && (e.diversity > 0 || e.lines > 0)) {
    e.diversity = e.closest = e.lines = 0; // they hold hundreds of networks at once
    journal.line(fmt::format("eval: networks of more than {} parameters: left out are diversity, hulls and lines",
                             large_network));
  }
  const Images &part = e.part_of(work.data);
  check_layout(work.zoo, work.shape);
  CompareJudges judges(e, work.shape, part.size(), work.training.size(), work.held_out.size(), work.device.backend,
                       work.budget);
  const auto rows = [&](bool seen, std::size_t count) {
    return choose(work.zoo, seen ? work.training : work.held_out, count, work.seed, seen ? 0 : 1);
  };
  judges.novelty.start(work.device, work.data, part, rows(true, judges.references), rows(false, judges.references));
  Groups all(work);
  all.add("training", "training", {rows(true, most)});
  all.add("held_out", "held_out", {rows(false, most)});
  all.add_generated(Groups::Taken::drawn, work.held_out);
  all.add_baselines();
  if (e.baselines) {
    const auto add = [&](std::string name, NetworkSet set) {
      all.add(std::move(name), "baseline", {made_once(std::move(set), v)});
    };
    add("pairs", mixtures(work.zoo, work.training, most, work.seed));
    if (NetworkSet between = along_runs(work.zoo, work.training, most, work.seed); between.count > 0)
      add("along_runs", std::move(between));
    Meet meet;
    if (const auto &assigned = judges.novelty.assigned()) {
      meet = [&](float *second, float *first) { assigned->align(second, first); };
      add("aligned_pairs", mixtures(work.zoo, work.training, most, work.seed, meet));
    }
    if (meet && v <= large_network) { // else so many alignments would take longer than all the rest
      add(fmt::format("aligned_average_{}", e.average),
          averages(work.zoo, work.training, most, std::size_t(e.average), work.seed, meet));
      const NetworkSet fitted = aligned(work.zoo, work.training, most_fitted, work.seed, meet);
      add("aligned_gaussian", gaussians(fitted, v, most, work.seed));
      if (v <= most_covariance / 2)
        add("aligned_gaussian_full", full_gaussians(fitted, v, most, work.seed));
    }
    if (work.shape.form.kind != FormKind::floats && v <= large_network) {
      add("independent_codes", independent_numbers(work.zoo, work.training, most, work.seed));
      add("independent_units", independent_units(work.zoo, work.shape, work.training, most, work.seed));
    }
    if (v <= large_network)
      all.add_answers(meet);
  }
  all.put_in_form();
  if (judges.recount)
    all.add_recounted(
        [&](NetworkSet set) { return judges.recount->of(std::move(set), work.device, work.data, work.seed); });
  const std::vector<Group> &groups = all.all();

  Progress progress(journal, "eval", "groups", double((judges.quality ? 3 : 2) * groups.size()));
  double done = 0;
  const auto next = [&](const std::string &name) {
    progress.update(++done, name);
    stop_if_interrupted("eval");
  };
  std::vector<JudgedGroup> judged;
  const HullJudge hull(v, std::size_t(e.diversity), std::size_t(e.closest));
  for (const Group &group : groups) {
    judged.push_back(judges.novelty.judge(group.name, group.networks));
    judged.back().report.role = group.role;
    measure(work, judged.back().sound, judged.back().report);
    next(group.name);
  }
  std::map<std::string, const JudgedGroup *> by_name;
  std::map<std::string, DiversityJudge> diversity; // beside each group that others are compared with
  for (const JudgedGroup &each : judged)
    by_name[each.report.name] = &each;
  for (std::size_t i = 0; i < groups.size() && e.diversity > 0; ++i)
    if (const auto [at, is_new] = diversity.try_emplace(groups[i].beside, v, std::size_t(e.diversity)); is_new)
      at->second.start(judges.novelty, *by_name.at(groups[i].beside));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    JudgedGroup &each = judged[i];
    if (each.sound.count > 0) {
      if (e.diversity > 0)
        diversity.at(groups[i].beside).judge(judges.novelty, each, each.report);
      if (e.closest > 1)
        hull.judge(judges.novelty, each, each.report);
      judges.landscape.lines(judges.novelty, each, each.report);
    }
    next(each.report.name);
  }
  const JointBar bar = joint_bar(judged[0].report, judged[1].report, between_runs(work.zoo, judges.novelty, judged[0]),
                                 judges.references, e.bar, e.bar_quantile);
  for (JudgedGroup &each : judged)
    judge_joint(each.report, bar);
  judge_twin(
      work, [&](const auto &a, const auto &b) { return judges.novelty.pairs(a, b)[0]; },
      work.samples ? &judged[2].report : nullptr);
  const bool assigned = bool(judges.novelty.assigned()), exact = assigned && judges.novelty.assigned()->is_exact();
  judges.novelty.stop();
  if (judges.quality) {
    judges.quality->start(work.device, work.data, part);
    for (JudgedGroup &each : judged) {
      const NetworkSet &seen = judges.novelty.training();
      judges.quality->judge(
          each.sound,
          {each.nearest.size(), [&](std::size_t i, float *theta) { seen.network(each.nearest[i].index, theta); }},
          each.report);
      next(each.report.name);
    }
    judges.quality->stop();
  }
  judges.landscape.start(work.data, part);
  for (JudgedGroup &each : judged)
    judges.landscape.curvature(each, each.report);

  std::vector<GroupReport> reports;
  for (JudgedGroup &each : judged)
    reports.push_back(std::move(each.report));
  judge_frontier(reports);
  const auto as_they_are = reports;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    GroupReport &report = reports[i];
    const auto truth = std::find_if(as_they_are.begin(), as_they_are.end(),
                                    [&](const GroupReport &r) { return r.name == groups[i].beside; });
    const auto &mine = report.of("nearest_l2"), &theirs = truth->of("nearest_l2");
    if (!mine.empty() && !theirs.empty())
      report.figures["z_u"] = bootstrapped(mine.size(), 200, [&](const std::vector<std::size_t> &of) {
        std::vector<float> drawn;
        for (const std::size_t i : of)
          drawn.push_back(mine[i]);
        return mann_whitney_z(drawn, theirs);
      });
    if (report.role == "generated" || report.role == "baseline")
      all.verdict(report, as_they_are, {judges.references, work.training.size(), assigned, exact});
  }
  for (GroupReport &report : reports) {
    bool is_beaten = false;
    for (const GroupReport &baseline : reports)
      if (report.role == "generated" && baseline.name.find("average_") != std::string::npos)
        is_beaten |= is_beaten_by(baseline, report);
    if (is_beaten)
      report.verdict += ", beaten by averages";
  }
  return reports;
}

std::string table_of(const std::vector<GroupReport> &reports) {
  const bool broken = std::any_of(reports.begin(), reports.end(), [](const auto &r) { return r.broken > 0; });
  const auto column = [&](const std::string &text) { return broken ? fmt::format("  {:>6}", text) : ""; };
  std::size_t longest = 14;
  for (const auto &r : reports)
    longest = std::max(longest, r.name.size());
  const auto name = [&](const std::string &of) { return fmt::format("{:<{}}", of, longest); };
  std::string out = fmt::format("{} {:>5}{}  {:>15}  {:>7}  {:>8}  {:>15}  {:>17}  {:>20}  {:>7}  {}\n", name("group"),
                                "n", column("broken"), "accuracy %", "best %", "loss", "max IoU", "L2 to nearest",
                                "memorised (95 %)", "Z_U", "verdict");
  for (const auto &r : reports) {
    const Summary accuracy = summarise(r.of("accuracy")), loss = summarise(r.of("loss")),
                  iou = summarise(r.of("max_iou")), l2 = summarise(r.of("nearest_l2"));
    if (r.of("accuracy").empty()) {
      out += fmt::format("{} {:>5}{}  (none that works)\n", name(r.name), r.networks, column(std::to_string(r.broken)));
      continue;
    }
    const Estimate memorised = r.figure("memorised");
    out += fmt::format("{} {:>5}{}  {:>7.2f} ± {:<5.2f}  {:>7.2f}  {:>8.4f}  {:>7.3f} ± {:<5.3f}  {:>9.4g} ± "
                       "{:<5.3g}  {:>5.2f} ({:.2f}-{:.2f})   {:>7.2f}  {}\n",
                       name(r.name), r.networks, column(std::to_string(r.broken)), 100 * accuracy.mean,
                       100 * accuracy.std, 100 * accuracy.max, loss.mean, iou.mean, iou.std, l2.mean, l2.std,
                       memorised.value, memorised.low, memorised.high, r.figure("z_u").value, r.verdict);
  }
  return out + form_table(reports) + joint_table(reports) + verdicts_of(reports);
}

} // namespace theta
