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

std::vector<float> TextRows::facts_of(const std::vector<std::size_t> &rows) const {
  std::vector<float> all;
  for (const std::size_t row : rows)
    for (const auto &fact : facts_)
      all.push_back(fact[row]);
  return all;
}

std::vector<std::size_t> TextRows::rows_shown(const ZooReader &samples) const {
  std::vector<std::size_t> rows;
  for (const std::int64_t row : samples.integers(shown_column)) {
    if (row < 0 || std::size_t(row) >= work_.zoo.rows())
      throw InputError("eval: ", samples.path().string(),
                       ": found samples that were shown a text of their own (sample.shown), expected what held-out "
                       "networks are shown: nothing says beside which networks to judge them");
    rows.push_back(std::size_t(row));
  }
  return rows;
}

Mixtures TextRows::told(const ZooReader &samples) const {
  if (samples.has_column(shown_column))
    return of_rows(rows_shown(samples));
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

bool TextRows::reads_left_out(std::size_t row) const {
  for (const std::string &name : work_.without)
    for (std::size_t c = 0; c < columns_.size(); ++c)
      if (work_.data.text.classes[c] == name && columns_[c][row] > 0)
        return true;
  return false;
}

TextRows::TextRows(const EvalWork &work) : work_(work) {
  for (const std::string &name : work.data.text.classes)
    columns_.push_back(work.zoo.floats(share_column(name)));
  facts_ = columns_;
  if (work.shown) {
    facts_.clear();
    for (const Column &column : work.shown->format().columns)
      if (column.name.starts_with("plain_"))
        facts_.push_back(work.shown->floats(column.name));
  }
  const std::size_t most = std::size_t(work.eval.networks), classes = columns_.size();
  if (work.samples)
    prompts_ = told(*work.samples);
  if (work.shown && work.samples)
    prompt_rows_ = rows_shown(*work.samples);
  if (prompts_.count() == 0) {
    for (const std::size_t row : work.held_out)
      if (work.without.empty() || reads_left_out(row))
        prompt_rows_.push_back(row);
    prompts_ = of_rows(prompt_rows_);
  }
  prompts_.shares.resize(std::min(prompts_.count(), most) * classes);
  prompt_rows_.resize(std::min(prompt_rows_.size(), most));
  prompt_facts_ = work.shown ? facts_of(prompt_rows_) : prompts_.shares;
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
    if (!is_taken[work.held_out[k]] && held_out.pure(k) < 0 && !reads_left_out(work.held_out[k]))
      control_.push_back(work.held_out[k]);
  const std::size_t n = std::min({std::size_t(work.eval.references), work.training.size(), control_.size()});
  if (n < 2)
    throw InputError("eval: found ", work.training.size(), " training and ", work.held_out.size(),
                     " held-out networks, expected more held-out ones than the ", asked_.size(),
                     " that are asked for, and others for control (zoo.held_out)");
  control_ = choose(work.zoo, control_, n, work.seed, 1).source;
  seen_ = choose(work.zoo, work.training, n, work.seed, 0).source;
  training_ = choose(work.zoo, work.training, most, work.seed, 2).source;
  const auto line = [&](const std::vector<float> &facts, std::size_t f) {
    return std::make_shared<const Ridge>(facts, f, work.zoo.parameters(),
                                         [&](std::size_t i, float *theta) { work.zoo.theta(work.training[i], theta); });
  };
  ridge_ = line(facts_of(work.training), facts_.size());
  told_line_ = work.shown ? line(of_rows(work.training).shares, classes) : ridge_;
}

NetworkSet TextRows::retrieved() const {
  const std::vector<float> training = facts_of(work_.training);
  const std::size_t f = facts_.size();
  std::vector<std::size_t> rows, used(work_.training.size());
  for (std::size_t i = 0; i < prompts_.count(); ++i) {
    std::size_t best = 0; // of those that have been taken least often, so that a prompt told twice has two answers
    double least = INFINITY;
    for (std::size_t k = 0; k < used.size(); ++k) {
      double apart = 1e-3 * double(used[k]);
      for (std::size_t j = 0; j < f; ++j)
        apart += std::abs(double(training[k * f + j]) - double(prompt_facts_[i * f + j]));
      if (apart < least)
        best = k, least = apart;
    }
    ++used[best], rows.push_back(work_.training[best]);
  }
  NetworkSet set = rows_of(work_.zoo, std::move(rows));
  set.source.clear(); // what it gives is what it has seen: a copy like any other
  return set;
}

NetworkSet TextRows::ridge() const {
  return {prompts_.count(),
          [this](std::size_t i, float *to) { ridge_->answer(prompt_facts_.data() + i * facts_.size(), to); }};
}

std::size_t TextRows::some_training_row(std::size_t i) const {
  return work_.training[shuffled(work_.seed, Purpose::group_choice, 18, i, std::uint32_t(work_.training.size()))];
}

NetworkSet TextRows::ridge_and_rest() const {
  return {prompts_.count(), [this](std::size_t i, float *to) {
            const std::size_t row = some_training_row(i);
            std::vector<float> seen(work_.zoo.parameters()), line(seen.size());
            work_.zoo.theta(row, seen.data());
            ridge_->answer(facts_of({row}).data(), line.data());
            ridge_->answer(prompt_facts_.data() + i * facts_.size(), to);
            for (std::size_t v = 0; v < seen.size(); ++v)
              to[v] += seen[v] - line[v];
          }};
}

NetworkSet TextRows::looked() const {
  return {prompts_.count(), [this](std::size_t i, float *to) { work_.looked(prompt_rows_[i], to); }};
}

NetworkSet TextRows::looked_and_rest() const {
  return {prompts_.count(), [this](std::size_t i, float *to) {
            const std::size_t row = some_training_row(i);
            std::vector<float> seen(work_.zoo.parameters()), its(seen.size());
            work_.zoo.theta(row, seen.data());
            told_line_->answer(of_rows({row}).of(0), its.data());
            work_.looked(prompt_rows_[i], to);
            for (std::size_t v = 0; v < seen.size(); ++v)
              to[v] += seen[v] - its[v];
          }};
}

NetworkSet TextRows::trained_on_shown() const {
  return {prompts_.count(), [this](std::size_t i, float *to) { work_.trained_on_shown->theta(prompt_rows_[i], to); }};
}

} // namespace theta
