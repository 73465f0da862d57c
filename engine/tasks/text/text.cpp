// Language models of characters.
#include "engine/analysis/joint.h"
#include "engine/analysis/verdict.h"
#include "engine/networks/gpt.h"
#include "engine/networks/kind.h"
#include "engine/report/charts.h"
#include "engine/tasks/eval_file.h"
#include "engine/tasks/groups.h"
#include "engine/tasks/metric.h"
#include "engine/training/interrupt.h"
#include "text_judge.h"
#include "wording.h"
#include "written.h"
#include <fmt/core.h>
#include <numeric>

namespace theta {

namespace {

constexpr const char *gain = "gain"; // what says how good a language model is

struct TextGroup {
  std::string name, role;
  NetworkSet networks;
  Mixtures mixtures;
};

std::vector<TextGroup> groups_of(const EvalWork &work, const TextRows &rows,
                                 std::vector<std::unique_ptr<ZooReader>> &others) {
  const EvalConfig &e = work.eval;
  const Mixtures &prompts = rows.prompts();
  const std::size_t n = prompts.count();
  std::vector<TextGroup> all;
  all.push_back({"training", "training", rows_of(work.zoo, rows.training()), rows.of_rows(rows.training())});
  all.push_back({"held_out", "held_out", rows_of(work.zoo, rows.asked()), rows.of_rows(rows.asked())});
  const auto add_zoo = [&](const std::string &name, const ZooReader &zoo) {
    check_layout(zoo, work.shape);
    std::vector<std::size_t> first(std::min(n, zoo.rows()));
    std::iota(first.begin(), first.end(), std::size_t(0));
    Mixtures told = rows.told(zoo);
    if (told.count() == 0)
      told = prompts;
    told.shares.resize(std::min(told.count(), first.size()) * told.classes);
    first.resize(told.count());
    NetworkSet set = rows_of(zoo, first);
    set.source.clear(); // rows of another zoo
    all.push_back({name, "generated", std::move(set), std::move(told)});
  };
  if (work.samples)
    add_zoo("generated", *work.samples);
  for (const std::string &named : e.groups) {
    const auto equals = named.find('=');
    if (work.samples && named.substr(0, equals) == "generated")
      throw InputError("eval.groups: found a group named generated, expected another name than the run's own samples'");
    others.push_back(std::make_unique<ZooReader>(named.substr(equals + 1)));
    add_zoo(named.substr(0, equals), *others.back());
  }
  if (!e.baselines)
    return all;
  const auto baseline = [&](std::string name, NetworkSet set) {
    Mixtures of = prompts;
    set.count = std::min(set.count, n), of.shares.resize(set.count * of.classes);
    all.push_back({std::move(name), "baseline", std::move(set), std::move(of)});
  };
  baseline("retrieval", rows.retrieved());
  baseline("ridge", rows.ridge());
  baseline("ridge_and_rest", rows.ridge_and_rest());
  if (work.shown) {
    baseline("looked", rows.looked());
    baseline("looked_and_rest", rows.looked_and_rest());
    baseline("trained_on_shown", rows.trained_on_shown());
  }
  baseline(fmt::format("average_{}", e.average),
           averages(work.zoo, work.training, n, std::size_t(e.average), work.seed));
  baseline("gaussian", gaussians(work.zoo, work.training, n, work.seed));
  if (work.samples && n > 1) { // the run's own, judged by what the next one was told
    const auto found = std::find_if(all.begin(), all.end(), [](const TextGroup &g) { return g.name == "generated"; });
    TextGroup shuffled{"told_others", "baseline", found->networks, {prompts.classes, {}}};
    for (std::size_t i = 0; i < found->mixtures.count(); ++i) {
      const float *next = found->mixtures.of((i + 1) % found->mixtures.count());
      shuffled.mixtures.shares.insert(shuffled.mixtures.shares.end(), next, next + prompts.classes);
    }
    all.push_back(std::move(shuffled));
  }
  return all;
}

class TextTask : public Task {
public:
  const char *name() const override { return "text"; }
  bool takes(const NetworkShape &shape, const DatasetSizes &sizes, const ZooReader *) const override {
    return is_text(shape) && sizes.vocabulary > 0 && alphabet_of(shape) == sizes.vocabulary;
  }
  std::vector<MemoryPlan> plans(const EvalSizes &of) const override {
    return {TextJudge(of.shape, of.data, of.eval.wave, of.backend).plan()};
  }
  std::vector<GroupReport> judge(const EvalWork &work, Journal &journal) const override {
    const TextRows rows(work);
    TextJudge judge(work.shape, sizes_of(work.data), work.eval.wave, work.device.backend);
    judge.start(work.device, work.eval.part == "test" ? work.data.text.test : work.data.text.validation, work, rows);
    std::vector<std::unique_ptr<ZooReader>> others;
    auto groups = groups_of(work, rows, others);
    for (TextGroup &group : groups)
      group.networks = in_form(std::move(group.networks), work.shape);
    TextWriter writer(work.shape, work.device);
    const std::uint8_t line_end = codes_of(work.data.text.alphabet, "\n").at(0);
    Progress progress(journal, "eval", "groups", double(groups.size()));
    std::vector<GroupReport> reports;
    for (const TextGroup &group : groups) {
      stop_if_interrupted("eval");
      reports.push_back(
          judge.judge(group.name, group.networks, group.mixtures, reports.size() > 1 ? &reports[1] : nullptr));
      reports.back().role = group.role;
      if ((group.role == "held_out" || group.role == "generated") && reports.back().broken == 0)
        if (const Estimate wording = wording_of(writer, group.networks, group.mixtures, line_end, work.seed);
            wording.n > 0)
          reports.back().figures["wording"] = wording;
      measure(work, group.networks, reports.back());
      progress.update(double(reports.size()), group.name);
    }
    reports[1].figures["ridge_explained"] = {.value = rows.explained(), .n = work.training.size()};
    const JointBar bar = joint_bar(reports[0], reports[1], reports[0].of("nearest_l2"), rows.seen().size(),
                                   work.eval.bar, work.eval.bar_quantile, gain);
    for (GroupReport &report : reports)
      judge_joint(report, bar, gain);
    const auto as_they_are = reports;
    for (GroupReport &report : reports) {
      if (report.role != "generated" && report.role != "baseline")
        continue;
      if (rows.furthest() > 1e-3 && report.role == "generated")
        report.reasons.push_back(fmt::format("beside held-out networks whose mixtures are up to {:.2f} from what was "
                                             "asked for",
                                             rows.furthest()));
      judge_group(report, as_they_are[1],
                  {.references = rows.seen().size(),
                   .training = work.training.size(),
                   .truth = "those that have it",
                   .of_each = "bits"});
      if (const Estimate spread = report.figure("spread"); spread.n > 0 && spread.value < 0.1)
        report.reasons.push_back("of networks that are all alike, memory says nothing");
    }
    return reports;
  }
  std::string table(const std::vector<GroupReport> &reports) const override {
    std::string out = fmt::format("{:<14} {:>5} {:>7}  {:>15}  {:>22}  {:>22}  {:>10}  {:>6}  {:>18}  {}\n", "group",
                                  "n", "broken", "bits", "gain, pure % (95 %)", "gain, mixed % (95 %)", "told first",
                                  "spread", "memorised (95 %)", "verdict");
    const auto percent = [](const Estimate &e) {
      return e.n == 0 ? "" : fmt::format("{:.0f} ({:.0f} to {:.0f})", 100 * e.value, 100 * e.low, 100 * e.high);
    };
    for (const GroupReport &r : reports) {
      if (r.of("bits").empty()) {
        out += fmt::format("{:<14} {:>5} {:>7}  (none that works)\n", r.name, r.networks, r.broken);
        continue;
      }
      const Summary bits = summarise(r.of("bits"));
      const Estimate first = r.figure("told_first"), spread = r.figure("spread"), memory = r.figure("memorised");
      out += fmt::format(
          "{:<14} {:>5} {:>7}  {:>7.4f} ± {:<5.3f}  {:>22}  {:>22}  {:>10}  {:>6}  {:>18}  {}\n", r.name, r.networks,
          r.broken, bits.mean, bits.std, percent(r.figure("gain_pure")), percent(r.figure("gain_mixed")),
          first.n == 0 ? "" : fmt::format("{:.0f} of {}", first.value * double(first.n), first.n),
          spread.n == 0 ? "" : fmt::format("{:.2f}", spread.value),
          memory.n == 0 ? "" : fmt::format("{:.2f} ({:.2f}-{:.2f})", memory.value, memory.low, memory.high), r.verdict);
    }
    return out + joint_table(reports, gain) + verdicts_of(reports);
  }
  std::vector<std::filesystem::path> draw(const EvalWork &work, const std::vector<GroupReport> &reports,
                                          const std::filesystem::path &folder,
                                          const std::filesystem::path &) const override {
    std::vector<Sample> bits;
    for (const GroupReport &r : reports)
      if (!r.of("bits").empty())
        bits.push_back({r.name, r.of("bits")});
    std::filesystem::create_directories(folder);
    histograms("bits a character, of the mixture told", bits).save(folder / "bits.png");
    std::vector<std::filesystem::path> drawn{folder / "bits.png"};
    if (const auto written = work.samples ? written_by(work) : std::nullopt) {
      written->save(folder / "written.png");
      drawn.push_back(folder / "written.png");
    }
    return drawn;
  }
};

} // namespace

std::unique_ptr<const Task> make_text_task() { return std::make_unique<TextTask>(); }

} // namespace theta
