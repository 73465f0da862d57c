#include "novelty.h"
#include "engine/weights/symmetry.h"
#include "kernels/device/names.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/counting.h"
#include <algorithm>
#include <array>
#include <cmath>

namespace theta {

namespace {
constexpr std::array distance_names{"plain", "assigned"};
constexpr int most_at_once = 1024; // masks: more make no product faster
} // namespace

DistanceKind distance_named(std::string_view name) {
  return value_named<DistanceKind>(name, distance_names, "distance");
}
const char *name_of(DistanceKind kind) { return distance_names[std::size_t(kind)]; }

auto NoveltyJudge::at_once(const NetworkShape &shape, std::size_t images, int wave, std::size_t references,
                           std::size_t largest_group, Backend backend, DistanceKind distance, Budget budget) -> AtOnce {
  const int most = std::max(wave, std::min(most_at_once, int(std::max(references, largest_group))));
  return {most_within(budget, most, [&](int n) {
    return NoveltyJudge(shape, images, wave, references, largest_group, backend, distance, AtOnce{n}, budget)
        .plan_.bytes_on(backend);
  })};
}

NoveltyJudge::NoveltyJudge(const NetworkShape &shape, std::size_t images, int wave, std::size_t references,
                           std::size_t largest_group, Backend backend, DistanceKind distance, Budget budget)
    : NoveltyJudge(shape, images, wave, references, largest_group, backend, distance,
                   at_once(shape, images, wave, references, largest_group, backend, distance, budget), budget) {}

NoveltyJudge::NoveltyJudge(const NetworkShape &shape, std::size_t images, int wave, std::size_t references,
                           std::size_t largest_group, Backend backend, DistanceKind distance, AtOnce at_once,
                           Budget budget)
    : shape_(shape), references_(references), largest_group_(largest_group), parameters_(layout_of(shape).size()),
      block_(std::min(std::size_t(std::min(at_once.networks, most_at_once)), std::max(references, largest_group))),
      plain_(parameters_, "eval.distances", budget ? Budget(*budget / 2) : Budget(), backend),
      evaluator_(shape, images, std::min(wave, at_once.networks), backend, exact_evaluator_for(backend, shape)) {
  if (distance == DistanceKind::assigned)
    assigned_.emplace(shape);
  const auto block = std::int64_t(block_), words = std::int64_t(evaluator_.words());
  staging_ = plan_.reserve<float>("eval.staging", MemoryClass::staging, {std::int64_t(parameters_)});
  evaluator_.plan(plan_);
  wrong_ = plan_.reserve<std::uint32_t>("eval.group_wrong", MemoryClass::data, {block, words}, "eval.networks");
  other_wrong_ =
      plan_.reserve<std::uint32_t>("eval.reference_wrong", MemoryClass::data, {block, words}, "eval.references");
  iou_ = plan_.reserve<float>("eval.iou", MemoryClass::workspace, {block, block}, "eval.networks, eval.references");
  plan_.place();
  plan_.lives_beside(plain_.plan());
}

Scores NoveltyJudge::score(const NetworkSet &set, std::vector<char> *broken) {
  return evaluator_.score_all(*stream_, set.count, set.network, staging_, broken);
}

void NoveltyJudge::start(Device device, const Dataset &data, const Images &part, NetworkSet training,
                         NetworkSet held_out) {
  if (training.count != references_ || held_out.count != references_)
    throw InputError("eval: found ", training.count, " training and ", held_out.count, " held-out networks, expected ",
                     references_, " of each");
  training_ = std::move(training), held_out_ = std::move(held_out);
  device_ = device;
  stream_ = std::make_unique<Stream>(device);
  arena_ = std::make_unique<Arena>(device, plan_);
  evaluator_.upload(*stream_, data, part);
  training_wrong_ = score(training_, &training_broken_).wrong;
  score(held_out_, &held_out_broken_);
  // As many of both: of the larger set the last ones are not looked at.
  const auto sound = [](const std::vector<char> &broken) { return std::count(broken.begin(), broken.end(), 0); };
  while (sound(training_broken_) != sound(held_out_broken_)) {
    auto &larger = sound(training_broken_) > sound(held_out_broken_) ? training_broken_ : held_out_broken_;
    *std::find(larger.rbegin(), larger.rend(), 0) = 1;
  }
}

std::vector<Nearest> NoveltyJudge::nearest(const NetworkSet &group, bool training, std::size_t k,
                                           const Skip &skip) const {
  const NetworkSet &references = training ? training_ : held_out_;
  const auto &broken = training ? training_broken_ : held_out_broken_;
  const Skip left_out = [&](std::size_t i, std::size_t j) { return broken[j] || (skip && skip(i, j)); };
  return assigned_ ? assigned_->nearest(group, references, k, left_out)
                   : plain_.run(device_, group, references, k, left_out);
}

std::vector<float> NoveltyJudge::pairs(const std::vector<float> &a, const std::vector<float> &b) const {
  if (assigned_)
    return assigned_->pairs(a, b);
  const std::size_t v = parameters_, n = a.size() / v, m = b.size() / v;
  std::vector<float> all(n * m);
  parallel_each(long(n), [&](long i) {
    for (std::size_t j = 0; j < m; ++j) {
      double sum = 0;
      for (std::size_t c = 0; c < v; ++c)
        sum += std::pow(double(a[std::size_t(i) * v + c]) - double(b[j * v + c]), 2);
      all[std::size_t(i) * m + j] = float(std::sqrt(sum));
    }
  });
  return all;
}

void NoveltyJudge::reference(float *theta) const {
  std::size_t first = references_;
  const auto row = [&](std::size_t i) { return training_.source.empty() ? i : training_.source[i]; };
  for (std::size_t i = 0; i < references_; ++i)
    if (!training_broken_[i] && (first == references_ || row(i) < row(first)))
      first = i;
  if (first == references_)
    throw InputError("eval: found no training network whose weights and outputs are finite, expected one");
  training_.network(first, theta);
}

std::vector<float> NoveltyJudge::overlaps(const std::vector<std::uint32_t> &a, const std::vector<std::uint32_t> &b) {
  const std::size_t words = evaluator_.words(), n = a.size() / words, m = b.size() / words;
  std::vector<float> all(n * m);
  Stream &s = *stream_;
  for (std::size_t i = 0; i < n; i += block_)
    for (std::size_t j = 0; j < m; j += block_) {
      const std::size_t rows = std::min(block_, n - i), columns = std::min(block_, m - j);
      copy(s, wrong_, a.data() + i * words, rows * words * sizeof(std::uint32_t));
      copy(s, other_wrong_, b.data() + j * words, columns * words * sizeof(std::uint32_t));
      iou_matrix(s, iou_, wrong_, other_wrong_, int(rows), int(columns), words);
      const auto block = to_host(s, iou_.get(), rows * columns);
      for (std::size_t r = 0; r < rows; ++r)
        std::copy_n(block.begin() + std::ptrdiff_t(r * columns), columns,
                    all.begin() + std::ptrdiff_t((i + r) * m + j));
    }
  return all;
}

std::vector<float> NoveltyJudge::largest_overlaps(const NetworkSet &group, const std::vector<std::uint32_t> &wrong) {
  const std::size_t words = evaluator_.words();
  const Skip itself = and_itself({}, group, training_);
  std::vector<float> largest(group.count, 0);
  for (std::size_t j = 0; j < references_; j += block_) {
    const std::size_t columns = std::min(block_, references_ - j);
    const auto first = training_wrong_.begin() + std::ptrdiff_t(j * words);
    const auto iou = overlaps(wrong, {first, first + std::ptrdiff_t(columns * words)});
    for (std::size_t i = 0; i < group.count; ++i)
      for (std::size_t c = 0; c < columns; ++c)
        if (iou[i * columns + c] > largest[i] && !training_broken_[j + c] && !(itself && itself(i, j + c)))
          largest[i] = iou[i * columns + c];
  }
  return largest;
}

JudgedGroup NoveltyJudge::judge(const std::string &name, const NetworkSet &all) {
  if (all.count > largest_group_)
    throw Error("eval: a group of ", all.count, " networks, planned for ", largest_group_);
  std::vector<char> broken;
  const Scores scores = score(all, &broken);
  JudgedGroup judged;
  GroupReport &report = judged.report;
  report.name = name, report.networks = all.count;
  std::vector<std::size_t> kept;
  const std::size_t words = evaluator_.words();
  for (std::size_t i = 0; i < all.count; ++i) {
    if (broken[i])
      continue;
    kept.push_back(i);
    if (!all.source.empty())
      judged.sound.source.push_back(all.source[i]);
    report.values["accuracy"].push_back(scores.accuracy[i]), report.values["loss"].push_back(scores.loss[i]);
    judged.wrong.insert(judged.wrong.end(), scores.wrong.begin() + std::ptrdiff_t(i * words),
                        scores.wrong.begin() + std::ptrdiff_t((i + 1) * words));
  }
  report.broken = all.count - kept.size();
  judged.sound.count = kept.size();
  judged.sound.network = [network = all.network, kept](std::size_t i, float *theta) { network(kept[i], theta); };
  const NetworkSet &group = judged.sound;
  if (group.count == 0)
    return judged;
  report.values["max_iou"] = largest_overlaps(group, judged.wrong);

  // A network that is a reference is left out of its set, and the other set gives up its last.
  std::vector<char> in_training(group.count, 0), in_held_out(group.count, 0);
  for (std::size_t i = 0; i < group.source.size(); ++i) {
    const auto among = [&](const NetworkSet &set) {
      return std::find(set.source.begin(), set.source.end(), group.source[i]) != set.source.end();
    };
    in_training[i] = among(training_), in_held_out[i] = among(held_out_);
  }
  const auto gives_up = [&](const std::vector<char> &in_the_other, const std::vector<char> &left_out) {
    std::size_t last = references_;
    while (last > 0 && left_out[last - 1])
      --last;
    return Skip([&in_the_other, last](std::size_t i, std::size_t j) { return in_the_other[i] && j + 1 == last; });
  };
  const auto two = nearest(group, true, 2, gives_up(in_held_out, training_broken_));
  for (std::size_t i = 0; i < group.count; ++i) {
    judged.nearest.push_back(two[2 * i]);
    const float second = two[2 * i + 1].distance;
    report.values["nearest_ratio"].push_back(!std::isfinite(second) ? float(Estimate::none)
                                             : second > 0           ? two[2 * i].distance / second
                                                                    : 1.0f);
  }
  const auto control = nearest(group, false, 1, gives_up(in_training, held_out_broken_));
  report.figures["memorised"] = estimate_of(share_nearer(judged.nearest, control));
  const auto keep = [&](const char *value, const std::vector<Nearest> &found) {
    for (const Nearest &each : found)
      report.values[value].push_back(each.distance);
  };
  keep("nearest_l2", judged.nearest), keep("control_l2", control);
  if (!assigned_)
    return judged;
  const Skip is_broken = [&](std::size_t, std::size_t j) { return bool(training_broken_[j]); };
  keep("raw_l2", plain_.run(device_, group, training_, 1, is_broken));
  const auto canonical = [this](const NetworkSet &set) {
    NetworkSet ordered = set;
    ordered.network = [this, network = set.network](std::size_t i, float *theta) {
      network(i, theta);
      canonicalise(theta, shape_);
    };
    return ordered;
  };
  keep("canonical_l2", plain_.run(device_, canonical(group), canonical(training_), 1, is_broken));
  return judged;
}

Remembered memory_of(const NetworkShape &shape, DistanceKind kind, const NetworkSet &group, const NetworkSet &seen,
                     const NetworkSet &control) {
  const std::size_t v = layout_of(shape).size();
  std::vector<std::size_t> finite;
  std::vector<float> theta(v);
  for (std::size_t i = 0; i < group.count; ++i) {
    group.network(i, theta.data());
    if (all_finite(theta))
      finite.push_back(i);
  }
  if (finite.empty())
    return {};
  const NetworkSet sound{finite.size(), [&](std::size_t i, float *to) { group.network(finite[i], to); }};
  const auto nearest = [&](const NetworkSet &references) {
    if (kind == DistanceKind::assigned)
      return AssignedDistance(shape).nearest(sound, references);
    return NearestSearch(v).run(Device{}, sound, references);
  };
  const auto to_seen = nearest(seen);
  double sum = 0;
  for (const Nearest &each : to_seen)
    sum += double(each.distance);
  return {share_nearer(to_seen, nearest(control)), sum / double(to_seen.size())};
}

} // namespace theta
