// Which language models are judged beside which. Every one is judged by a mixture of classes: its own, or what a sample was
// told, or what the sample was told in whose place a baseline stands. Samples that were told by example are judged by the
// mixture of which they were shown examples; they, and simple answers, know nothing of it but how often each character
// came in these.
#pragma once
#include "engine/analysis/baselines.h"
#include "engine/tasks/task.h"
#include "engine/weights/ridge.h"

namespace theta {

// A mixture a network, [count, classes].
struct Mixtures {
  std::size_t classes = 0;
  std::vector<float> shares;
  std::size_t count() const { return classes == 0 ? 0 : shares.size() / classes; }
  const float *of(std::size_t i) const { return shares.data() + i * classes; }
  int pure(std::size_t i) const;                      // the class that has all of it, or −1
  double apart(std::size_t i, const float *to) const; // Σ |difference|
};

class TextRows {
public:
  // Throws InputError where there are too few networks.
  explicit TextRows(const EvalWork &);

  // What samples were told; without samples, what the first held-out networks are. At most eval.networks.
  const Mixtures &prompts() const { return prompts_; }
  // Of samples that were told in shares of classes or by example, and of rows of the zoo. Throws InputError for examples
  // of which no network says what they are.
  Mixtures told(const ZooReader &samples) const;
  Mixtures of_rows(const std::vector<std::size_t> &rows) const;

  // Held-out networks of the prompts' mixtures, or of the nearest to them, none twice while there are others.
  const std::vector<std::size_t> &asked() const { return asked_; }
  double furthest() const { return furthest_; } // of these from what was asked for: Σ |difference|
  const std::vector<std::size_t> &training() const { return training_; }
  // As many of either kind, to tell memory by: seen, and held-out ones that nobody asked for.
  const std::vector<std::size_t> &seen() const { return seen_; }
  const std::vector<std::size_t> &control() const { return control_; }

  // What simply answers the prompts: the training networks of the nearest mixtures (or characters); a straight line from
  // these to weights; the same, and the rest that it leaves of a training network.
  NetworkSet retrieved() const, ridge() const, ridge_and_rest() const;
  // Told by example: where looking leads; the same, and the rest that a line on mixtures leaves of a training network;
  // what training on the same examples makes.
  NetworkSet looked() const, looked_and_rest() const, trained_on_shown() const;
  double explained() const { return ridge_->explained(); } // of the variance of networks that it has not seen

private:
  std::vector<std::size_t> rows_shown(const ZooReader &samples) const; // whose examples samples were shown
  bool reads_left_out(std::size_t row) const;                          // any of work.without
  std::size_t some_training_row(std::size_t i) const;
  std::vector<float> facts_of(const std::vector<std::size_t> &rows) const; // [rows, facts]
  const EvalWork &work_;
  std::vector<std::vector<float>> columns_; // shares of all rows, a class each
  std::vector<std::vector<float>> facts_;   // what simple answers know: the same, or of what is shown
  Mixtures prompts_;
  std::vector<std::size_t> prompt_rows_; // told by example: of whose
  std::vector<float> prompt_facts_;      // [prompts, facts]
  std::vector<std::size_t> asked_, training_, seen_, control_;
  double furthest_ = 0;
  std::shared_ptr<const Ridge> ridge_, told_line_; // on what simple answers know, and on mixtures
};

} // namespace theta
