#include "evaluator.h"
#include "kernels/counting.h"
#include "kernels/gather.h"
#include "kernels/reduce.h"
#include "kernels/softmax_cross_entropy.h"
#include <algorithm>

namespace theta {

Evaluator::Evaluator(const MlpShape &shape, std::size_t images, int pixels, int wave, Backend backend)
    : mlp_(shape), images_(images), pixels_(pixels), wave_(wave), whole_(backend == Backend::cpu) {}

std::size_t Evaluator::words() const { return mask_words(images_); }

void Evaluator::plan(MemoryPlan &plan) {
  const auto n = std::int64_t(images_);
  label_slot_ = plan.reserve<std::uint8_t>("eval.labels", MemoryClass::data, {n});
  const auto reserve_bytes = [&] {
    return plan.reserve<std::uint8_t>("eval.image_bytes", MemoryClass::data, {n, pixels_}, "data.pool");
  };
  if (whole_) {
    bytes_slot_ = reserve_bytes();
    act_slot_ = plan.reserve<std::uint8_t>("eval.activations", MemoryClass::workspace,
                                           {wave_, std::int64_t(sizeof(Activation))});
    workspace_slot_ = plan.reserve<std::uint8_t>(
        "eval.workspace", MemoryClass::workspace,
        {std::int64_t(mlp_training_workspace(Backend::cpu, whole_runs_of(mlp_.shape(), 1), wave_))});
  } else {
    x_slot_ = plan.reserve<float>("eval.images", MemoryClass::data, {n, pixels_}, "data.pool");
    bytes_slot_ = reserve_bytes();
    plan.release(bytes_slot_);
  }
  theta_slot_ =
      plan.reserve<float>("eval.theta", MemoryClass::weights, {wave_, std::int64_t(mlp_.layout().size())}, "eval.wave");
  loss_slot_ = plan.reserve<float>("eval.loss", MemoryClass::workspace, {wave_});
  wrong_slot_ = plan.reserve<std::uint32_t>("eval.wrong", MemoryClass::workspace, {wave_, std::int64_t(words())});
  count_slot_ = plan.reserve<std::int32_t>("eval.count", MemoryClass::workspace, {wave_});
  if (whole_)
    return;
  row_loss_slot_ = plan.reserve<float>("eval.row_loss", MemoryClass::workspace, {wave_, rows_at_once}, "eval.wave");
  mlp_.plan(plan, false, wave_, rows_at_once);
}

void Evaluator::bind(const Arena &arena) {
  bytes_ = arena.at<std::uint8_t>(bytes_slot_), label_ = arena.at<std::uint8_t>(label_slot_);
  theta_ = arena.at<float>(theta_slot_), loss_ = arena.at<float>(loss_slot_);
  wrong_ = arena.at<std::uint32_t>(wrong_slot_), count_ = arena.at<std::int32_t>(count_slot_);
  if (whole_) {
    act_ = reinterpret_cast<Activation *>(arena.at<std::uint8_t>(act_slot_));
    workspace_ = arena.at<std::uint8_t>(workspace_slot_);
  } else {
    mlp_.bind(arena);
    x_ = arena.at<float>(x_slot_), row_loss_ = arena.at<float>(row_loss_slot_);
  }
}

void Evaluator::upload(Stream &s, const Dataset &set, const Images &part) {
  if (part.size() != images_ || set.pixels() != pixels_ || pixels_ != mlp_.inputs() || set.classes != mlp_.outputs())
    throw InputError("network: found ", mlp_.inputs(), " inputs and ", mlp_.outputs(), " outputs, expected ",
                     set.pixels(), " and ", set.classes, ", as the data set has");
  copy(s, bytes_, part.pixels.data(), part.pixels.size());
  copy(s, label_, part.labels.data(), part.labels.size());
  set_ = {bytes_, label_, std::uint32_t(images_), pixels_, set.classes, set.scale(), set.shift()};
  if (!whole_)
    normalise_images<float>(s, x_, bytes_, part.pixels.size(), set.scale(), set.shift());
  s.synchronize();
}

void Evaluator::score_layerwise(Stream &s, int networks) {
  fill_zero(s, loss_, std::size_t(networks) * sizeof(float));
  for (int first = 0; first < int(images_); first += rows_at_once) {
    const int rows = std::min(rows_at_once, int(images_) - first);
    const float *logits = mlp_.infer(s, theta_, x_ + std::size_t(first) * pixels_, networks, rows);
    wrong_masks(s, wrong_, logits, label_ + first, networks, rows, mlp_.outputs(), first, words());
    softmax_cross_entropy<float>(s, row_loss_, nullptr, logits, label_ + first,
                                 {networks * rows, mlp_.outputs(), rows});
    row_sum<float>(s, loss_, row_loss_, networks, std::size_t(rows), 1 / double(images_));
  }
}

void Evaluator::score(Stream &s, int networks, Scores &scores, const std::vector<Activation> &activations) {
  const auto differs = [&](Activation act) { return act != mlp_.shape().act; };
  if (whole_) {
    std::fill_n(act_, networks, mlp_.shape().act);
    std::copy(activations.begin(), activations.end(), act_);
    evaluate_mlps<float>(s, loss_, wrong_, theta_, act_, networks, set_, whole_runs_of(mlp_.shape(), 1), workspace_);
  } else if (std::any_of(activations.begin(), activations.end(), differs)) {
    throw InputError("network.activation: found several, expected one: on cuda all networks of a wave have the same");
  } else {
    score_layerwise(s, networks);
  }
  count_bits(s, count_, wrong_, networks, words());
  const auto loss = to_host(s, loss_, std::size_t(networks));
  const auto count = to_host(s, count_, std::size_t(networks));
  const auto wrong = to_host(s, wrong_, std::size_t(networks) * words());
  scores.loss.insert(scores.loss.end(), loss.begin(), loss.end());
  scores.wrong.insert(scores.wrong.end(), wrong.begin(), wrong.end());
  for (const auto mistakes : count)
    scores.accuracy.push_back(1 - float(mistakes) / float(images_));
}

Scores Evaluator::score_all(Stream &s, const float *host_theta, std::size_t networks) {
  Scores scores;
  const std::size_t v = mlp_.layout().size();
  for (std::size_t first = 0; first < networks; first += std::size_t(wave_)) {
    const std::size_t count = std::min(std::size_t(wave_), networks - first);
    copy(s, theta_, host_theta + first * v, count * v * sizeof(float));
    score(s, int(count), scores);
  }
  return scores;
}

} // namespace theta
