// Is a network good, and is it new? A group of networks, measured against n training networks and n held-out ones.
#pragma once
#include "assigned.h"
#include "engine/memory/arena.h"
#include "engine/zoo/evaluator.h"
#include "group_report.h"

namespace theta {

// plain: L2 of the flattened weights. assigned: after balancing and the best assignment of units (assigned.h).
enum class DistanceKind { plain, assigned };
DistanceKind distance_named(std::string_view name); // throws InputError
const char *name_of(DistanceKind);

// A group, its broken networks left out.
struct JudgedGroup {
  GroupReport report;
  NetworkSet sound;
  std::vector<Nearest> nearest;     // of each, the training reference
  std::vector<std::uint32_t> wrong; // [networks, words]: mistakes
};

// Measures groups against one choice of n training and n held-out networks. Of each network:
//   accuracy, loss      on the images
//   max_iou             the largest IoU of its wrong predictions with those of a training network (p-diff)
//   nearest_l2          its distance to the nearest training network
//   nearest_ratio       that, over its distance to the second nearest: of a copy it is small
//   control_l2          and to the nearest held-out one
//   raw_l2, canonical_l2  where distances are assigned: to the nearest training network as networks lie, and with units
//                       in the order of their norms (canonicalise)
// and of the group
//   memorised           the share whose nearest neighbour among the training networks is nearer than among as many
//                       held-out ones: 0.5 without memory, because both were drawn alike and the generator saw only
//                       one of them.
// A network that is itself in a reference set is left out of it, and the other set then gives up one network too.
// Broken networks are counted and take part in nothing, be they in the group or among the references; of these, as many
// of both kinds are looked at.
//
// Groups and references go through in blocks, of as many networks as the budget leaves room for; what is measured does
// not depend on it. Of references only what they get wrong is held, n·images bits.
class NoveltyJudge {
public:
  // Groups of at most `largest_group` networks of V parameters; `references` is n.
  NoveltyJudge(const NetworkShape &, std::size_t images, int wave, std::size_t references, std::size_t largest_group,
               Backend, DistanceKind = DistanceKind::plain, Budget = {});

  const MemoryPlan &plan() const { return plan_; } // the search for neighbours lives beside it

  // Binds memory, uploads `part`, and scores the training references. Call it once.
  void start(Device, const Dataset &, const Images &part, NetworkSet training, NetworkSet held_out);
  void stop() { arena_.reset(), stream_.reset(); } // gives the memory back
  JudgedGroup judge(const std::string &name, const NetworkSet &group);

  // Scores networks on the same images.
  Scores score(const NetworkSet &, std::vector<char> *broken = nullptr);
  // The network of the training references that stands first in its zoo: what others are aligned to.
  void reference(float *theta) const;
  std::size_t words() const { return evaluator_.words(); }
  const NetworkSet &training() const { return training_; }
  const std::optional<AssignedDistance> &assigned() const { return assigned_; } // where distances are not plain
  // [a, b] distances, by whatever they are, of networks in host memory, [·, V] each.
  std::vector<float> pairs(const std::vector<float> &a, const std::vector<float> &b) const;
  // Of each the `k` nearest training references, by whatever distances are.
  std::vector<Nearest> nearest(const NetworkSet &group, bool training, std::size_t k, const Skip &) const;
  // [a, b] intersections over unions of mistakes.
  std::vector<float> overlaps(const std::vector<std::uint32_t> &a, const std::vector<std::uint32_t> &b);

private:
  struct AtOnce {
    int networks;
  };
  NoveltyJudge(const NetworkShape &, std::size_t images, int wave, std::size_t references, std::size_t largest_group,
               Backend, DistanceKind, AtOnce, Budget);
  static AtOnce at_once(const NetworkShape &, std::size_t images, int wave, std::size_t references,
                        std::size_t largest_group, Backend, DistanceKind, Budget);
  std::vector<float> largest_overlaps(const NetworkSet &group, const std::vector<std::uint32_t> &wrong);

  NetworkShape shape_;
  std::size_t references_, largest_group_, parameters_, block_; // block_: masks at a time
  std::optional<AssignedDistance> assigned_;
  NearestSearch plain_;
  Evaluator evaluator_;
  MemoryPlan plan_{"eval", "eval.wave"};
  Tensor<float> staging_;                     // [V], in host memory
  Tensor<float> iou_;                         // [block, block]
  Tensor<std::uint32_t> wrong_, other_wrong_; // [block, words]
  Device device_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Arena> arena_;
  NetworkSet training_, held_out_;
  std::vector<std::uint32_t> training_wrong_;           // [n, words]
  std::vector<char> training_broken_, held_out_broken_; // [n]
};

// Whether a group remembers, and nothing else: the share nearer to one of `seen` than to any of `control`, as many
// networks, of those that are finite; and their mean distance to the nearest seen one. On the cpu.
struct Remembered {
  Share share;
  double nearest = Estimate::none;
};
Remembered memory_of(const NetworkShape &, DistanceKind, const NetworkSet &group, const NetworkSet &seen,
                     const NetworkSet &control);

} // namespace theta
