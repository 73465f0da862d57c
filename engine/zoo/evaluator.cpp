#include "evaluator.h"
#include "engine/networks/gpt.h"
#include "engine/networks/kind.h"
#include "kernels/operations/add.h"
#include "kernels/operations/counting.h"
#include "kernels/operations/gather.h"
#include "kernels/operations/reduce.h"
#include "kernels/operations/softmax_cross_entropy.h"
#include <algorithm>
#include <cmath>

namespace theta {

namespace {
constexpr std::size_t wave_bytes = std::size_t(256) << 20;
}

float psnr_of(float mean_squared_error) { return float(-10 * std::log10(double(mean_squared_error))); }

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
}

Evaluator::Evaluator(const NetworkShape &shape, std::size_t images, int wave, Backend backend, TrainerKind kind)
    : shape_(shape), parameters_(layout_of(shape).size()), most_images_(images), images_(images),
      wave_(std::clamp(int(std::min(wave_bytes / sizeof(float) / parameters_, std::size_t(wave))), 1, wave)),
      rows_at_once_(is_text(shape) ? scored_windows : images_at_once), is_text_(is_text(shape)), backend_(backend) {
  if (kind == TrainerKind::whole_runs)
    whole_ = whole_runs_of(shape, 1);
  else
    layered_ = shape.kind->layered(shape);
}

std::size_t Evaluator::words() const { return mask_words(images_); }

void Evaluator::plan(MemoryPlan &plan) {
  if (is_text_)
    return plan_text(plan);
  const auto n = std::int64_t(most_images_), pixels = std::int64_t(inputs_of(shape_));
  const auto reserve_bytes = [&] {
    return plan.reserve<std::uint8_t>("eval.image_bytes", MemoryClass::data, {n, pixels}, "data.pool");
  };
  if (n > 0)
    label_ = plan.reserve<std::uint8_t>("eval.labels", MemoryClass::data, {n});
  if (whole_) {
    if (n > 0)
      bytes_ = reserve_bytes();
    else
      signal_ = plan.reserve<std::uint32_t>("eval.signals", MemoryClass::workspace, {wave_});
    act_ = plan.reserve<std::uint8_t>("eval.activations", MemoryClass::workspace,
                                      {wave_, std::int64_t(sizeof(Activation))});
    workspace_ = plan.reserve<std::uint8_t>("eval.workspace", MemoryClass::workspace,
                                            {std::int64_t(whole_->workspace(backend_, wave_))});
  } else if (n > 0) {
    x_ = plan.reserve<float>("eval.images", MemoryClass::data, {n, pixels}, "data.pool");
    bytes_ = reserve_bytes();
    plan.release(bytes_);
  }
  theta_ = plan.reserve<float>("eval.theta", MemoryClass::activations, {wave_, std::int64_t(parameters_)}, "eval.wave");
  loss_ = plan.reserve<float>("eval.loss", MemoryClass::workspace, {wave_});
  if (n > 0) {
    wrong_ = plan.reserve<std::uint32_t>("eval.wrong", MemoryClass::workspace,
                                         {wave_, std::int64_t(mask_words(most_images_))});
    count_ = plan.reserve<std::int32_t>("eval.count", MemoryClass::workspace, {wave_});
  }
  if (whole_ && keeps_logits_)
    logits_ = plan.reserve<float>("eval.logits", MemoryClass::activations, {wave_, n, outputs_of(shape_)}, "eval.wave");
  if (whole_)
    return;
  if (n > 0) {
    row_loss_ = plan.reserve<float>("eval.row_loss", MemoryClass::workspace, {wave_, rows_at_once_}, "eval.wave");
  } else {
    wanted_ = plan.reserve<float>("eval.wanted", MemoryClass::workspace, {rows_at_once_, outputs_of(shape_)});
    part_ = plan.reserve<float>("eval.part", MemoryClass::workspace, {wave_});
    partial_ = plan.reserve<float>("eval.partial", MemoryClass::workspace, {std::int64_t(partial_sums)});
  }
  layered_->plan(plan, false, wave_, rows_at_once_);
}

void Evaluator::plan_text(MemoryPlan &plan) {
  const std::int64_t n = std::int64_t(most_images_), context = context_of(shape_);
  x_ = plan.reserve<float>("eval.windows", MemoryClass::data, {n, context});
  label_ = plan.reserve<std::uint8_t>("eval.labels", MemoryClass::data, {n, context});
  theta_ = plan.reserve<float>("eval.theta", MemoryClass::activations, {wave_, std::int64_t(parameters_)}, "eval.wave");
  loss_ = plan.reserve<float>("eval.loss", MemoryClass::workspace, {wave_});
  row_loss_ =
      plan.reserve<float>("eval.row_loss", MemoryClass::workspace, {wave_, rows_at_once_, context}, "eval.wave");
  layered_->plan(plan, false, wave_, rows_at_once_);
}

