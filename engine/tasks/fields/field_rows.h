// Fields that are judged together, and what they are compared with: of images and of bodies alike.
#pragma once
#include "engine/analysis/statistics.h"
#include "engine/tasks/groups.h"

namespace theta {

// Rows of the zoo, in a random order: groups first, then who they are compared with.
class FieldRows {
public:
  // Throws InputError where there are too few held-out fields. What `work` names must live as long.
  explicit FieldRows(const EvalWork &work);

  GroupNetworks references() const { return of_rows(references_); } // held-out fields that no group has
  GroupNetworks training() const { return of_rows(seen_); }         // as many as for control
  GroupNetworks control() const { return of_rows(control_); }

  // Training, held-out and generated fields, the zoos of eval.groups, and baselines, each judged by `judge`; with a
  // verdict on those that are generated or baselines. `of_each`: a value that every field has which works. With
  // progress; throws Interrupted.
  using Judge = std::function<GroupReport(const std::string &name, const GroupNetworks &)>;
  std::vector<GroupReport> judged(Journal &, const char *of_each, const Judge &) const;

private:
  GroupNetworks of_rows(const std::vector<std::size_t> &rows) const;

  const EvalWork &work_;
  std::vector<std::size_t> training_, held_out_, references_, seen_, control_;
  std::vector<std::size_t> askable_; // held-out rows that are neither references nor control
  std::vector<std::int64_t> signal_, label_;
};

// Shares in tables: nothing where n is 0.
std::string shown_share(const Estimate &);

} // namespace theta
