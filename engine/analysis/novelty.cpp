#include "novelty.h"
#include "kernels/device/names.h"
#include "kernels/operations/counting.h"
#include "kernels/operations/row_l2.h"
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace theta {

namespace {
constexpr std::array distance_names{"plain", "assigned"};
constexpr std::size_t block_bytes = std::size_t(256) << 20; // larger ones make no product faster
} // namespace

DistanceKind distance_named(std::string_view name) {
  return value_named<DistanceKind>(name, distance_names, "distance");
}
const char *name_of(DistanceKind kind) { return distance_names[std::size_t(kind)]; }

auto NoveltyJudge::at_once(const NetworkShape &shape, std::size_t images, int wave, std::size_t references,
                           std::size_t largest_group, Backend backend, DistanceKind distance, Budget budget) -> AtOnce {
  const int most = std::max({wave, int(references), int(largest_group)});
  return {most_within(budget, most, [&](int n) {
    return NoveltyJudge(shape, images, wave, references, largest_group, backend, distance, AtOnce{n})
        .plan()
        .bytes_on(backend);
  })};
}

NoveltyJudge::NoveltyJudge(const NetworkShape &shape, std::size_t images, int wave, std::size_t references,
                           std::size_t largest_group, Backend backend, DistanceKind distance, Budget budget)
    : NoveltyJudge(shape, images, wave, references, largest_group, backend, distance,
                   at_once(shape, images, wave, references, largest_group, backend, distance, budget)) {}

NoveltyJudge::NoveltyJudge(const NetworkShape &shape, std::size_t images, int wave, std::size_t references,
                           std::size_t largest_group, Backend backend, DistanceKind distance, AtOnce at_once)
    : references_(references), largest_group_(largest_group), parameters_(layout_of(shape).size()),
      evaluator_(shape, images, std::min(wave, at_once.networks), backend, exact_evaluator_for(backend, shape)) {
  if (distance == DistanceKind::assigned)
    assigned_.emplace(shape);
  const auto n = std::int64_t(references), g = std::int64_t(largest_group), v = std::int64_t(parameters_);
  const auto words = std::int64_t(evaluator_.words());
  const auto block = std::min<std::size_t>(at_once.networks, std::max<std::size_t>(1, block_bytes / sizeof(float) / v));
  group_block_ = int(std::min(block, largest_group)), reference_block_ = int(std::min(block, references));
  staging_ = plan_.reserve<float>("eval.staging", MemoryClass::staging, {v});
  centre_ = plan_.reserve<float>("eval.centre", MemoryClass::staging, {v});
  reference_wrong_ = plan_.reserve<std::uint32_t>("eval.reference_wrong", MemoryClass::data, {n, words});
  wrong_ = plan_.reserve<std::uint32_t>("eval.group_wrong", MemoryClass::data, {g, words}, "eval.networks");
  iou_ = plan_.reserve<float>("eval.iou", MemoryClass::workspace, {g, n}, "eval.networks, eval.references");
  evaluator_.plan(plan_), evaluator_.plan_done(plan_); // distances are measured afterwards
  group_ = plan_.reserve<float>("eval.group", MemoryClass::activations, {group_block_, v}, "eval.networks");
  reference_ =
      plan_.reserve<float>("eval.references", MemoryClass::activations, {reference_block_, v}, "eval.references");
  distance_ = plan_.reserve<float>("eval.distance", MemoryClass::workspace, {group_block_, reference_block_});
  workspace_ = plan_.reserve<float>("eval.squares", MemoryClass::workspace, {group_block_ + reference_block_});
  plan_.place();
}

void NoveltyJudge::load(float *to, const NetworkSet &set, std::size_t first, std::size_t count) {
  float *staging = staging_;
  const float *centre = centre_;
  for (std::size_t i = 0; i < count; ++i) {
    set.network(first + i, staging);
    for (std::size_t c = 0; c < parameters_; ++c)
      staging[c] -= centre[c];
    copy(*stream_, to + i * parameters_, staging, parameters_ * sizeof(float));
    stream_->synchronize();
  }
}

Scores NoveltyJudge::score(const NetworkSet &set, std::vector<char> &broken) {
  return evaluator_.score_all(*stream_, set.count, set.network, staging_, &broken);
}

std::vector<char> NoveltyJudge::broken_weights(const NetworkSet &set) {
  std::vector<char> broken;
  for (std::size_t i = 0; i < set.count; ++i) {
    set.network(i, staging_);
    broken.push_back(!all_finite({staging_.get(), parameters_}));
  }
  return broken;
}

void NoveltyJudge::start(Device device, const Dataset &data, const Images &part, NetworkSet training,
                         NetworkSet held_out) {
  if (training.count != references_ || held_out.count != references_)
    throw InputError("eval: found ", training.count, " training and ", held_out.count, " held-out networks, expected ",
                     references_, " of each");
  training_ = std::move(training), held_out_ = std::move(held_out);
  stream_ = std::make_unique<Stream>(device);
  arena_ = std::make_unique<Arena>(device, plan_);
  Stream &s = *stream_;
  evaluator_.upload(s, data, part);
  const Scores scores = score(training_, training_broken_);
  held_out_broken_ = broken_weights(held_out_);
  copy(s, reference_wrong_, scores.wrong.data(), scores.wrong.size() * sizeof(std::uint32_t));
  s.synchronize();

  float *centre = centre_, *staging = staging_, sound = 0;
  std::fill_n(centre, parameters_, 0.0f);
  for (std::size_t i = 0; i < references_; ++i) {
    if (training_broken_[i])
      continue;
    training_.network(i, staging);
    ++sound;
    for (std::size_t c = 0; c < parameters_; ++c)
      centre[c] += (staging[c] - centre[c]) / sound;
  }
}

std::vector<float> NoveltyJudge::distances(const NetworkSet &group, const NetworkSet &references) {
  const std::size_t v = parameters_, n = references.count;
  std::vector<float> all(group.count * n);
  const auto in_host_memory = [&](const NetworkSet &set, std::size_t first, std::size_t count) {
    std::vector<float> theta(count * v);
    for (std::size_t i = 0; i < count; ++i)
      set.network(first + i, theta.data() + i * v);
    return theta;
  };
  for (std::size_t g = 0; g < group.count; g += std::size_t(group_block_)) {
    const std::size_t rows = std::min(std::size_t(group_block_), group.count - g);
    const auto host_group = assigned_ ? in_host_memory(group, g, rows) : std::vector<float>();
    if (!assigned_)
      load(group_, group, g, rows);
    for (std::size_t r = 0; r < n; r += std::size_t(reference_block_)) {
      const std::size_t columns = std::min(std::size_t(reference_block_), n - r);
      std::vector<float> block;
      if (assigned_) {
        block = (*assigned_)(host_group, in_host_memory(references, r, columns));
      } else {
        load(reference_, references, r, columns);
        row_l2(*stream_, distance_, group_, reference_, int(rows), int(columns), v, workspace_);
        block = to_host(*stream_, distance_.get(), rows * columns);
      }
      for (std::size_t i = 0; i < rows; ++i)
        std::copy_n(block.begin() + std::ptrdiff_t(i * columns), columns,
                    all.begin() + std::ptrdiff_t((g + i) * n + r));
    }
  }
  return all;
}

// The group without its broken networks, and its scores.
GroupReport NoveltyJudge::judge(const std::string &name, const NetworkSet &all) {
  if (all.count > largest_group_)
    throw Error("eval: a group of ", all.count, " networks, planned for ", largest_group_);
  std::vector<char> broken;
  Scores scores = score(all, broken), sound;
  NetworkSet group;
  std::vector<std::size_t> kept;
  const std::size_t words = evaluator_.words();
  for (std::size_t i = 0; i < all.count; ++i) {
    if (broken[i])
      continue;
    const auto part = [&]<class T>(std::vector<T> &to, const std::vector<T> &from, std::size_t each) {
      to.insert(to.end(), from.begin() + std::ptrdiff_t(i * each), from.begin() + std::ptrdiff_t((i + 1) * each));
    };
    kept.push_back(i);
    if (!all.source.empty())
      part(group.source, all.source, 1);
    part(sound.loss, scores.loss, 1), part(sound.accuracy, scores.accuracy, 1), part(sound.wrong, scores.wrong, words);
  }
  group.count = kept.size();
  group.network = [&](std::size_t i, float *theta) { all.network(kept[i], theta); };
  GroupReport report = judge_sound(name, group, std::move(sound));
  report.networks = all.count, report.broken = all.count - group.count;
  return report;
}

GroupReport NoveltyJudge::judge_sound(const std::string &name, const NetworkSet &group, Scores scores) {
  Stream &s = *stream_;
  const std::size_t n = references_, networks = group.count;
  if (networks == 0)
    return {.name = name};
  copy(s, wrong_, scores.wrong.data(), scores.wrong.size() * sizeof(std::uint32_t));
  iou_matrix(s, iou_, wrong_, reference_wrong_, int(networks), int(n), evaluator_.words());
  const auto iou = to_host(s, iou_.get(), networks * n);
  const auto to_training = distances(group, training_), to_held_out = distances(group, held_out_);

  GroupReport report{
      .name = name, .networks = networks, .accuracy = std::move(scores.accuracy), .loss = std::move(scores.loss)};
  double nearer = 0;
  for (std::size_t i = 0; i < networks; ++i) {
    // Where this network is a reference itself: left out, and the other set gives up its last.
    const auto itself = [&](const NetworkSet &set) {
      const auto found =
          group.source.empty() ? set.source.end() : std::find(set.source.begin(), set.source.end(), group.source[i]);
      return found == set.source.end() ? n : std::size_t(found - set.source.begin());
    };
    const std::size_t in_training = itself(training_), in_held_out = itself(held_out_);
    const auto nearest = [&](const std::vector<float> &d, const std::vector<char> &broken, std::size_t left_out,
                             bool one_less) {
      float best = std::numeric_limits<float>::infinity();
      for (std::size_t j = 0; j < n - (one_less ? 1 : 0); ++j)
        if (j != left_out && !broken[j])
          best = std::min(best, d[i * n + j]);
      return best;
    };
    const float training = nearest(to_training, training_broken_, in_training, in_held_out < n);
    const float held_out = nearest(to_held_out, held_out_broken_, in_held_out, in_training < n);
    nearer += training < held_out ? 1 : training == held_out ? 0.5 : 0;
    report.nearest_l2.push_back(training);
    float largest = 0;
    for (std::size_t j = 0; j < n; ++j)
      if (j != in_training && !training_broken_[j])
        largest = std::max(largest, iou[i * n + j]);
    report.max_iou.push_back(largest);
  }
  report.memorised = share_of(nearer, networks);
  return report;
}

} // namespace theta
