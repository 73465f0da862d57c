// The stage that generates, and how good what it generates is.
#include "about_line.h"
#include "codes.h"
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "data/zoo_writer.h"
#include "engine/networks/form.h"
#include "engine/tasks/fields/completion.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "prompt_report.h"
#include "shown.h"
#include <algorithm>
#include <fmt/core.h>
#include <map>

namespace theta {

namespace {

class SampleStage : public Stage {
public:
  const char *name() const override { return "sample"; }
  const char *what() const override { return "generate networks with the run's generator"; }
  std::string key(Member &m) const override {
    const std::filesystem::path shown = m.config().sample.shown; // its text, whatever it is called
    const bool is_there = std::filesystem::is_regular_file(shown) && std::filesystem::file_size(shown) > 0;
    return hash_of("sample 2\n" + m.key("fit") + sample_text(m.config()) +
                   (is_there ? hash_of(MappedFile(shown).bytes()) : ""));
  }
  std::vector<MemoryPlan> plans(const PlanWork &w) const override {
    std::vector<MemoryPlan> all;
    if (w.which == StagesOf::generator)
      return all;
    const Task *task = w.source.task;
    if (task && task->scores())
      all.push_back(Scorer(*w.source.facts.shape, std::max(w.data.test, w.data.validation), w.config.eval.wave,
                           w.backend, w.budget)
                        .plan());
    if (const SampleConfig &c = w.config.sample; !c.complete.empty()) {
      const auto points = task ? task->points(w.data) : std::vector<float>();
      if (points.empty())
        throw InputError("sample.complete: found '", c.complete, "', expected nothing: the networks are no fields");
      all.push_back(guide_of(c.complete, c.batch, *w.source.facts.shape, points, nullptr, {}).plan());
    }
    return all;
  }
  void run(Member &) const override;
};

void SampleStage::run(Member &m) const {
  const Span span("sample");
  const std::string key = this->key(m);
  if (zoo_key_of(m.samples_path()) == key)
    return m.journal().line("sample: done before, skipped");
  const Config &c = m.config();
  m.check_zoo("sample"), m.check_generator("sample");
  const ZooReader zoo(m.zoo_path());
  const Split split = split_of(zoo, c.fit);
  const NetworkFacts facts = network_facts(zoo.format(), m.zoo_path().string());
  const auto task = generator_task(c, sizes_of(m.data()), m.device().backend, facts, split.training.size());
  std::optional<Looking> looking;
  std::vector<float> about(facts.parameters()); // what samples are drawn about, where it is the same for all
  if (c.fit.shown > 0)
    looking.emplace(m);
  if (looking && c.sample.shown.empty() && split.asked.empty())
    throw InputError("sample: ", zoo.path().string(), ": found no held-out network",
                     c.fit.without.empty() ? "" : " that has read fit.without",
                     ", expected some whose examples samples are shown, or sample.shown");
  if (!c.sample.shown.empty())
    about = looking->at_text(c.sample.shown);
  // Written as they are made; what the columns say of them is known afterwards.
  const std::size_t count = std::size_t(c.sample.count), v = facts.parameters();
  ZooFormat format{facts.layout, v, Dtype::f32, {{"sample", Dtype::i64}}, m.facts_of(key, "generated")};
  if (facts.shape)
    store_in_form(format, *facts.shape);
  for (const std::string &name : c.generators.chosen().told())
    format.columns.push_back({"told_" + name, Dtype::f32});
  if (c.fit.shown > 0)
    format.columns.push_back({shown_column, Dtype::i64});
  const auto parts =
      m.scores() ? learning_of(m.shape("sample")).scored_on(sizes_of(m.data())) : std::vector<ScoredPart>();
  for (const ScoredPart &part : parts)
    format.columns.push_back({part.loss, Dtype::f32}), format.columns.push_back({part.quality, Dtype::f32});
  const std::size_t watched = std::min(std::size_t(c.sample.watch), count), rows = c.generators.chosen().trajectory();
  std::optional<ZooWriter> way;
  if (watched > 0)
    way.emplace(m.trajectory_path(),
                ZooFormat{facts.layout,
                          v,
                          Dtype::f32,
                          {{"sample", Dtype::i64}, {"step", Dtype::i64}, {"predicted", Dtype::i64}},
                          format.facts},
                watched * rows);
  std::optional<Completion> completion;
  std::optional<FieldGuide> guide;
  if (task.guided) {
    completion = completion_of(c.sample.complete, count, c.seed, m.data(), zoo, split.held_out);
    guide.emplace(guide_of(c.sample.complete, c.sample.batch, m.shape("sample"), m.data().coordinates(), &m.data(),
                           completion->signals));
    format.columns.push_back({"signal", Dtype::i64});
  }
  ZooWriter writer(m.samples_path(), format, count);
  const Measured measured(m, "sample");
  if (guide)
    guide->take(m.device());
  std::optional<EmitCodes> codes;
  if (c.fit.codes != CodesAs::weights)
    codes.emplace(*task.networks.shape,
                  [&](std::size_t i, std::span<const float> theta) { writer.write(i, 0, theta.size(), theta.data()); });
  const Sampled made = [&] {
    Progress progress(m.journal(), "sample", "networks", double(count));
    std::size_t parameters = 0;
    return c.generators.chosen().sample(task,
                                        {m.device(), m.generator_path(), zoo, split.asked,
                                         [&](std::size_t i, std::size_t at, std::span<const float> theta) {
                                           if (codes)
                                             codes->take(i, at, theta);
                                           else
                                             writer.write(i, at, theta.size(), theta.data());
                                           parameters += theta.size();
                                           progress.update(double(parameters) / double(task.networks.parameters()));
                                         },
                                         [&](const std::string &what) { m.journal().line(what); }, watched,
                                         [&](std::size_t i, std::size_t at, std::span<const float> theta) {
                                           way->write(i, at, theta.size(), theta.data());
                                         },
                                         guide ? &*guide : nullptr});
  }();
  for (std::size_t i = 0; i < watched * rows; ++i)
    way->describe({std::int64_t(i / rows), std::int64_t(i % rows / 2), std::int64_t(i % rows % 2)});

  const PromptTable &table = made.told;
  std::vector<std::int64_t>
      shown; // of each sample, the row of the zoo whose examples it was shown; −1: a text of its own
  if (c.fit.about_line) {
    const AboutLine line(m.line_path(), m.key("fit"), v);
    const std::size_t k = table.told.told.size() / count;
    std::vector<float> theta(v);
    for (std::size_t i = 0; i < count; ++i) {
      writer.read(i, 0, v, theta.data());
      if (looking && c.sample.shown.empty())
        looking->at_row(split.asked.at(i % split.asked.size()), about.data());
      else if (!looking)
        line.answer(table.told.told.data() + i * k, about.data());
      if (looking)
        shown.push_back(c.sample.shown.empty() ? std::int64_t(split.asked[i % split.asked.size()]) : -1);
      for (std::size_t j = 0; j < v; ++j)
        theta[j] += about[j];
      writer.write(i, 0, v, theta.data());
    }
  }
  if (facts.shape && facts.shape->form.kind != FormKind::floats) {
    const IntoForm into_form(*facts.shape);
    std::vector<float> theta(v);
    for (std::size_t i = 0; i < count; ++i) {
      writer.read(i, 0, v, theta.data());
      into_form(theta.data());
      writer.write(i, 0, v, theta.data());
    }
  }
  std::map<std::string, std::vector<float>> scores; // by column
  std::string accuracy = "not scored";
  for (std::size_t k = 0; k < parts.size(); ++k) {
    auto [found, broken] =
        m.score("sample", v, {count, [&](std::size_t i, float *theta) { writer.read(i, 0, v, theta); }}, k > 0);
    scores[parts[k].loss] = std::move(found.loss);
    const auto &quality = scores[parts[k].quality] = std::move(found.accuracy);
    if (k > 0)
      continue;
    std::vector<float> sound;
    for (std::size_t i = 0; i < broken.size(); ++i)
      if (!broken[i])
        sound.push_back(quality[i]);
    accuracy = fmt::format("mean test accuracy {:.2f} %", 100 * summarise(sound).mean);
    if (sound.size() < broken.size())
      accuracy += fmt::format(", {} broken", broken.size() - sound.size());
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<ColumnValue> values{std::int64_t(i)};
    for (std::size_t k = 0; k < table.prompts.size(); ++k)
      values.emplace_back(double(table.value(k, i)));
    if (!shown.empty())
      values.emplace_back(shown[i]);
    for (const ScoredPart &part : parts)
      for (const char *column : {part.loss, part.quality})
        values.emplace_back(double(scores[column][i]));
    if (completion)
      values.emplace_back(std::int64_t(completion->signals[i]));
    writer.describe(values);
  }
  if (made.can_be_told && m.scores()) {
    const PromptReport told = prompt_report(table, zoo, scores);
    write_file(m.out() / "prompts.json", told.json.dump(1) + "\n");
    if (!told.table.empty())
      m.journal().result(told.table);
  }
  if (way)
    way->finish();
  writer.finish();
  if (completion) {
    std::vector<std::size_t> training;
    const auto signal = zoo.integers("signal");
    for (const std::size_t row : split.training)
      training.push_back(std::size_t(signal[row]));
    const auto report =
        judge_completion(*completion, m.shape("sample"), m.device(), m.data(), ZooReader(m.samples_path()), training);
    write_completion(m.out() / "completion.json", report);
    m.journal().result(text_of(report));
  }
  if (way)
    m.journal().line(
        fmt::format("sample: the way of {} of them from noise on, in {}", watched, m.trajectory_path().string()));
  m.journal().line(fmt::format("sample: {} networks, {}, in {}", c.sample.count, accuracy, m.samples_path().string()));
}

} // namespace

std::unique_ptr<const Stage> make_sample_stage() { return std::make_unique<SampleStage>(); }

} // namespace theta