void Evaluator::upload(Stream &s, const Characters &part) {
  const std::size_t context = std::size_t(context_of(shape_)), classes = part.begins.size() - 1;
  images_ = classes * std::size_t(scored_windows);
  if (images_ > most_images_)
    throw Error("evaluator: found ", classes, " classes of text, expected at most ", most_images_ / scored_windows);
  std::vector<float> seen;
  std::vector<std::uint8_t> next;
  for (std::size_t c = 0; c < classes; ++c) {
    if (part.size(c) <= context)
      throw InputError("network.gpt.context: found ", context, ", expected less than the ", part.size(c),
                       " characters of a class that networks are scored on");
    for (std::size_t w = 0; w < std::size_t(scored_windows); ++w) {
      const std::size_t at = part.begins[c] + w * (part.size(c) - context - 1) / (scored_windows - 1);
      for (std::size_t t = 0; t < context; ++t)
        seen.push_back(float(part.codes[at + t])), next.push_back(part.codes[at + t + 1]);
    }
  }
  copy(s, x_, seen.data(), seen.size() * sizeof(float));
  copy(s, label_, next.data(), next.size());
  s.synchronize();
}

void Evaluator::upload(Stream &s, const Dataset &set, const Images &part) {
  const int pixels = inputs_of(shape_);
  if (part.size() > most_images_)
    throw Error("evaluator: found ", part.size(), " images, expected at most ", most_images_);
  if (set.values() != pixels || set.classes != outputs_of(shape_))
    throw InputError("network: found ", pixels, " inputs and ", outputs_of(shape_), " outputs, expected ", set.values(),
                     " and ", set.classes, ", as the data set has");
  images_ = part.size();
  copy(s, bytes_, part.pixels.data(), part.pixels.size());
  copy(s, label_, part.labels.data(), part.labels.size());
  examples_.images = {bytes_, label_, std::uint32_t(images_), pixels, set.classes, set.scale(), set.shift()};
  if (!whole_)
    normalise_images<float>(s, x_, bytes_, part.pixels.size(), set.scale(), set.shift());
  s.synchronize();
}

void Evaluator::score_layerwise(Stream &s, int networks, Scores &scores) {
  const std::size_t pixels = std::size_t(inputs_of(shape_));
  const int classes = outputs_of(shape_);
  const std::size_t of_a_network = images_ * std::size_t(classes), kept = scores.logits.size();
  if (keeps_logits_)
    scores.logits.resize(kept + std::size_t(networks) * of_a_network);
  fill_zero(s, loss_, std::size_t(networks) * sizeof(float));
  for (int first = 0; first < int(images_); first += rows_at_once_) {
    const int rows = std::min(rows_at_once_, int(images_) - first);
    const float *logits = layered_->infer(s, theta_, x_ + std::size_t(first) * pixels, networks, rows);
    if (keeps_logits_) {
      const auto all = to_host(s, logits, std::size_t(networks) * std::size_t(rows * classes));
      for (int k = 0; k < networks; ++k)
        std::copy_n(all.begin() + std::ptrdiff_t(k) * rows * classes, rows * classes,
                    scores.logits.begin() + std::ptrdiff_t(kept + std::size_t(k) * of_a_network) + first * classes);
    }
    wrong_masks(s, wrong_, logits, label_ + first, networks, rows, classes, first, words());
    softmax_cross_entropy<float>(s, row_loss_, nullptr, logits, label_ + first, {networks * rows, classes, rows});
    row_sum<float>(s, loss_, row_loss_, networks, std::size_t(rows), 1 / double(images_));
  }
}

// The mean squared errors, some points at a time: each network has a signal of its own.
void Evaluator::score_signals(Stream &s, int networks, const std::vector<std::uint32_t> &signals) {
  const FieldSet &set = examples_.field;
  const std::size_t outputs = std::size_t(set.outputs);
  fill_zero(s, loss_, std::size_t(networks) * sizeof(float));
  for (int first = 0; first < int(set.points); first += rows_at_once_) {
    const int rows = std::min(rows_at_once_, int(set.points) - first);
    const std::size_t n = std::size_t(rows) * outputs;
    const float *out =
        layered_->infer(s, theta_, set.coordinate + std::size_t(first) * std::size_t(set.inputs), networks, rows);
    for (std::size_t k = 0; k < std::size_t(networks); ++k) {
      const std::size_t at = (std::size_t(signals.at(k)) * set.points + std::size_t(first)) * outputs;
      normalise_images<float>(s, wanted_, set.value + at, n, set.scale, set.shift);
      mean_squared_error<float>(s, part_ + k, nullptr, out + k * n, wanted_, n, partial_);
    }
    add_scaled<float>(s, loss_, loss_, part_, double(rows) / set.points, std::size_t(networks));
  }
}

