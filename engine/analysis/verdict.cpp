#include "verdict.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>

namespace theta {

namespace {

struct Closer {
  Estimate share;
  double chance = 1; // of an honest network, at the most
  bool mostly() const { return share.n > 0 && share.low > std::max(0.5, chance); }
  bool partly() const { return share.n > 0 && share.low > chance; }
};

std::vector<float> finite(std::vector<float> values) {
  std::erase_if(values, [](float x) { return !std::isfinite(x); });
  return values;
}

Closer closer_by(const std::string &name, const GroupReport &group, const GroupReport &held_out) {
  const auto values = finite(group.of(name));
  auto truth = finite(held_out.of(name));
  if (values.empty() || truth.empty())
    return {};
  const std::size_t rank = std::max<std::size_t>(1, truth.size() / 100);
  std::nth_element(truth.begin(), truth.begin() + std::ptrdiff_t(rank - 1), truth.end());
  const float least = truth[rank - 1];
  const auto below = std::count_if(values.begin(), values.end(), [&](float x) { return x < least; });
  return {estimate_of(share_of(double(below), values.size())), share_of(double(rank), truth.size()).high};
}

std::string percent(double x) { return fmt::format("{:.0f} %", 100 * x); }
std::string interval(const Estimate &e) {
  return fmt::format("{:.0f} % ({:.0f} to {:.0f})", 100 * e.value, 100 * e.low, 100 * e.high);
}

} // namespace

void judge_group(GroupReport &group, const GroupReport &held_out, const Comparison &how) {
  const std::size_t works = group.of(how.of_each).size();
  if (works == 0) {
    group.verdict = "broken";
    group.reasons.push_back("no network has finite weights and outputs");
    return;
  }
  std::map<std::string, Closer> closer;
  for (const char *name : {"nearest_ratio", "hull", "span", "raw_span", "nearest_l2"}) {
    closer[name] = closer_by(name, group, held_out);
    if (closer[name].share.n > 0)
      group.figures[std::string(name) == "nearest_l2" ? "near" : std::string("closer_by_") + name] = closer[name].share;
  }
  const Estimate memorised = group.figure("memorised");
  const bool remembers = memorised.n > 0 && memorised.low > 0.5;
  const Closer &ratio = closer["nearest_ratio"], &hull = closer["hull"],
               &span = closer["span"].share.value >= closer["raw_span"].share.value || closer["raw_span"].share.n == 0
                           ? closer["span"]
                           : closer["raw_span"];
  std::string word, in_part;
  const auto found = [&](const char *name, bool mostly, bool partly, const std::string &reason) {
    if (!partly)
      return;
    group.reasons.push_back(reason);
    if (std::string &which = mostly ? word : in_part; which.empty())
      which = mostly ? name : fmt::format("{} in part", name);
  };
  const auto closer_than = [&](const Closer &by, const char *closer) {
    return fmt::format("{} {} than the closest 1 % of {}; by chance no more than {} of honest ones are",
                       interval(by.share), closer, how.truth, percent(by.chance));
  };
  found("copies", ratio.mostly() && remembers, ratio.partly() && remembers,
        closer_than(ratio, "are nearer to one training network, beside the second nearest,"));
  found("averages", hull.mostly(), hull.partly(),
        closer_than(hull, "lie deeper in the convex hull of the training networks nearest to them"));
  found("combinations", span.mostly(), span.partly(),
        closer_than(span, "lie nearer to the span of the training networks nearest to them"));
  for (const char *name : {"variance", "dimension"}) {
    const Estimate mine = group.figure(name), theirs = group.figure(std::string("held_out_") + name);
    if (mine.n == 0 || theirs.n == 0)
      continue;
    const bool is_narrower = mine.high < theirs.low;
    const bool is_wider = mine.low > theirs.high;
    found("narrower", is_narrower, is_narrower,
          fmt::format("{} of {:.3g} ({:.3g} to {:.3g}), of {} {:.3g} ({:.3g} to {:.3g})", name, mine.value, mine.low,
                      mine.high, how.truth, theirs.value, theirs.low, theirs.high));
    if (is_wider)
      group.reasons.push_back(
          fmt::format("wider than {}: {} of {:.3g} against {:.3g}", how.truth, name, mine.value, theirs.value));
  }
  for (const auto &[figure, what] : {std::pair{"memorised", "networks"}, {"memorised_images", "images"}}) {
    const Estimate share = group.figure(figure);
    if (share.n == 0)
      continue;
    const bool close = share.low > 0.5;
    const std::string sentence =
        fmt::format("{} lie nearer to the training {} than to as many that it has not seen; 50 % is no memory",
                    interval(share), what);
    found("remembers", close, close, sentence);
    if (!close)
      group.reasons.push_back(sentence);
  }
  group.verdict = !word.empty() ? word : !in_part.empty() ? in_part : "new";
  const auto compared = [&](const Estimate &mine, const Estimate &theirs, const char *what) {
    if (mine.high < theirs.low || mine.low > theirs.high)
      group.reasons.push_back(fmt::format(
          "{} than {} by {:.2f} points{}: {:.2f} % against {:.2f} %", mine.value < theirs.value ? "worse" : "better",
          how.truth, 100 * std::abs(mine.value - theirs.value), what, 100 * mine.value, 100 * theirs.value));
  };
  compared(bootstrapped_mean(group.of("accuracy")), bootstrapped_mean(held_out.of("accuracy")), "");
  compared(group.figure("recognised"), held_out.figure("recognised"), " of what is recognised");
  if (const Estimate told = group.figure("one_nna"); told.n > 0 && told.low > 0.5)
    group.reasons.push_back(fmt::format("told from {} {} of the time, by the nearest neighbour; 50 % is chance",
                                        how.truth, interval(told)));
  if (ratio.share.n > 0)
    group.reasons.push_back(
        fmt::format("not known: copies that are fewer than {:.2g} % of what it makes would not have "
                    "shown among {}",
                    100 * share_of(0, works).high, works));
  if (how.references < how.training)
    group.reasons.push_back(fmt::format("not known: {} of {} training networks were compared with; copies of others "
                                        "look new",
                                        how.references, how.training));
  if (hull.share.n == 0 || span.share.n == 0)
    group.reasons.push_back(
        fmt::format("not known: {}averages and combinations of training networks were not looked for",
                    ratio.share.n == 0 ? "copies, " : ""));
  if (group.figure("variance").n == 0)
    group.reasons.push_back("not known: how wide it is was not looked at");
  if (!how.assigned)
    group.reasons.push_back("not known: distances are plain; a copy whose units have changed places looks new");
  else if (!how.exact)
    group.reasons.push_back(
        "not known: distances are those of the units' order, or signs, that was found, which may not be the nearest");
}

namespace {

bool is_noise(const GroupReport &g) { return g.role == "baseline" && g.name.starts_with("noise_"); }

} // namespace

void judge_frontier(std::vector<GroupReport> &groups) {
  std::vector<std::pair<double, double>> frontier; // accuracy, max_iou
  for (const GroupReport &g : groups)
    if (is_noise(g) && !g.of("accuracy").empty())
      frontier.emplace_back(summarise(g.of("accuracy")).mean, summarise(g.of("max_iou")).mean);
  std::sort(frontier.begin(), frontier.end());
  if (frontier.size() < 2)
    return;
  bool first = true;
  for (GroupReport &g : groups) {
    if (is_noise(g)) {
      if (first) // the line is told of once
        for (const auto &[accuracy, iou] : frontier)
          g.series["frontier"].x.push_back(accuracy), g.series["frontier"].y.push_back(iou);
      first = false;
      continue;
    }
    double beyond = 0, counted = 0;
    for (std::size_t i = 0; i < g.of("max_iou").size(); ++i) {
      const double accuracy = g.of("accuracy")[i], iou = g.of("max_iou")[i];
      const auto above = std::find_if(frontier.begin(), frontier.end(), [&](auto p) { return p.first >= accuracy; });
      double noise = 0;
      if (above == frontier.begin() && accuracy < above->first)
        continue; // no copies are as inaccurate
      if (above == frontier.begin())
        noise = above->second;
      else if (above == frontier.end()) // more accurate than any copy: as the most accurate copies
        noise = frontier.back().second;
      else {
        const auto [x1, y1] = *above;
        const auto [x0, y0] = *(above - 1);
        noise = y0 + (y1 - y0) * (x1 > x0 ? (accuracy - x0) / (x1 - x0) : 1);
      }
      beyond += iou < noise ? 1 : 0, counted += 1;
    }
    if (counted > 0)
      g.figures["beyond_noise"] = estimate_of(share_of(beyond, std::size_t(counted)));
  }
}

} // namespace theta
