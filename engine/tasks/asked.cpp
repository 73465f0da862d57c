#include "asked.h"
#include "engine/generators/network_source.h"
#include "engine/weights/dense.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace theta {

namespace {

constexpr std::string_view told_prefix = "told_";

bool is_integer(const ZooReader &zoo, const std::string &column) {
  const auto &columns = zoo.format().columns;
  return std::any_of(columns.begin(), columns.end(),
                     [&](const auto &c) { return c.name == column && c.dtype == Dtype::i64; });
}

} // namespace

Asked::Asked(const ZooReader &zoo, const std::vector<std::size_t> &training, const ZooReader &samples)
    : zoo_(zoo), training_(training) {
  for (const auto &column : samples.format().columns) {
    if (!column.name.starts_with(told_prefix))
      continue;
    Told told{column.name.substr(told_prefix.size()), false, {}, samples.numbers(column.name)};
    const bool is_rank = told.name.starts_with(rank_prefix);
    const std::string of = is_rank ? told.name.substr(rank_prefix.size()) : told.name;
    if (!zoo.has_column(of))
      continue;
    told.is_label = !is_rank && is_integer(zoo, of);
    if (told.is_label) {
      told.of_row = zoo.numbers(of);
    } else {
      std::vector<float> among;
      const auto numbers = zoo.numbers(of);
      for (const std::size_t row : training)
        among.push_back(numbers[row]);
      told.of_row = ranks_among(numbers, among);
      if (!is_rank)
        told.of_sample = ranks_among(std::move(told.of_sample), std::move(among));
    }
    told_.push_back(std::move(told));
  }
  std::map<std::vector<float>, std::size_t> known;
  for (std::size_t i = 0; i < samples.rows(); ++i) {
    std::vector<float> prompt;
    for (const Told &t : told_)
      prompt.push_back(t.of_sample[i]);
    const auto [at, is_new] = known.try_emplace(std::move(prompt), prompts_.size());
    if (is_new)
      prompts_.push_back(i);
    prompt_of_sample_.push_back(at->second);
  }
}

std::string Asked::text(double width) const {
  std::string all;
  for (const Told &t : told_) {
    const auto [least, most] = std::minmax_element(t.of_sample.begin(), t.of_sample.end());
    all += theta::text(all.empty() ? "" : ", ", t.name, t.is_label ? " " : " of place ", *least,
                       *least < *most ? theta::text(" to ", *most) : "", t.is_label ? "" : theta::text(" ± ", width));
  }
  return all;
}

double Asked::apart(std::size_t sample, std::size_t row) const {
  double furthest = 0;
  for (const Told &t : told_) {
    const double difference = std::abs(double(t.of_sample[sample]) - double(t.of_row[row]));
    furthest = std::max(furthest, t.is_label && difference > 0 ? std::numeric_limits<double>::infinity() : difference);
  }
  return furthest;
}

Asked::Having Asked::having(const std::vector<std::size_t> &rows, std::size_t most, double width,
                            std::uint64_t seed) const {
  std::vector<std::vector<std::size_t>> of_prompt(prompts_.size()); // the next one last
  std::size_t in_all = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t row = rows[shuffled(seed, Purpose::group_choice, 16, i, std::uint32_t(rows.size()))];
    bool has_it = false;
    for (std::size_t p = 0; p < prompts_.size(); ++p)
      if (apart(prompts_[p], row) <= width)
        of_prompt[p].push_back(row), has_it = true;
    in_all += has_it;
  }
  Having found{{}, in_all};
  std::vector<char> is_taken(zoo_.rows(), 0);
  for (std::size_t i = 0; i < prompt_of_sample_.size() && found.rows.size() < most; ++i) {
    auto &left = of_prompt[prompt_of_sample_[i]];
    while (!left.empty() && is_taken[left.back()])
      left.pop_back();
    if (left.empty())
      continue;
    is_taken[left.back()] = 1;
    found.rows.push_back(left.back());
  }
  return found;
}

