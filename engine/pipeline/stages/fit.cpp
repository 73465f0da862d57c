// The stage that trains the generator: on its member's zoo, or on those of all members that it may see.
#include "about_line.h"
#include "codes.h"
#include "data/hash.h"
#include "engine/analysis/curvature.h"
#include "engine/analysis/novelty.h"
#include "engine/generators/generator_file.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "pipeline.h"
#include "shown.h"
#include <algorithm>
#include <fmt/core.h>
#include <functional>

namespace theta {

namespace {

namespace fs = std::filesystem;

// A member's zoo, and which of it a generator learns.
struct TrainingZoo {
  explicit TrainingZoo(Member &m) : zoo((m.check_zoo("fit"), m.zoo_path())), split(split_of(zoo, m.config().fit)) {
    if (zoo.has_column("activation")) {
      const auto activation = zoo.integers("activation");
      if (std::adjacent_find(activation.begin(), activation.end(), std::not_equal_to<>()) != activation.end())
        throw InputError("fit: ", m.zoo_path().string(),
                         " holds networks of several activations, expected one: "
                         "a generator does not know which a network has");
    }
    if (const auto bad = zoo.not_finite(split.training); !bad.empty())
      throw InputError("fit: ", m.zoo_path().string(), ": row ", bad[0].row, ": '", bad[0].tensor, "' holds ",
                       bad[0].value, ", and so do ", bad.size() - 1,
                       " more rows; expected finite numbers (`theta zoo import` leaves "
                       "such networks out)");
  }
  ZooReader zoo;
  Split split;
};

// Of samples of a generator in training: how good they are, and whether it remembers.
Metrics worth(Member &m, const TrainingZoo &z, const std::vector<float> &theta, std::size_t networks) {
  if (!m.scores())
    return {};
  const std::size_t v = theta.size() / networks;
  const NetworkSet samples = vectors_of(theta, v);
  const Scores scores = m.score("sample", v, samples).first;
  const double accuracy = summarise(scores.accuracy).mean, loss = summarise(scores.loss).mean;
  Metrics all{{"accuracy", accuracy}, {"loss", loss}};
  std::string remembered;
  const std::size_t n =
      std::min({std::size_t(m.config().eval.references), z.split.training.size(), z.split.held_out.size()});
  if (n >= 2) {
    const Remembered memory = memory_of(m.shape("fit"), m.config().eval.distance, samples,
                                        choose(z.zoo, z.split.training, n, m.config().seed, 0),
                                        choose(z.zoo, z.split.held_out, n, m.config().seed, 1));
    for (const auto &[name, value] : {std::pair{"memorised", memory.share.share},
                                      {"memorised_low", memory.share.low},
                                      {"memorised_high", memory.share.high},
                                      {"nearest_l2", memory.nearest}})
      all.emplace_back(name, value);
    remembered =
        fmt::format(", memorised {:.2f} ({:.2f}-{:.2f})", memory.share.share, memory.share.low, memory.share.high);
  }
  m.journal().line(fmt::format("fit: {} samples of the generator of the moment: mean test accuracy {:.2f} %{}",
                               networks, 100 * accuracy, remembered));
  return all;
}

// FitWork::effect.
std::vector<double> effect(Member &m, const std::vector<float> &theta) {
  constexpr std::size_t images = 64;
  const NetworkShape &shape = m.shape("fit");
  if (!m.scores() || !LossGradient::can(shape))
    throw InputError("fit.", m.config().generators.name(),
                     ".weigh_by: found effect, expected elements or tensors for networks whose loss has no gradient in "
                     "double");
  return mean_squared_gradients(shape, m.data(), images, theta);
}

class FitStage : public Stage {
public:
  const char *name() const override { return "fit"; }
  const char *what() const override { return "train the generator on the run's zoo"; }
  std::string key(Member &m) const override {
    return m.whole.config ? key_of(m.whole.seen, *m.whole.config) : key_of({&m}, m.config());
  }
  std::vector<MemoryPlan> plans(const PlanWork &w) const override {
    if (w.which == StagesOf::networks)
      return {};
    return w.config.generators.chosen().plans(
        generator_task(w.config, w.data, w.backend, w.source.facts, w.source.training));
  }
  void run(Member &m) const override { fit({&m}, m.config(), m.out(), m.journal()); }
  void run_all(Pipeline &pipeline) const override {
    fit(pipeline.seen(), pipeline.order().config, pipeline.order().out, pipeline.journal());
  }

private:
  static std::string key_of(const std::vector<Member *> &seen, const Config &c) {
    std::string zoos;
    for (Member *m : seen)
      zoos += m->key("zoo") + (c.fit.shown > 0 ? m->key("shown") : "");
    return hash_of("fit 2\n" + zoos + fit_text(c));
  }

