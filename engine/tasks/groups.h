// Which networks are judged beside one another: of all tasks alike.
#pragma once
#include "asked.h"
#include "engine/analysis/agreement.h"
#include "engine/analysis/verdict.h"
#include "task.h"
#include <map>

namespace theta {

// Networks that are judged together. Of those with signals of their own also the classes that they should show, and the
// signals that they were made for; none: empty.
struct GroupNetworks {
  NetworkSet networks;
  std::vector<int> labels{};
  std::vector<std::size_t> signals{};
};

struct Group : GroupNetworks {
  std::string name, role;          // as GroupReport has them
  std::string beside = "held_out"; // the group that it is compared with: where samples were asked for something, that
                                   // of held-out networks which have it
};

class Groups {
public:
  explicit Groups(const EvalWork &work) : work_(work) {}
  void add(std::string name, std::string role, GroupNetworks networks) {
    all_.push_back({std::move(networks), std::move(name), std::move(role)});
  }
  // The run's own samples, then the zoos of eval.groups: drawn at random, or the first of each as they are stored. With
  // the classes that samples were conditioned on, and behind each, where they were asked for something, networks of
  // `held_out` that have it: "asked", or "asked_NAME". Throws InputError for networks of another size.
  enum class Taken { drawn, first };
  void add_generated(Taken, const std::vector<std::size_t> &held_out);
  // What simply answers what the run's own samples were asked for: the nearest training networks, and a straight line.
  void add_answers(const Meet &);
  // recounted_NAME behind all groups of networks that nobody trained but for noise on one: generated, averages, Gaussians.
  void add_recounted(const std::function<NetworkSet(NetworkSet)> &recount);
  // What is not the zoo's own is brought into the form in which its networks run.
  void put_in_form();
  // Judges a report of the group of that name beside the group that it is compared with.
  void verdict(GroupReport &, const std::vector<GroupReport> &all, Comparison) const;
  // Noise, averages and a Gaussian of every weight; nothing where eval.baselines says so.
  void add_baselines();
  const std::vector<Group> &all() const { return all_; }

private:
  void add_zoo(const std::string &name, const ZooReader &, Taken);
  void add_asked(const std::string &of, const ZooReader &samples, const std::vector<std::size_t> &held_out);
  struct AskedFor {
    std::string text;
    Asked asked;
    Asked::Having having;
  };
  const EvalWork &work_;
  std::vector<Group> all_;
  std::map<std::string, AskedFor> asked_; // by the group's name
  std::vector<std::unique_ptr<ZooReader>> others_;
};

// Networks that are no rows of the zoo, brought into the form in which its networks run.
NetworkSet in_form(NetworkSet, const NetworkShape &);

// Throws InputError where a zoo's networks are not as large as the shape's.
void check_layout(const ZooReader &, const NetworkShape &);

// eval.twin, where there is one, beside the run's own samples, whose report it is. Throws InputError where there are no
// samples.
void judge_twin(const EvalWork &, const DistanceOf &, GroupReport *generated);

} // namespace theta