NetworkSet Asked::retrieved(std::size_t count) const {
  count = std::min(count, prompt_of_sample_.size());
  std::vector<std::vector<std::size_t>> nearest; // of each prompt
  for (const std::size_t sample : prompts_) {
    std::vector<std::pair<double, std::size_t>> all;
    for (const std::size_t row : training_)
      all.emplace_back(apart(sample, row), row);
    std::partial_sort(all.begin(), all.begin() + std::ptrdiff_t(std::min(count, all.size())), all.end());
    auto &rows = nearest.emplace_back();
    for (std::size_t j = 0; j < std::min(count, all.size()); ++j)
      rows.push_back(all[j].second);
  }
  std::vector<std::size_t> rows, next(nearest.size(), 0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t p = prompt_of_sample_[i];
    rows.push_back(nearest[p][next[p]++ % nearest[p].size()]);
  }
  NetworkSet set = rows_of(zoo_, std::move(rows));
  set.source.clear(); // what it gives is what it has seen: a copy like any other
  return set;
}

NetworkSet Asked::regressed(std::size_t count, std::uint64_t seed, std::size_t most, const Meet &meet) const {
  count = std::min(count, prompt_of_sample_.size());
  const NetworkSet seen = choose(zoo_, training_, most, seed, 17);
  const std::size_t n = seen.count, v = zoo_.parameters();
  // A number is one column, a label one for each that training networks have.
  std::vector<std::function<double(float)>> columns;
  std::vector<std::size_t> told_of;
  for (std::size_t k = 0; k < told_.size(); ++k) {
    if (!told_[k].is_label) {
      columns.push_back([](float x) { return double(x); }), told_of.push_back(k);
      continue;
    }
    std::map<float, bool> labels;
    for (const std::size_t row : seen.source)
      labels[told_[k].of_row[row]] = true;
    for (const auto &[label, there] : labels)
      columns.push_back([label = label](float x) { return double(x == label); }), told_of.push_back(k);
  }
  const std::size_t f = columns.size();
  std::vector<double> facts(n * f), mean(f, 0), deviation(f, 0); // [n, f]
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < f; ++j)
      mean[j] += (facts[i * f + j] = columns[j](told_[told_of[j]].of_row[seen.source[i]])) / double(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < f; ++j)
      deviation[j] += std::pow(facts[i * f + j] - mean[j], 2) / double(n);
  const auto scaled = [&](std::size_t j, double x) {
    return deviation[j] > 0 ? (x - mean[j]) / std::sqrt(deviation[j]) : 0;
  };
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < f; ++j)
      facts[i * f + j] = scaled(j, facts[i * f + j]);
  std::vector<double> middle(v, 0), products(f * v, 0); // the mean network, Σ fact·(network − mean)
  std::vector<float> first(v), theta(v);
  seen.network(0, first.data());
  for (std::size_t i = 0; i < n; ++i) {
    seen.network(i, theta.data());
    if (meet)
      meet(theta.data(), first.data());
    for (std::size_t c = 0; c < v; ++c)
      middle[c] += double(theta[c]) / double(n);
    for (std::size_t j = 0; j < f; ++j) // facts' means are 0: that of the networks takes no part
      for (std::size_t c = 0; c < v; ++c)
        products[j * v + c] += facts[i * f + j] * double(theta[c]);
  }
  std::vector<double> gram = transposed_product(facts, facts, n);
  for (std::size_t j = 0; j < f; ++j)
    gram[j * f + j] += 1;                                             // the usual ridge, of one network's weight
  auto answers = std::make_shared<std::vector<std::vector<float>>>(); // of each prompt
  for (const std::size_t sample : prompts_) {
    std::vector<double> asked(f);
    for (std::size_t j = 0; j < f; ++j)
      asked[j] = scaled(j, columns[j](told_[told_of[j]].of_sample[sample]));
    const auto weight = least_squares(gram, asked);
    auto &answer = answers->emplace_back(v);
    for (std::size_t c = 0; c < v; ++c) {
      double sum = middle[c];
      for (std::size_t j = 0; j < f; ++j)
        sum += weight[j] * products[j * v + c];
      answer[c] = float(sum);
    }
  }
  return {count, [answers, of = prompt_of_sample_](std::size_t i, float *to) {
            std::copy((*answers)[of[i]].begin(), (*answers)[of[i]].end(), to);
          }};
}

} // namespace theta
