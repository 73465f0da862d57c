#include "text_rows.h"
#include "engine/zoo/mixture.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>

namespace theta {

int Mixtures::pure(std::size_t i) const {
  const auto most = std::max_element(of(i), of(i) + classes);
  return *most > 0.999f ? int(most - of(i)) : -1;
}

double Mixtures::apart(std::size_t i, const float *to) const {
  double sum = 0;
  for (std::size_t c = 0; c < classes; ++c)
    sum += std::abs(double(of(i)[c]) - double(to[c]));
  return sum;
}

Mixtures TextRows::of_rows(const std::vector<std::size_t> &rows) const {
  Mixtures all{columns_.size(), {}};
  for (const std::size_t row : rows)
    for (const auto &column : columns_)
      all.shares.push_back(column[row]);
  return all;
}

Mixtures TextRows::told(const ZooReader &samples) const {
  Mixtures all{columns_.size(), {}};
  std::vector<std::vector<float>> told;
  bool any = false;
  for (const std::string &name : work_.data.text.classes) { // what was not told is nothing
    const std::string column = "told_" + share_column(name);
    any |= samples.has_column(column);
    told.push_back(samples.has_column(column) ? samples.floats(column) : std::vector<float>(samples.rows()));
  }
  for (std::size_t i = 0; any && i < samples.rows(); ++i)
    for (const auto &column : told)
      all.shares.push_back(column[i]);
  return all;
}

TextRows::TextRows(const EvalWork &work) : work_(work) {
  for (const std::string &name : work.data.text.classes)
    columns_.push_back(work.zoo.floats(share_column(name)));
  const std::size_t most = std::size_t(work.eval.networks), classes = columns_.size();
  if (work.samples)
    prompts_ = told(*work.samples);
  if (prompts_.count() == 0)
    prompts_ = of_rows(work.held_out);
  prompts_.shares.resize(std::min(prompts_.count(), most) * classes);
  std::vector<char> is_taken(work.zoo.rows());
  const Mixtures held_out = of_rows(work.held_out);
  for (std::size_t i = 0; i < prompts_.count(); ++i) {
    std::size_t best = 0;
    double least = INFINITY;
    for (const bool fresh : {true, false}) {
      for (std::size_t k = 0; k < work.held_out.size(); ++k)
        if (const double apart = held_out.apart(k, prompts_.of(i));
            (!fresh || !is_taken[work.held_out[k]]) && apart < least)
          best = work.held_out[k], least = apart;
      if (least < INFINITY)
        break;
    }
    is_taken[best] = 1, asked_.push_back(best), furthest_ = std::max(furthest_, least);
  }
  for (std::size_t k = 0; k < work.held_out.size(); ++k)
    if (!is_taken[work.held_out[k]] && held_out.pure(k) < 0)
      control_.push_back(work.held_out[k]);
  const std::size_t n = std::min({std::size_t(work.eval.references), work.training.size(), control_.size()});
  if (n < 2)
    throw InputError("eval: found ", work.training.size(), " training and ", work.held_out.size(),
                     " held-out networks, expected more held-out ones than the ", asked_.size(),
                     " that are asked for, and others for control (zoo.held_out)");
  control_ = choose(work.zoo, control_, n, work.seed, 1).source;
  seen_ = choose(work.zoo, work.training, n, work.seed, 0).source;
  training_ = choose(work.zoo, work.training, most, work.seed, 2).source;
  ridge_ = std::make_shared<Ridge>(of_rows(work.training).shares, classes, work.zoo.parameters(),
                                   [&](std::size_t i, float *theta) { work.zoo.theta(work.training[i], theta); });
}

NetworkSet TextRows::retrieved() const {
  const Mixtures training = of_rows(work_.training);
  std::vector<std::size_t> rows, used(training.count());
  for (std::size_t i = 0; i < prompts_.count(); ++i) {
    std::size_t best = 0; // of those that have been taken least often, so that a prompt told twice has two answers
    double least = INFINITY;
    for (std::size_t k = 0; k < training.count(); ++k)
      if (const double apart = training.apart(k, prompts_.of(i)) + 1e-3 * double(used[k]); apart < least)
        best = k, least = apart;
    ++used[best], rows.push_back(work_.training[best]);
  }
  NetworkSet set = rows_of(work_.zoo, std::move(rows));
  set.source.clear(); // what it gives is what it has seen: a copy like any other
  return set;
}

NetworkSet TextRows::ridge() const {
  return {prompts_.count(),
          [ridge = ridge_, prompts = prompts_](std::size_t i, float *to) { ridge->answer(prompts.of(i), to); }};
}

NetworkSet TextRows::ridge_and_rest() const {
  return {
      prompts_.count(), [this, ridge = ridge_](std::size_t i, float *to) {
        const std::size_t row =
            work_.training[shuffled(work_.seed, Purpose::group_choice, 18, i, std::uint32_t(work_.training.size()))];
        const Mixtures its = of_rows({row});
        std::vector<float> seen(work_.zoo.parameters()), line(seen.size());
        work_.zoo.theta(row, seen.data());
        ridge->answer(its.of(0), line.data());
        ridge->answer(prompts_.of(i), to);
        for (std::size_t v = 0; v < seen.size(); ++v)
          to[v] += seen[v] - line[v];
      }};
}

} // namespace theta
