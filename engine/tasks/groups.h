// Which networks are judged beside one another: of all tasks alike.
#pragma once
#include "engine/analysis/agreement.h"
#include "task.h"

namespace theta {

struct Group {
  std::string name, role; // as GroupReport has them
  NetworkSet networks;
  // Of networks with signals of their own: the classes that they should show, and the signals that they were made for;
  // none: empty.
  std::vector<int> labels{};
  std::vector<std::size_t> signals{};
};

class Groups {
public:
  explicit Groups(const EvalWork &work) : work_(work) {}
  void add(Group group) { all_.push_back(std::move(group)); }
  // The run's own samples, then the zoos of eval.groups: drawn at random, or the first of each as they are stored. With
  // the classes that samples were conditioned on. Throws InputError for networks of another size.
  enum class Taken { drawn, first };
  void add_generated(Taken);
  // Noise, averages and a Gaussian of every weight; nothing where eval.baselines says so.
  void add_baselines();
  const std::vector<Group> &all() const { return all_; }

private:
  void add_zoo(const std::string &name, const ZooReader &, Taken);
  const EvalWork &work_;
  std::vector<Group> all_;
  std::vector<std::unique_ptr<ZooReader>> others_;
};

// Throws InputError where a zoo's networks are not as large as the shape's.
void check_layout(const ZooReader &, const NetworkShape &);

// eval.twin, where there is one, beside the run's own samples, whose report it is. Throws InputError where there are no
// samples.
void judge_twin(const EvalWork &, const DistanceOf &, GroupReport *generated);

} // namespace theta