// Class by class; each has as many windows as a pass takes.
void Evaluator::score_text(Stream &s, int networks, Scores &scores, const std::vector<float> &shares) {
  const std::size_t context = std::size_t(context_of(shape_)), n = std::size_t(networks),
                    classes = images_ / std::size_t(scored_windows), first = scores.by_class.size();
  const int rows = scored_windows * int(context);
  scores.by_class.resize(first + n * classes);
  for (std::size_t c = 0; c < classes; ++c) {
    const std::size_t at = c * std::size_t(rows);
    const float *logits = layered_->infer(s, theta_, x_ + at, networks, scored_windows);
    softmax_cross_entropy<float>(s, row_loss_, nullptr, logits, label_ + at,
                                 {networks * rows, alphabet_of(shape_), rows});
    fill_zero(s, loss_, n * sizeof(float));
    row_sum<float>(s, loss_, row_loss_, networks, std::size_t(rows), 1 / double(rows));
    const auto loss = to_host(s, loss_.get(), n);
    for (std::size_t k = 0; k < n; ++k)
      scores.by_class[first + k * classes + c] = loss[k];
  }
  for (std::size_t k = 0; k < n; ++k) {
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c)
      sum += double(scores.by_class[first + k * classes + c]) *
             (shares.empty() ? 1 / double(classes) : double(shares.at(k * classes + c)));
    scores.loss.push_back(float(sum)), scores.accuracy.push_back(float(sum / std::log(2.0)));
  }
}

void Evaluator::score(Stream &s, int networks, Scores &scores, const ScoredRuns &of) {
  const auto &[activations, signals, shares] = of;
  if (is_text_)
    return score_text(s, networks, scores, shares);
  if (whole_) {
    std::vector<Activation> act(std::size_t(networks), shape_.act);
    std::copy(activations.begin(), activations.end(), act.begin());
    copy(s, act_, act.data(), act.size() * sizeof(Activation));
    if (signal_)
      copy(s, signal_, signals.data(), signals.size() * sizeof(std::uint32_t));
    s.synchronize();
    whole_->evaluate(s, loss_, wrong_, logits_, theta_, reinterpret_cast<const Activation *>(act_.get()), signal_,
                     networks, examples_, workspace_);
  } else if (std::any_of(activations.begin(), activations.end(), [&](Activation act) { return act != shape_.act; })) {
    throw InputError("network.activation: found several, expected one: layer by layer all networks have the same");
  } else if (images_ == 0) {
    score_signals(s, networks, signals);
  } else {
    score_layerwise(s, networks, scores);
  }
  const auto loss = to_host(s, loss_.get(), std::size_t(networks));
  scores.loss.insert(scores.loss.end(), loss.begin(), loss.end());
  if (images_ == 0) {
    for (const float mse : loss)
      scores.accuracy.push_back(psnr_of(mse));
    return;
  }
  if (logits_) {
    const auto logits = to_host(s, logits_.get(), std::size_t(networks) * images_ * std::size_t(outputs_of(shape_)));
    scores.logits.insert(scores.logits.end(), logits.begin(), logits.end());
  }
  count_bits(s, count_, wrong_, networks, words());
  const auto count = to_host(s, count_.get(), std::size_t(networks));
  const auto wrong = to_host(s, wrong_.get(), std::size_t(networks) * words());
  scores.wrong.insert(scores.wrong.end(), wrong.begin(), wrong.end());
  for (const auto mistakes : count)
    scores.accuracy.push_back(1 - float(mistakes) / float(images_));
}

Scores Evaluator::score_all(Stream &s, std::size_t networks, const NetworkOf &network, float *staging,
                            std::vector<char> *broken) {
  Scores scores;
  for (std::size_t first = 0; first < networks; first += std::size_t(wave_)) {
    const std::size_t count = std::min(std::size_t(wave_), networks - first);
    for (std::size_t i = 0; i < count; ++i) {
      network(first + i, staging);
      if (broken)
        broken->push_back(!all_finite({staging, parameters_}));
      copy(s, theta_ + i * parameters_, staging, parameters_ * sizeof(float));
      s.synchronize();
    }
    score(s, int(count), scores);
  }
  for (std::size_t i = 0; broken && i < networks; ++i)
    (*broken)[i] |= !std::isfinite(scores.loss[i]);
  return scores;
}

Scores Evaluator::score_all(Stream &s, const float *host_theta, std::size_t networks) {
  std::vector<float> staging(parameters_);
  return score_all(
      s, networks, [&](std::size_t i, float *theta) { std::copy_n(host_theta + i * parameters_, parameters_, theta); },
      staging.data());
}

} // namespace theta
