#include "novelty.h"
#include "kernels/device/names.h"
#include "kernels/operations/counting.h"
#include "kernels/operations/row_l2.h"
#include <algorithm>
#include <array>
#include <limits>

namespace theta {

namespace {
constexpr std::array distance_names{"plain", "assigned"};
}

DistanceKind distance_named(std::string_view name) {
  return value_named<DistanceKind>(name, distance_names, "distance");
}
const char *name_of(DistanceKind kind) { return distance_names[std::size_t(kind)]; }

NoveltyJudge::NoveltyJudge(const NetworkShape &shape, std::size_t images, int wave, std::size_t references,
                           std::size_t largest_group, Backend backend, DistanceKind distance)
    : references_(references), largest_group_(largest_group), parameters_(layout_of(shape).size()),
      evaluator_(shape, images, wave, backend, exact_evaluator_for(backend, shape)) {
  if (distance == DistanceKind::assigned)
    assigned_.emplace(shape);
  const auto n = std::int64_t(references), g = std::int64_t(largest_group), v = std::int64_t(parameters_);
  const auto words = std::int64_t(evaluator_.words());
  training_there_ = plan_.reserve<float>("eval.training", MemoryClass::data, {n, v}, "eval.references");
  held_out_there_ = plan_.reserve<float>("eval.held_out", MemoryClass::data, {n, v}, "eval.references");
  reference_wrong_ = plan_.reserve<std::uint32_t>("eval.reference_wrong", MemoryClass::data, {n, words});
  group_ = plan_.reserve<float>("eval.group", MemoryClass::activations, {g, v}, "eval.networks");
  wrong_ = plan_.reserve<std::uint32_t>("eval.group_wrong", MemoryClass::activations, {g, words});
  distance_ = plan_.reserve<float>("eval.distance", MemoryClass::workspace, {g, n});
  iou_ = plan_.reserve<float>("eval.iou", MemoryClass::workspace, {g, n});
  workspace_ = plan_.reserve<float>("eval.squares", MemoryClass::workspace, {g + n});
  evaluator_.plan(plan_);
  plan_.place();
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
  const Scores scores = evaluator_.score_all(s, training_.theta.data(), references_);
  training_broken_ = broken_networks(training_.theta, scores.loss);
  held_out_broken_ = broken_networks(held_out_.theta, std::vector<float>(references_, 0.0f));
  copy(s, reference_wrong_, scores.wrong.data(), scores.wrong.size() * sizeof(std::uint32_t));

  std::vector<double> sum(parameters_);
  for (std::size_t i = 0; i < references_; ++i)
    for (std::size_t c = 0; c < parameters_ && !training_broken_[i]; ++c)
      sum[c] += training_.theta[i * parameters_ + c];
  const auto sound = double(std::count(training_broken_.begin(), training_broken_.end(), 0));
  for (const double total : sum)
    centre_.push_back(float(total / std::max(1.0, sound)));
  if (assigned_)
    return;
  for (auto [set, there] : {std::pair{&training_, training_there_}, {&held_out_, held_out_there_}}) {
    for (std::size_t i = 0; i < set->theta.size(); ++i)
      set->theta[i] -= centre_[i % parameters_];
    copy(s, there, set->theta.data(), set->theta.size() * sizeof(float));
    s.synchronize();
    set->theta = {};
  }
}

// Distances of a group, which is on the device, to the references, [networks, n].
std::vector<float> NoveltyJudge::distances(const float *references, const NetworkSet &set, const NetworkSet &group) {
  if (assigned_)
    return (*assigned_)(group.theta, set.theta);
  row_l2(*stream_, distance_, group_, references, int(group.count), int(references_), parameters_, workspace_);
  return to_host(*stream_, distance_.get(), group.count * references_);
}

// The group without its broken networks, and its scores.
GroupReport NoveltyJudge::judge(const std::string &name, const NetworkSet &all) {
  if (all.count > largest_group_)
    throw Error("eval: a group of ", all.count, " networks, planned for ", largest_group_);
  Stream &s = *stream_;
  Scores scores = evaluator_.score_all(s, all.theta.data(), all.count);
  const auto broken = broken_networks(all.theta, scores.loss);
  NetworkSet group;
  Scores sound;
  const std::size_t words = evaluator_.words();
  for (std::size_t i = 0; i < all.count; ++i) {
    if (broken[i])
      continue;
    const auto part = [&]<class T>(std::vector<T> &to, const std::vector<T> &from, std::size_t each) {
      to.insert(to.end(), from.begin() + std::ptrdiff_t(i * each), from.begin() + std::ptrdiff_t((i + 1) * each));
    };
    part(group.theta, all.theta, parameters_);
    if (!all.source.empty())
      part(group.source, all.source, 1);
    part(sound.loss, scores.loss, 1), part(sound.accuracy, scores.accuracy, 1), part(sound.wrong, scores.wrong, words);
    ++group.count;
  }
  GroupReport report = judge(name, group, std::move(sound));
  report.networks = all.count, report.broken = all.count - group.count;
  return report;
}

GroupReport NoveltyJudge::judge(const std::string &name, const NetworkSet &group, Scores scores) {
  Stream &s = *stream_;
  const std::size_t n = references_, networks = group.count;
  if (networks == 0)
    return {.name = name};
  copy(s, wrong_, scores.wrong.data(), scores.wrong.size() * sizeof(std::uint32_t));
  iou_matrix(s, iou_, wrong_, reference_wrong_, int(networks), int(n), evaluator_.words());
  const auto iou = to_host(s, iou_.get(), networks * n);

  auto centred = group.theta;
  for (std::size_t i = 0; i < centred.size(); ++i)
    centred[i] -= centre_[i % parameters_];
  copy(s, group_, centred.data(), centred.size() * sizeof(float));
  s.synchronize();
  const auto to_training = distances(training_there_, training_, group);
  const auto to_held_out = distances(held_out_there_, held_out_, group);

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
