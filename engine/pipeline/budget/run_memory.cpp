#include "run_memory.h"
#include "engine/pipeline/stages/pipeline.h"
#include "engine/settings/toml_keys.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/core.h>

namespace theta {

namespace {

std::optional<long> whole_number(const std::string &text) {
  long value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::vector<std::string> keys_in(const std::string &hint) {
  std::vector<std::string> keys;
  for (std::size_t at = 0; at < hint.size();) {
    const std::size_t end = std::min(hint.find(", ", at), hint.size());
    keys.push_back(hint.substr(at, end - at));
    at = end + 2;
  }
  return keys;
}

std::vector<std::string> with(std::vector<std::string> all, const std::string &one) {
  all.push_back(one);
  return all;
}

} // namespace

RunMemory::RunMemory(std::filesystem::path path, std::vector<std::string> overrides, Backend backend, Budget budget)
    : path_(std::move(path)), overrides_(std::move(overrides)), backend_(backend), budget_(budget) {}

auto RunMemory::planned(const std::vector<std::string> &changes, double wider, StagesOf which) const -> Planned {
  auto all = overrides_;
  all.insert(all.end(), changes.begin(), changes.end());
  Planned p{load_config(path_, all), 0, {}};
  if (is_family(p.config)) {
    const auto widen = [&](std::vector<int> &widths) {
      for (std::size_t l = 1; l + 1 < widths.size(); ++l)
        widths[l] = std::max(1, int(std::lround(widths[l] * wider)));
    };
    widen(p.config.network.widths);
    for (auto *lists : {&p.config.others, &p.config.unseen})
      for (auto &widths : *lists)
        widen(widths);
    for (const MemberConfig &member : members_of(p.config))
      p.parameters = std::max(p.parameters, layout_of(member.config.network).size());
    p.plans = family_plans(p.config, backend_, budget_, which);
    return with_largest(std::move(p));
  }
  Source source = source_of(p.config, dataset_sizes(p.config.data.options()));
  if (wider != 1) {
    if (!source.facts.shape)
      throw InputError(path_.string(), ": found networks of an unknown architecture, expected ones that can be wider");
    const NetworkShape shape = widened(*source.facts.shape, wider);
    if (p.config.zoo.from.empty())
      p.config.network = shape;
    source.facts = {layout_of(shape).places(), shape};
  }
  p.parameters = source.facts.parameters();
  p.plans = plans_of(p.config, source, backend_, budget_, which);
  return with_largest(std::move(p));
}

auto RunMemory::with_largest(Planned p) const -> Planned {
  for (std::size_t i = 0; i < p.plans.size(); ++i)
    if (const std::size_t bytes = p.plans[i].bytes_on(backend_); bytes > p.bytes)
      p.bytes = bytes, p.stage = i;
  return p;
}

std::vector<std::string> RunMemory::savings(const std::vector<std::string> &changes) const {
  auto all = overrides_;
  all.insert(all.end(), changes.begin(), changes.end());
  return load_config(path_, all).generators.chosen().savings();
}

auto RunMemory::growth() const -> std::vector<Growth> try {
  const RunMemory free(path_, overrides_, backend_); // a budget makes stages smaller
  const auto once = free.planned();
  const auto twice = free.planned({}, 2), thrice = free.planned({}, 3);
  std::vector<Growth> all;
  for (std::size_t i = 0; i < once.plans.size(); ++i) {
    Growth g{once.plans[i].name(), once.plans[i].batch()};
    const auto batch = whole_number(value_in(to_toml(once.config), g.batch));
    if (!batch || twice.plans.size() <= i)
      continue;
    const auto bytes = [&](long factor, double wider) {
      const auto of = free.planned({g.batch + "=" + std::to_string(factor * *batch)}, wider);
      return double(of.plans.at(i).bytes_on(backend_));
    };
    const double v1 = double(once.parameters), v2 = double(twice.parameters), b = double(*batch);
    const double f11 = double(once.plans[i].bytes_on(backend_)), f21 = double(twice.plans[i].bytes_on(backend_));
    const double f12 = bytes(2, 1), f22 = bytes(2, 2);
    g.of_bv = (f22 - f12 - f21 + f11) / ((v2 - v1) * b);
    g.of_v = (f21 - f11) / (v2 - v1) - g.of_bv * b;
    g.of_b = (f12 - f11) / b - g.of_bv * v1;
    g.rest = f11 - g.of_v * v1 - g.of_b * b - g.of_bv * b * v1;
    const double v3 = double(thrice.parameters), is = bytes(3, 3);
    g.error = is / (g.of_v * v3 + g.of_bv * 3 * b * v3 + g.of_b * 3 * b + g.rest) - 1;
    all.push_back(g);
  }
  return all;
} catch (const InputError &) { // three times as large is beyond what it can index
  return {};
}

std::optional<std::string> RunMemory::advice(const std::vector<std::string> &changes, std::size_t budget) const {
  const RunMemory within = this->within(budget);
  const auto now = within.planned(changes);
  for (std::size_t i = 0; i < now.plans.size(); ++i) {
    const MemoryPlan &plan = now.plans[i];
    if (plan.bytes_on(backend_) <= budget)
      continue;
    std::optional<std::string> best;
    std::size_t least = plan.bytes_on(backend_);
    const auto attempt = [&](const std::string &change) {
      try {
        for (const auto &same : within.planned(with(changes, change)).plans)
          if (same.name() == plan.name() && same.bytes_on(backend_) < least)
            least = same.bytes_on(backend_), best = change;
      } catch (const InputError &) { // settings that do not go together
      }
    };
    for (const auto &change : now.config.generators.chosen().savings())
      attempt(change);
    if (best)
      return best;
    const std::string toml = to_toml(now.config);
    for (const auto *entry : largest_of(plan, 8))
      for (const auto &key : keys_in(entry->hint))
        if (const auto value = whole_number(value_in(toml, key)); value && *value > 1)
          attempt(key + "=" + std::to_string(*value / 2));
    return best;
  }
  return {};
}

auto RunMemory::advice(std::size_t budget) const -> Advice {
  constexpr int most = 64;
  const RunMemory within = this->within(budget);
  Advice found;
  for (int i = 0; i < most; ++i) {
    if (within.planned(found.changes).bytes <= budget) {
      found.fits = true;
      break;
    }
    const auto next = advice(found.changes, budget);
    if (!next)
      break;
    const std::string key = next->substr(0, next->find('=') + 1);
    std::erase_if(found.changes, [&](const std::string &before) { return before.starts_with(key); });
    found.changes.push_back(*next);
  }
  return found;
}

std::string text_of(const RunMemory::Growth &g) {
  std::string formula;
  const auto term = [&](double value, const char *of) {
    if (std::abs(value) >= 0.05)
      formula += fmt::format("{}{:.4g}{}",
                             formula.empty() ? ""
                             : value < 0     ? " − "
                                             : " + ",
                             formula.empty() ? value : std::abs(value), of);
  };
  term(g.of_v, "·V"), term(g.of_bv, "·B·V"), term(g.of_b, "·B"), term(std::abs(g.rest) < 1024 ? 0 : g.rest, "");
  return formula;
}

} // namespace theta
