// The stage that shows examples to the networks of a zoo.
#include "shown.h"
#include "data/hash.h"
#include "data/zoo_writer.h"
#include "engine/networks/subset.h"
#include "engine/training/interrupt.h"
#include "engine/training/state_file.h"
#include "engine/weights/by_gradient.h"
#include "engine/zoo/shown.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include <algorithm>
#include <fmt/core.h>

namespace theta {

namespace {

namespace fs = std::filesystem;

constexpr const char *start_name = "start", *rates_name = "rates", *directions_name = "directions",
                     *scales_name = "scales", *ridge_name = "ridge";

fs::path looking_path(const Member &m) { return m.generator_path().parent_path() / "looking.safetensors"; }
int runs_at_once(const Config &c) { return std::min(c.zoo.recipe.wave, c.zoo.recipe.networks); }

ZooTask task_for(Member &m) {
  ZooTask task = task_of(m.config());
  task.network = m.shape("shown"); // on its trunk
  return task;
}

// Trains runs first, first + 1, ... on what they are shown, each at the one of three learning rates that leaves it the
// least loss on some more, which a user does not have. Returns these rates; theta [at_once, V].
std::vector<double> train_at_best(ShownExamples &shown, int first, double lr, std::vector<float> &theta) {
  const std::size_t v = shown.parameters(), n = std::size_t(shown.at_once());
  std::vector<double> best(n), least(n, INFINITY);
  std::vector<float> one(n * v);
  for (const double times : {0.5, 1.0, 2.0}) {
    stop_if_interrupted("shown");
    shown.train(first, times * lr, one.data());
    const auto losses = shown.losses(first, one.data());
    for (std::size_t i = 0; i < n; ++i)
      if (double(losses[i]) < least[i]) {
        best[i] = times * lr, least[i] = double(losses[i]);
        std::copy_n(one.begin() + std::ptrdiff_t(i * v), v, theta.begin() + std::ptrdiff_t(i * v));
      }
  }
  return best;
}

class ShownStage : public Stage {
public:
  const char *name() const override { return "shown"; }
  const char *what() const override { return "what examples say to the zoo's networks, where their training begins"; }
  bool is_wanted(const Config &c) const override { return c.fit.shown > 0; }
  std::string key(Member &m) const override {
    return hash_of(text("shown 2\n", m.key("zoo"), "\n", m.config().fit.shown));
  }
  std::vector<MemoryPlan> plans(const PlanWork &w) const override {
    if (!is_wanted(w.config) || w.which == StagesOf::generator)
      return {};
    return {ShownExamples(task_of(w.config), w.data, w.config.fit.shown, runs_at_once(w.config), w.backend).plan()};
  }
  void run(Member &m) const override {
    if (!is_wanted(m.config()))
      return;
    const Span span("shown");
    const std::string key = this->key(m);
    if (zoo_key_of(m.shown_path()) == key)
      return m.journal().line("shown: done before, skipped");
    m.check_zoo("shown");
    const ZooReader zoo(m.zoo_path());
    const auto run = zoo.integers("run");
    const std::size_t v = zoo.parameters();
    ShownExamples shown(task_for(m), sizes_of(m.data()), m.config().fit.shown, runs_at_once(m.config()),
                        m.device().backend);
    const Measured measured(m, "shown");
    shown.begin(m.device(), m.data());
    const std::size_t most = std::max<std::size_t>(1, (std::size_t(1) << 28) / (v * sizeof(float)));
    ZooFormat format{zoo.format().layout, v, Dtype::f32, {{"run", Dtype::i64}}, m.facts_of(key, "shown")};
    ZooFormat of_trained = format;
    of_trained.columns.push_back({"lr", Dtype::f32});
    ZooWriter trained(m.shown_path() / trained_on_shown, of_trained, most);
    for (std::size_t k = 0; k < shown.summary(0, m.data()).size(); ++k)
      format.columns.push_back({fmt::format("plain_{}", k), Dtype::f32});
    ZooWriter gradients(m.shown_path(), format, most);
    Progress progress(m.journal(), "shown", "networks", double(zoo.rows()));
    const auto wave = std::int64_t(shown.at_once());
    std::vector<float> gradient(std::size_t(wave) * v), theta(gradient.size());
    std::vector<double> lr;
    std::int64_t first = -wave; // of the runs that are there
    for (std::size_t row = 0; row < zoo.rows(); ++row) {
      if (run[row] >= first + wave) {
        stop_if_interrupted("shown");
        first = run[row] / wave * wave;
        shown.gradients(int(first), gradient.data());
        lr = train_at_best(shown, int(first), m.config().zoo.recipe.lr.values.at(0), theta);
      }
      const auto at = std::size_t(run[row] - first);
      trained.append(theta.data() + at * v, {run[row], lr[at]});
      std::vector<ColumnValue> values{run[row]};
      for (const float each : shown.summary(int(run[row]), m.data()))
        values.emplace_back(double(each));
      gradients.append(gradient.data() + at * v, values);
      progress.update(double(row + 1));
    }
    trained.finish();
    gradients.finish();
    m.journal().line(fmt::format("shown: {} mini-batches to each of {} networks, in {}", m.config().fit.shown,
                                 zoo.rows(), m.shown_path().string()));
  }
};

} // namespace

void check_shown(Member &m, const char *stage) {
  if (zoo_key_of(m.shown_path()) != m.key("shown"))
    throw InputError(stage, ": ", m.shown_path().string(),
                     ": found nothing that this configuration's networks are shown, "
                     "expected it of `theta shown`");
}

double learn_to_look(Member &m, const std::vector<std::size_t> &training, const std::string &key) {
  const ZooReader zoo(m.zoo_path()), shown(m.shown_path());
  const std::size_t v = zoo.parameters();
  const auto start = row_of_trunk(m.shape("fit"));
  const ByGradient learned(
      zoo.format().layout, v, training.size(), [&](std::size_t i, float *to) { shown.theta(training[i], to); },
      [&](std::size_t i, float *to) {
        stop_if_interrupted("fit");
        zoo.theta(training[i], to);
        for (std::size_t j = 0; j < v; ++j)
          to[j] -= start[j];
      });
  const ByGradient::Numbers numbers = learned.numbers();
  save_state(looking_path(m), {key,
                               {},
                               {state_of(start_name, start), state_of(rates_name, numbers.rates),
                                state_of(directions_name, numbers.directions), state_of(scales_name, numbers.scales),
                                state_of(ridge_name, numbers.ridge)}});
  return learned.explained();
}

Looking::Looking(Member &m) : member_(m), shown_((check_shown(m, "sample"), m.shown_path())) {
  const auto saved = load_state(looking_path(m), m.key("fit"));
  if (!saved)
    throw InputError("sample: ", looking_path(m).string(),
                     ": found nothing of this generator; `theta fit` makes both anew");
  start_ = saved->tensor(start_name);
  learned_.emplace(ByGradient::Numbers{saved->tensor(rates_name), saved->tensor(directions_name),
                                       saved->tensor(scales_name), saved->tensor(ridge_name)});
}

void Looking::at_row(std::size_t row, float *theta) const {
  std::vector<float> gradient(start_.size());
  shown_.theta(row, gradient.data());
  look(gradient, theta);
}

void Looking::look(const std::vector<float> &gradient, float *theta) const {
  learned_->change(gradient.data(), theta);
  for (std::size_t j = 0; j < start_.size(); ++j)
    theta[j] += start_[j];
}

std::vector<float> Looking::at_text(const fs::path &file) const {
  Member &m = member_;
  Dataset data{.name = m.data().name};
  ZooTask task = task_for(m);
  task.recipe.mixture = {}; // all of its only class
  std::vector<float> gradient(start_.size()), theta(start_.size());
  try {
    data.text = read_one_text(file, m.data().text.alphabet), data.classes = 1;
    ShownExamples shown(task, sizes_of(data), m.config().fit.shown, 1, m.device().backend);
    shown.begin(m.device(), data);
    shown.gradients(0, gradient.data());
  } catch (const InputError &e) {
    throw InputError("sample.shown: ", e.what());
  }
  look(gradient, theta.data());
  return theta;
}

std::unique_ptr<const Stage> make_shown_stage() { return std::make_unique<ShownStage>(); }

} // namespace theta
