#include "prompt_report.h"
#include "engine/analysis/statistics.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>

namespace theta {

double prompt_alignment(const std::vector<float> &prompted, const std::vector<float> &observed) {
  const double mean = summarise(prompted).mean;
  double missed = 0, spread = 0;
  for (std::size_t i = 0; i < prompted.size(); ++i)
    missed += std::pow(double(prompted[i]) - double(observed[i]), 2), spread += std::pow(prompted[i] - mean, 2);
  return spread > 0 ? 1 - missed / spread : 0;
}

PromptReport prompt_report(const PromptTable &t, const ZooReader &zoo,
                           const std::map<std::string, std::vector<float>> &scores) {
  PromptReport report{{{"prompts", Json::array()}}, ""};
  for (std::size_t k = 0; k < t.prompts.size(); ++k) {
    const Prompt &p = t.prompts[k];
    const bool rank = p.name.starts_with(rank_prefix);
    const std::string column = rank ? p.name.substr(rank_prefix.size()) : p.name;
    const auto found = scores.find(column);
    if (found == scores.end() || p.from == p.to)
      continue;
    auto observed = found->second;
    if (rank)
      observed = ranks_among(std::move(observed), zoo.floats(column));
    std::vector<float> prompted;
    std::vector<std::vector<float>> at(static_cast<std::size_t>(t.points));
    for (std::size_t i = 0; i < observed.size(); ++i)
      prompted.push_back(t.value(k, i)), at[i % at.size()].push_back(observed[i]);
    const double alignment = prompt_alignment(prompted, observed);
    report.table += fmt::format("{:<16} {:>5}  {:>18}\n", "told " + p.name, "n", "observed");
    Json list = Json::array();
    for (std::size_t i = 0; i < at.size(); ++i) {
      const Summary s = summarise(at[i]);
      report.table += fmt::format("{:>16.4f} {:>5}  {:>9.4f} ± {:<6.4f}\n", t.value(k, i), at[i].size(), s.mean, s.std);
      list.push_back({{"told", t.value(k, i)}, {"n", at[i].size()}, {"mean", s.mean}, {"std", s.std}});
    }
    report.table += fmt::format("R² of what was told and observed: {:.3f}\n", alignment);
    report.json["prompts"].push_back({{"name", p.name}, {"r2", alignment}, {"points", list}});
  }
  if (!t.start_rows.empty() && zoo.has_column("test_accuracy") && scores.contains("test_accuracy")) {
    const auto &accuracy = scores.at("test_accuracy");
    const auto column = zoo.floats("test_accuracy");
    std::vector<float> before, trained;
    std::vector<std::vector<float>> after(static_cast<std::size_t>(t.points));
    for (std::size_t i = 0; i < accuracy.size(); ++i) {
      before.push_back(column[t.start_rows[i]]), trained.push_back(column[t.end_rows[i]]);
      after[i % after.size()].push_back(accuracy[i]);
    }
    double best = 0;
    for (const auto &point : after)
      best = std::max(best, summarise(point).mean);
    report.table +=
        fmt::format("one step from unseen starts: {:.2f} % before, {:.2f} % after (the best prompt), {:.2f} % "
                    "by training\n",
                    100 * summarise(before).mean, 100 * best, 100 * summarise(trained).mean);
    report.json["update"] = {
        {"before", summarise(before).mean}, {"after", best}, {"training", summarise(trained).mean}};
  }
  return report;
}

} // namespace theta
