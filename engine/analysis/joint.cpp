#include "joint.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>

namespace theta {

JointBar joint_bar(const GroupReport &training, const GroupReport &held_out, const std::vector<float> &between,
                   std::size_t compared, double wanted, double q, const char *of) {
  JointBar bar{.accuracy = wanted > 0 ? wanted : quantile(held_out.of(of), q),
               .spread = quantile(between, 0.5),
               .compared = compared};
  const double near = quantile(training.of("nearest_l2"), 0.5);
  if (between.empty())
    bar.spread = bar.neighbours = near;
  else if (near < bar.spread)
    bar.neighbours = near;
  return bar;
}

void judge_joint(GroupReport &group, const JointBar &bar, const char *of) {
  const auto &accuracy = group.of(of), &distance = group.of("nearest_l2");
  if (!std::isfinite(bar.accuracy) || !std::isfinite(bar.spread))
    return;
  Series &curve = group.series["joint"];
  for (const double m : JointBar::times) {
    std::size_t both = 0;
    for (std::size_t i = 0; i < accuracy.size(); ++i)
      both += double(accuracy[i]) >= bar.accuracy && double(distance[i]) > m * bar.spread;
    const Share share = share_of(double(both), group.networks);
    curve.x.push_back(m), curve.y.push_back(share.share);
    curve.low.push_back(share.low), curve.high.push_back(share.high);
  }
  if (group.role != "training")
    return;
  const auto tell = [&](const char *name, double value) {
    if (std::isfinite(value))
      group.figures[name] = {value, value, value, bar.compared};
  };
  tell("joint_bar", bar.accuracy), tell("joint_spread", bar.spread), tell("joint_neighbours", bar.neighbours);
}

bool is_beaten_by(const GroupReport &baseline, GroupReport &group) {
  if (!group.series.contains("joint") || !baseline.series.contains("joint"))
    return false;
  const Series &mine = group.series.at("joint"), &theirs = baseline.series.at("joint");
  if (theirs.low.front() <= mine.high.front())
    return false;
  const auto said = [](const Series &s) {
    return fmt::format("{:.0f} % ({:.0f} to {:.0f})", 100 * s.y.front(), 100 * s.low.front(), 100 * s.high.front());
  };
  group.reasons.push_back(
      fmt::format("{} are good and new at once, of {} {}", said(mine), baseline.name, said(theirs)));
  return true;
}

std::string joint_table(const std::vector<GroupReport> &reports, const char *of) {
  const auto training = std::find_if(reports.begin(), reports.end(), [](const GroupReport &r) {
    return r.role == "training" && r.figures.contains("joint_bar");
  });
  if (training == reports.end())
    return "";
  const double spread = training->figure("joint_spread").value, neighbours = training->figure("joint_neighbours").value;
  const std::string apart =
      neighbours == spread ? ", all being checkpoints of one run"
      : std::isfinite(neighbours)
          ? fmt::format(" from those of other runs ({:.4g} from checkpoints of their own)", neighbours)
          : "";
  const Estimate bar = training->figure("joint_bar");
  std::size_t longest = 16;
  for (const GroupReport &r : reports)
    longest = std::max(longest, r.name.size());
  const std::string good = std::string_view(of) == "accuracy" ? fmt::format("{:.2f} % accurate", 100 * bar.value)
                                                              : fmt::format("a {} of {:.3f}", of, bar.value);
  std::string out = fmt::format("\ngood and new at once: at least {}, and farther from all {} training "
                                "networks compared with than m times {:.4g}, what they are apart{}\n{:<{}}",
                                good, bar.n, spread, apart, "group", longest);
  for (const double m : JointBar::times)
    out += fmt::format("  {:>18}", fmt::format("m = {}", m));
  out += '\n';
  for (const GroupReport &r : reports)
    if (const auto found = r.series.find("joint"); found != r.series.end()) {
      out += fmt::format("{:<{}}", r.name, longest);
      for (std::size_t i = 0; i < found->second.x.size(); ++i)
        out += fmt::format("  {:>18}", fmt::format("{:.2f} ({:.2f}-{:.2f})", found->second.y[i], found->second.low[i],
                                                   found->second.high[i]));
      out += '\n';
    }
  return out;
}

} // namespace theta
