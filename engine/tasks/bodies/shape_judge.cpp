#include "shape_judge.h"
#include "engine/shapes/marching_cubes.h"
#include "engine/shapes/surface.h"
#include <algorithm>
#include <numeric>

namespace theta {

namespace {

constexpr float inside = 0.5f; // beyond it

PointSets some_of(const PointSets &all, const std::vector<std::size_t> &which) {
  const std::size_t size = 3 * std::size_t(all.points);
  PointSets some{int(which.size()), all.points, {}};
  for (const std::size_t i : which)
    some.values.insert(some.values.end(), all.values.begin() + std::ptrdiff_t(i * size),
                       all.values.begin() + std::ptrdiff_t((i + 1) * size));
  return some;
}

// The first that are matched.
PointSets few_of(const PointSets &all, int most) {
  std::vector<std::size_t> first(std::size_t(std::min(all.count, most)));
  std::iota(first.begin(), first.end(), std::size_t(0));
  return some_of(all, first);
}

} // namespace

ShapeJudge::ShapeJudge(const NetworkShape &shape, const DatasetSizes &sizes, const std::vector<float> &points,
                       int shapes, int wave, std::uint64_t seed, Detail detail)
    : detail_(detail), volume_(shape, cube_grid(detail.grid), sizes.dimensions, std::min(wave, 8), "eval.volume"),
      places_(shape, points, sizes.dimensions, std::min(wave, 8), "eval.places"), chamfer_(shapes, detail.surface),
      weights_(layout_of(shape).size(), "eval.weights"), shapes_(shapes), seed_(seed) {}

std::vector<const MemoryPlan *> ShapeJudge::plans() const {
  return {&volume_.plan(), &places_.plan(), &chamfer_.plan(), &weights_.plan()};
}

PointSets ShapeJudge::surfaces_of(const NetworkSet &set, int most, std::uint32_t stream, std::vector<char> &broken) {
  const std::size_t count = std::min(set.count, std::size_t(most)), size = 3 * std::size_t(detail_.surface);
  PointSets all{int(count), detail_.surface, std::vector<float>(count * size)};
  broken.assign(count, 0);
  volume_.render(device_, count, set.network, [&](std::size_t i, const float *values) {
    const std::vector<float> value(values, values + volume_.values());
    const Mesh mesh = all_finite(value) ? marching_cubes(value, detail_.grid, inside) : Mesh{};
    broken[i] = mesh.triangles.empty();
    if (broken[i])
      return;
    const auto points = surface_points(mesh, detail_.surface, seed_, stream + std::uint32_t(i));
    std::copy(points.begin(), points.end(), all.values.begin() + std::ptrdiff_t(i * size));
  });
  return all;
}

void ShapeJudge::start(Device device, const Dataset &data, const NetworkSet &references, GroupNetworks training,
                       NetworkSet control) {
  device_ = device, data_ = &data;
  training_ = std::move(training), control_ = std::move(control);
  std::vector<char> broken;
  const auto sound = [&](const NetworkSet &set, std::uint32_t stream) {
    const PointSets all = surfaces_of(set, shapes_, stream, broken);
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < broken.size(); ++i)
      if (!broken[i])
        kept.push_back(i);
    if (kept.size() < 2)
      throw InputError("eval: found ", kept.size(), " fields of the zoo with a surface, expected 2 at least");
    return some_of(all, kept);
  };
  references_ = sound(references, 1u << 20);
  seen_ = surfaces_of(training_.networks, 5 * shapes_, 2u << 20,
                      broken); // a field without a surface is a point in the middle
  reference_chamfer_ = chamfer_.run(device, references_, references_);
  few_references_ = few_of(references_, detail_.most_matched);
  reference_matched_ = earth_mover(few_references_, few_references_, detail_.matched);
}

// Inside of both over inside of either, at the points where the signals were taken.
double ShapeJudge::overlap(const GroupNetworks &group, const std::vector<std::size_t> &kept) {
  double sum = 0;
  const NetworkSet sound{kept.size(), [&](std::size_t i, float *theta) { group.networks.network(kept[i], theta); }, {}};
  places_.render(device_, sound.count, sound.network, [&](std::size_t i, const float *values) {
    const std::uint8_t *truth = data_->train.pixels.data() + group.signals[kept[i]] * places_.values();
    double both = 0, either = 0;
    for (std::size_t p = 0; p < places_.values(); ++p) {
      const bool made = values[p] > inside, true_one = truth[p] > 127;
      both += made && true_one, either += made || true_one;
    }
    sum += either > 0 ? both / either : 1;
  });
  return sum / double(kept.size());
}

ShapeReport ShapeJudge::judge(const std::string &name, const GroupNetworks &group) {
  std::vector<char> broken;
  const PointSets all = surfaces_of(group.networks, shapes_, 3u << 20, broken);
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < broken.size(); ++i)
    if (!broken[i])
      kept.push_back(i);
  ShapeReport report{.name = name, .networks = broken.size(), .broken = broken.size() - kept.size()};
  if (kept.size() < 2)
    return report;
  const PointSets made = some_of(all, kept);
  report.chamfer = agreement(chamfer_.run(device_, made, made), chamfer_.run(device_, made, references_),
                             reference_chamfer_, made.count, references_.count);
  const PointSets few = few_of(made, detail_.most_matched);
  report.earth_mover =
      agreement(earth_mover(few, few, detail_.matched), earth_mover(few, few_references_, detail_.matched),
                reference_matched_, few.count, few_references_.count);
  const auto to_training = chamfer_.run(device_, made, seen_);
  double right = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    std::size_t nearest = 0;
    double distance = 1e300;
    for (std::size_t j = 0; j < std::size_t(seen_.count); ++j) {
      const bool is_itself = !group.networks.source.empty() && !training_.networks.source.empty() &&
                             group.networks.source[kept[i]] == training_.networks.source[j];
      if (const double d = to_training[i * std::size_t(seen_.count) + j]; !is_itself && d < distance)
        nearest = j, distance = d;
    }
    report.distance.push_back(distance), report.nearest.push_back(training_.networks.source.at(nearest));
    if (!group.labels.empty() && !training_.labels.empty())
      right += training_.labels[nearest] == group.labels[kept[i]];
  }
  if (!group.labels.empty() && !training_.labels.empty())
    report.recognised = share_of(right, kept.size());
  if (!group.signals.empty())
    report.iou = overlap(group, kept);
  NetworkSet sound{kept.size(), [&](std::size_t i, float *theta) { group.networks.network(kept[i], theta); }, {}};
  for (const std::size_t i : kept)
    if (!group.networks.source.empty())
      sound.source.push_back(group.networks.source[i]);
  report.memorised =
      share_nearer(weights_.run(device_, sound, training_.networks), weights_.run(device_, sound, control_));
  return report;
}

} // namespace theta
