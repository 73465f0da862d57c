#include "eval_config.h"
#include <set>

namespace theta {

void describe(Keys &keys, EvalConfig &e) {
  keys({"networks", "networks judged in a group"}, e.networks, positive);
  keys({"references", "training networks, and as many held-out ones, that groups are compared with"}, e.references,
       positive);
  keys({"wave", "networks scored at a time"}, e.wave, positive);
  keys({"average", "networks in an average of the averages baseline"}, e.average, positive);
  keys({"ensemble", "networks of the largest ensemble, and whose calibration is measured; 0: none"}, e.ensemble,
       not_negative);
  keys({"diversity", "networks of a group whose pairs are compared; 0: none"}, e.diversity, not_negative);
  keys({"closest", "training networks whose hull a network may lie in; 0: none"}, e.closest, Limits{0, 1024});
  keys({"lines", "lines to the nearest networks; 0: none"}, e.lines, not_negative);
  keys({"hessians", "networks whose curvature is measured; 0: none"}, e.hessians, not_negative);
  keys({"hessian_images", "images that the curvature is of"}, e.hessian_images, positive);
  keys({"baselines", "noise, averages, Gaussians and mixtures are judged too"}, e.baselines);
  keys({"recount", "batches of 128 training images over which running statistics of generated and averaged networks "
                   "are counted anew, for "
                   "groups of their own; 0: none"},
       e.recount, Limits{0, 4096});
  keys({"asked", "places among training networks, as a share, within which a held-out network has what was asked for"},
       e.asked, Limits{0, 1});
  keys({"bar", "accuracy that a good network has, of the joint curve; 0: as bar_quantile says"}, e.bar, Limits{0, 1});
  keys({"bar_quantile", "quantile of held-out networks' accuracies that is the bar"}, e.bar_quantile, Limits{0, 1});
  keys({"groups", "other zoos to judge: NAME=FOLDER"}, e.groups);
  keys({"twin", "samples of the same noise by a generator that has learned other networks"}, e.twin);
  keys({"part", "images that networks are judged on: test or validation"}, e.part);
  keys({"distance", "between networks: plain, or after the best assignment of units"}, e.distance, distance_named);
  keys({"noise", "deviations of the noise baselines"}, e.noise, not_negative);
}

void check(const EvalConfig &e) {
  if (e.part != "test" && e.part != "validation")
    throw InputError("eval.part: found '", e.part, "', expected test or validation");
  check_groups(e.groups, "eval.groups");
}

void check_groups(const std::vector<std::string> &groups, const std::string &where) {
  std::set<std::string> names{"training",   "held_out",      "gaussian",         "gaussian_full",
                              "pairs",      "aligned_pairs", "aligned_gaussian", "aligned_gaussian_full",
                              "along_runs", "asked",         "retrieval",        "ridge"};
  for (const std::string &group : groups) {
    const auto equals = group.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == group.size())
      throw InputError(where, ": found '", group, "', expected NAME=FOLDER");
    const std::string name = group.substr(0, equals);
    if (name.starts_with("noise_") || name.starts_with("average_") || name.starts_with("asked_") ||
        name.starts_with("recounted_") || name.starts_with("aligned_average_") || !names.insert(name).second)
      throw InputError(where, ": found a group named ", name, ", expected a name that no other group has");
  }
}

} // namespace theta
