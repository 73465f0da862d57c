// Which fields are judged together, and what they are compared with: of image fields and of shapes alike.
#pragma once
#include "config.h"
#include "data/json_forward.h"
#include "data/zoo_reader.h"
#include "engine/analysis/field_group.h"
#include "engine/analysis/statistics.h"
#include "engine/training/journal.h"

namespace theta {

class FieldGroups {
public:
  // Throws InputError where there are too few held-out fields. All three must live as long.
  FieldGroups(const Config &, const ZooReader &zoo, const ZooReader &samples);

  NetworkSet references() const; // held-out fields that no group has
  NetworkSet training() const;   // equally many
  NetworkSet control() const;
  std::vector<std::size_t> training_signals() const, control_signals() const;
  std::vector<int> training_labels() const;

  // Training, held-out and generated fields, then baselines: noise, averages, Gaussians. With progress; throws
  // Interrupted.
  void each(Journal &, const std::function<void(const std::string &name, const FieldGroup &)> &) const;

private:
  FieldGroup of_rows(const std::vector<std::size_t> &rows) const;

  const Config &config_;
  const ZooReader &zoo_, &samples_;
  std::vector<std::size_t> all_training_, training_, held_out_, references_, control_;
  std::vector<std::int64_t> signal_, label_;
};

// Shares in files: {"share", "low", "high", "n"}; and in tables, nothing where n is 0.
Json json_of(const Share &);
Share share_from(const Json &of, const char *name, const std::string &where);
std::string text_of(const Share &);

} // namespace theta
