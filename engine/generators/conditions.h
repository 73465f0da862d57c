// What a generator may be conditioned on: a number or label made of the columns that its zoo has of the network that is
// wanted, and of the network that it starts from. By name:
//   COLUMN          of the wanted network: validation_loss, lr, ...      COLUMN:N   a label of 0..N−1: optimizer:3, ...
//   start.COLUMN    of the network that it starts from             delta.COLUMN   the wanted one's less the start's
//   rank.COLUMN     in place of a column: its place among the training networks of its architecture, from 0 to 1
// To add a form of its own: a function from the rest of the name to a Condition in a file of its own, and there the
// line
//   const bool added = theta::add_condition_form("prefix.", function);
#pragma once
#include "condition_shape.h"
#include "network_source.h"
#include <functional>

namespace theta {

struct Condition {
  std::string name;
  int classes = 0;                  // 0: a number
  std::vector<std::string> columns; // that it reads
  bool of_start = false;            // it reads the start's too
  // From the values of its columns, of the wanted network and of its start (null where there is none).
  std::function<float(const float *wanted, const float *start)> value;
};

using ConditionForm = std::function<Condition(const std::string &rest)>;
bool add_condition_form(std::string prefix, ConditionForm); // true
// Throws InputError for an empty column or a bad number of classes.
Condition condition_named(const std::string &name);

// The share of a number's values from 0 to 1: [low, high] of what training saw, without its rarest hundredth. Labels
// stay as they are.
struct ConditionRange {
  float low = 0, high = 1;
};

// All conditions of a generator, in order.
class Conditions {
public:
  explicit Conditions(const std::vector<std::string> &names); // throws InputError for a bad or repeated name
  std::size_t size() const { return all_.size(); }
  const std::vector<Condition> &all() const { return all_; }
  const std::vector<std::string> &columns() const { return columns_; } // of all of them
  bool of_start() const;
  std::vector<ConditionShape> shapes() const;

  // told [K, networks·repeat], rows `step` apart, as the model takes it, from what a source says of a batch of
  // networks, each `repeat` times.
  void tell(float *told, std::size_t step, const NetworkSource::Facts &, int repeat,
            const std::vector<ConditionRange> &) const;

  // The ranges of some batches' values. Throws InputError for labels beyond their classes, or numbers that are not
  // finite.
  std::vector<ConditionRange> measure(const std::vector<NetworkSource::Facts> &) const;

private:
  // use(value) of each network of a batch.
  template <class F> void each_value(const Condition &, const NetworkSource::Facts &, F use) const;
  std::vector<Condition> all_;
  std::vector<std::string> columns_;
};

// Conditions are dropped: a network goes without all of them with probability `drop`, else without each with that
// probability (Ho & Salimans, "Classifier-free diffusion guidance", 2022, for one condition). told [K, rows]; row r is
// stream first_stream + r.
void drop_conditions(float *told, std::size_t conditions, int rows, double drop, std::uint64_t seed,
                     std::uint32_t first_stream);

} // namespace theta
