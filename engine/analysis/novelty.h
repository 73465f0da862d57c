// Is a network good, and is it new? A group of networks, measured against n training networks and n held-out ones.
#pragma once
#include "baselines.h"
#include "engine/memory/arena.h"
#include "engine/zoo/evaluator.h"
#include "statistics.h"
#include "unit_distance.h"

namespace theta {

struct GroupReport {
  std::string name;
  std::size_t networks = 0;
  std::size_t broken = 0;                                 // of them: weights or logits that are not finite
  std::vector<float> accuracy, loss, max_iou, nearest_l2; // one value a network that is not broken
  Share memorised;
  double z_u = 0; // of nearest_l2 against that of held-out networks (statistics.h)
};

// plain: L2 of the flattened weights. assigned: after balancing and the best assignment of units (unit_distance.h).
enum class DistanceKind { plain, assigned };
DistanceKind distance_named(std::string_view name); // throws InputError
const char *name_of(DistanceKind);

// Measures groups against one choice of n training and n held-out networks.
//   max_iou     the largest IoU of a network's wrong test predictions with those of a training network (p-diff)
//   nearest_l2  its distance to the nearest training network
//   memorised   the share of the group whose nearest neighbour among the training networks is nearer than among as many
//               held-out ones: 0.5 without memory, because both were drawn alike and the generator saw only one of
//               them.
// A network that is itself in a reference set is left out of it, and the other set then gives up one network too.
// Broken networks are counted and take part in nothing, be they in the group or among the references.
//
// Groups and references go through in blocks: as many networks at a time as a quarter of a GiB holds, or as the budget
// leaves room for; what is measured does not depend on it.
class NoveltyJudge {
public:
  // Groups of at most `largest_group` networks of V parameters; `references` is n.
  NoveltyJudge(const NetworkShape &, std::size_t images, int wave, std::size_t references, std::size_t largest_group,
               Backend, DistanceKind = DistanceKind::plain, Budget = {});

  const MemoryPlan &plan() const { return plan_; }

  // Binds memory, uploads `part`, and scores the training references. Call it once.
  void start(Device, const Dataset &, const Images &part, NetworkSet training, NetworkSet held_out);
  GroupReport judge(const std::string &name, const NetworkSet &group);

private:
  struct AtOnce {
    int networks;
  };
  NoveltyJudge(const NetworkShape &, std::size_t images, int wave, std::size_t references, std::size_t largest_group,
               Backend, DistanceKind, AtOnce);
  static AtOnce at_once(const NetworkShape &, std::size_t images, int wave, std::size_t references,
                        std::size_t largest_group, Backend, DistanceKind, Budget);
  // Networks [first, first + count) of a set, centred, into `to` on the device.
  void load(float *to, const NetworkSet &, std::size_t first, std::size_t count);
  // Scores a set, and says which of its networks are broken; each, or its weights alone.
  Scores score(const NetworkSet &, std::vector<char> &broken);
  std::vector<char> broken_weights(const NetworkSet &);
  // [networks, n] distances of the group to a set of references.
  std::vector<float> distances(const NetworkSet &group, const NetworkSet &references);
  GroupReport judge_sound(const std::string &name, const NetworkSet &sound, Scores);

  std::size_t references_, largest_group_, parameters_;
  std::optional<UnitDistance> assigned_; // where distances are not plain
  int group_block_, reference_block_;    // networks at a time
  Evaluator evaluator_;
  MemoryPlan plan_{"eval", "eval.wave"};
  Tensor<float> staging_, centre_;                // [V], in host memory
  Tensor<float> group_, reference_;               // [block, V] each
  Tensor<float> distance_, iou_, workspace_;      // [block, block], [largest group, n], [two blocks]
  Tensor<std::uint32_t> wrong_, reference_wrong_; // [largest group, words], [n, words]
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Arena> arena_;
  NetworkSet training_, held_out_;
  std::vector<char> training_broken_, held_out_broken_; // [n]
  // centre_: the mean of the training references; distances do not change with it, their rounding does.
};

} // namespace theta