  void fit(const std::vector<Member *> &seen, const Config &c, const fs::path &out, Journal &journal) const {
    const Span span("fit");
    const std::string key = key_of(seen, c);
    const fs::path state = out / ".generator.state.safetensors", file = seen[0]->generator_path();
    if (generator_key(file) == key) {
      fs::remove(state);
      return journal.line("fit: done before, skipped");
    }
    Member &first = *seen[0];
    std::vector<std::unique_ptr<TrainingZoo>> zoos;
    std::size_t networks = 0;
    for (Member *m : seen) {
      zoos.push_back(std::make_unique<TrainingZoo>(*m));
      networks += zoos.back()->split.training.size();
    }
    const auto &[whole, split] = *zoos[0];
    std::optional<ZooReader> rest;
    if (c.fit.about_line) {
      const AboutLine line(whole, split.training, c.generators.chosen().conditions(), out / "rest");
      line.save(first.line_path(), key);
      rest.emplace(out / "rest");
      journal.line(fmt::format("fit: a straight line tells {:.0f} % of the variance of networks that it has not seen; "
                               "what it leaves is learned",
                               100 * line.explained()));
    }
    if (c.fit.codes != CodesAs::weights) {
      write_codes(whole, c.fit.codes, out / "codes");
      rest.emplace(out / "codes");
    }
    if (c.fit.shown > 0) {
      check_shown(first, "fit");
      const double told = learn_to_look(first, split.training, key);
      journal.line(
          fmt::format("fit: examples tell {:.0f} % of what rates leave of networks that it has not seen", 100 * told));
    }
    const ZooReader &zoo = rest ? *rest : whole;
    GeneratorTask task = generator_task(first.config(), sizes_of(first.data()), first.device().backend,
                                        network_facts(zoo.format(), first.zoo_path().string()), split.training.size());
    if (rest)
      task.stream.reset();
    if (task.stream)
      task.stream->data = &first.data();
    for (std::size_t i = 0; i < task.family.size(); ++i)
      task.family[i].training = zoos[i]->split.training.size();
    FitWork work{first.device(),
                 zoo,
                 split.training,
                 split.held_out,
                 state,
                 file,
                 key,
                 zoo_text(c) + fit_text(c),
                 journal,
                 [&](const std::vector<float> &theta, std::size_t n) {
                   return rest ? Metrics() : worth(first, *zoos[0], theta, n);
                 },
                 [&](std::size_t k, const std::vector<float> &theta) {
                   if (rest)
                     throw InputError(
                         "fit.about_line, fit.codes: found one with weigh_by = effect, expected elements or "
                         "tensors");
                   return effect(*seen[k], theta);
                 }};
    for (std::size_t i = 1; i < zoos.size(); ++i)
      work.more.push_back({zoos[i]->zoo, zoos[i]->split.training, zoos[i]->split.held_out});
    {
      const Measured measured(first, "fit", journal);
      c.generators.chosen().fit(task, work);
    }
    fs::remove(state);
    journal.line(fmt::format("fit: learned {} networks of {}, in {}", networks,
                             zoos.size() == 1 && task.family.empty() ? fmt::format("{} parameters", zoo.parameters())
                                                                     : fmt::format("{} architectures", zoos.size()),
                             file.string()));
  }
};

} // namespace

std::unique_ptr<const Stage> make_fit_stage() { return std::make_unique<FitStage>(); }

} // namespace theta
