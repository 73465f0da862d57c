// The stage that generates, and how good what it generates is.
#include "completion.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "data/zoo_writer.h"
#include "engine/memory/arena.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "prompt_report.h"
#include "source.h"
#include <fmt/core.h>

namespace theta {

namespace fs = std::filesystem;

// Of samples of a generator in training.
Metrics Stages::worth(const std::vector<float> &theta, std::size_t networks) {
  if (!network_)
    return {};
  const std::size_t v = theta.size() / networks;
  const Scores scores =
      score(v, {networks, [&](std::size_t i, float *to) { std::copy_n(theta.data() + i * v, v, to); }}).first;
  const double accuracy = summarise(scores.accuracy).mean, loss = summarise(scores.loss).mean;
  journal_.line(fmt::format("fit: {} samples of the generator of the moment: mean test accuracy {:.2f} %", networks,
                            100 * accuracy));
  return {{"accuracy", accuracy}, {"loss", loss}};
}

void Stages::sample() {
  const Span span("sample");
  const std::string key = sample_key();
  if (zoo_key_of(samples_path()) == key)
    return journal_.line("sample: done before, skipped");
  const Config &c = run_.config;
  check_zoo("sample"), check_generator("sample");
  const ZooReader zoo(zoo_path());
  const Split split = split_of(zoo, c.fit);
  const NetworkFacts facts = network_facts(zoo.format(), zoo_path().string());
  const auto task = generator_task(c, sizes_of(data()), run_.device.backend, facts, split.training.size());
  // Written as they are made; what the columns say of them is known afterwards.
  const std::size_t count = std::size_t(c.sample.count), v = facts.parameters();
  ZooFormat format{facts.layout, v, Dtype::f32, {{"sample", Dtype::i64}}, facts_of(key, "generated")};
  for (const std::string &name : c.generators.chosen().told())
    format.columns.push_back({"told_" + name, Dtype::f32});
  if (network_)
    format.columns.push_back({"test_loss", Dtype::f32}), format.columns.push_back({"test_accuracy", Dtype::f32});
  const std::size_t watched = std::min(std::size_t(c.sample.watch), count), rows = c.generators.chosen().trajectory();
  std::optional<ZooWriter> way;
  if (watched > 0)
    way.emplace(trajectory_path(),
                ZooFormat{facts.layout,
                          v,
                          Dtype::f32,
                          {{"sample", Dtype::i64}, {"step", Dtype::i64}, {"predicted", Dtype::i64}},
                          format.facts},
                watched * rows);
  const auto &field = field_ ? field_ : body_;
  std::optional<Completion> completion;
  std::optional<FieldGuide> guide;
  if (task.guided) {
    completion = completion_of(c, data(), zoo, split.held_out);
    guide.emplace(guide_of(c, *field, data().coordinates(), data().channels, &data(), completion->signals));
    format.columns.push_back({"signal", Dtype::i64});
  }
  ZooWriter writer(samples_path(), format, count);
  const Measured measured(*this, "sample");
  if (guide)
    guide->take(run_.device);
  const Sampled made = [&] {
    Progress progress(journal_, "sample", "networks", double(count));
    std::size_t parameters = 0;
    return c.generators.chosen().sample(task, {run_.device, generator_path(), zoo, split.held_out,
                                               [&](std::size_t i, std::size_t at, std::span<const float> theta) {
                                                 writer.write(i, at, theta.size(), theta.data());
                                                 progress.update(double(parameters += theta.size()) / double(v));
                                               },
                                               [&](const std::string &what) { journal_.line(what); }, watched,
                                               [&](std::size_t i, std::size_t at, std::span<const float> theta) {
                                                 way->write(i, at, theta.size(), theta.data());
                                               },
                                               guide ? &*guide : nullptr});
  }();
  for (std::size_t i = 0; i < watched * rows; ++i)
    way->describe({std::int64_t(i / rows), std::int64_t(i % rows / 2), std::int64_t(i % rows % 2)});

  const PromptTable &table = made.told;
  Scores scores;
  std::string accuracy = "not scored";
  if (network_) {
    std::vector<char> broken;
    std::tie(scores, broken) = score(v, {count, [&](std::size_t i, float *theta) { writer.read(i, 0, v, theta); }});
    std::vector<float> sound;
    for (std::size_t i = 0; i < broken.size(); ++i)
      if (!broken[i])
        sound.push_back(scores.accuracy[i]);
    accuracy = fmt::format("mean test accuracy {:.2f} %", 100 * summarise(sound).mean);
    if (sound.size() < broken.size())
      accuracy += fmt::format(", {} broken", broken.size() - sound.size());
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<ColumnValue> values{std::int64_t(i)};
    for (std::size_t k = 0; k < table.prompts.size(); ++k)
      values.emplace_back(double(table.value(k, i)));
    if (network_)
      values.insert(values.end(), {double(scores.loss[i]), double(scores.accuracy[i])});
    if (completion)
      values.emplace_back(std::int64_t(completion->signals[i]));
    writer.describe(values);
  }
  if (made.can_be_told && network_) {
    const PromptReport told = prompt_report(table, zoo, scores.loss, scores.accuracy);
    write_file(run_.out / "prompts.json", told.json.dump(1) + "\n");
    if (!told.table.empty())
      journal_.result(told.table);
  }
  if (way)
    way->finish();
  writer.finish();
  if (completion) {
    std::vector<std::size_t> training;
    const auto signal = zoo.integers("signal");
    for (const std::size_t row : split.training)
      training.push_back(std::size_t(signal[row]));
    const auto report = judge_completion(*completion, *field, run_.device, data(), ZooReader(samples_path()), training);
    write_completion(run_.out / "completion.json", report);
    journal_.result(text_of(report));
  }
  if (way)
    journal_.line(
        fmt::format("sample: the way of {} of them from noise on, in {}", watched, trajectory_path().string()));
  journal_.line(fmt::format("sample: {} networks, {}, in {}", c.sample.count, accuracy, samples_path().string()));
}

// Losses and accuracies of networks on the test part, and which of them are broken.
std::pair<Scores, std::vector<char>> Stages::score(std::size_t parameters, const NetworkSet &networks) {
  const NetworkShape &shape = network("sample");
  if (const std::size_t v = layout_of(shape).size(); parameters != v)
    throw InputError("sample: ", generator_path().string(), " generates networks of ", parameters,
                     " parameters, expected ", v, ", as the configuration has; `theta fit` makes another");
  const Dataset &d = data();
  const Backend backend = run_.device.backend;
  Evaluator evaluator = sample_evaluator(shape, d.test.size(), run_.config.eval, backend, run_.memory_budget);
  Tensor<float> staging;
  const MemoryPlan plan = plan_of_scores(evaluator, staging);
  Stream stream(run_.device);
  const Arena arena(run_.device, plan);
  evaluator.upload(stream, d, d.test);
  std::vector<char> broken;
  Scores scores = evaluator.score_all(stream, networks.count, networks.network, staging, &broken);
  return {std::move(scores), std::move(broken)};
}

} // namespace theta
