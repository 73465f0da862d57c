// The stage that judges.
#include "engine/analysis/novelty.h"
#include "engine/training/interrupt.h"
#include "eval_file.h"
#include "field_eval.h"
#include "kernels/device/trace.h"
#include "measured.h"
#include "shape_eval.h"
#include "source.h"
#include <fmt/core.h>

namespace theta {

namespace fs = std::filesystem;

// Fields of images, or of bodies: what they show, and whether it is new.
void Stages::eval_fields() {
  const std::string key = eval_key();
  if (eval_key_of(eval_path()) == key) {
    journal_.line("eval: done before, skipped");
    return journal_.result(body_ ? table_of(read_shape_eval(eval_path())) : table_of(read_field_eval(eval_path())));
  }
  check_zoo("eval"), check_samples("eval");
  const ZooReader zoo(zoo_path()), samples(samples_path());
  const Measured measured(*this, "eval");
  if (body_) {
    const auto reports = judge_shapes(run_.config, *body_, run_.device, data(), zoo, samples, journal_);
    write_shape_eval(eval_path(), reports, key);
    return journal_.result(table_of(reports));
  }
  const auto reports = judge_fields(run_.config, *field_, run_.device, data(), zoo, samples, journal_);
  write_field_eval(eval_path(), reports, key);
  journal_.result(table_of(reports));
}

void Stages::eval() {
  const Span span("eval");
  if (field_ || body_)
    return eval_fields();
  const std::string key = eval_key();
  if (eval_key_of(eval_path()) == key) {
    journal_.line("eval: done before, skipped");
    return journal_.result(table_of(read_eval(eval_path())));
  }
  const Config &c = run_.config;
  const EvalConfig &e = c.eval;
  const NetworkShape &shape = network("eval");
  check_zoo("eval"), check_samples("eval");
  const ZooReader zoo(zoo_path()), samples(samples_path());
  for (const ZooReader *of : {&zoo, &samples})
    if (const std::size_t v = layout_of(shape).size(); of->parameters() != v)
      throw InputError("eval: ", of->path().string(), " holds networks of ", of->parameters(), " parameters, expected ",
                       v, ", as the configuration has");
  const Split split = split_of(zoo);
  const std::size_t references = std::min({std::size_t(e.references), split.training.size(), split.held_out.size()});
  if (references < 2)
    throw InputError("eval: found ", split.training.size(), " training and ", split.held_out.size(),
                     " held-out networks, expected at least 2 of each (zoo.held_out)");
  const Dataset &d = data();
  const Images &part = e.part == "test" ? d.test : d.validation;
  const std::size_t group = std::size_t(e.networks);
  const Measured measured(*this, "eval");
  NoveltyJudge judge(shape, part.size(), e.wave, references, group, run_.device.backend, e.distance,
                     run_.memory_budget);
  judge.start(run_.device, d, part, choose(zoo, split.training, references, c.seed, 0),
              choose(zoo, split.held_out, references, c.seed, 1));

  std::vector<std::size_t> generated(samples.rows());
  for (std::size_t i = 0; i < generated.size(); ++i)
    generated[i] = i;
  NetworkSet made = choose(samples, generated, group, c.seed, 2);
  made.source.clear(); // rows of another zoo
  std::vector<GroupReport> reports;
  Progress progress(journal_, "eval", "groups", double(5 + e.noise.size()));
  const auto add = [&](const std::string &name, const NetworkSet &set) {
    if (interrupted())
      throw Interrupted("eval: stopped; the same command starts it again");
    reports.push_back(judge.judge(name, set));
    progress.update(double(reports.size()), name);
  };
  add("training", choose(zoo, split.training, group, c.seed, 0));
  add("held_out", choose(zoo, split.held_out, group, c.seed, 1));
  add("generated", made);
  for (std::size_t i = 0; i < e.noise.size(); ++i)
    add(fmt::format("noise_{}", e.noise[i]),
        noisy_copies(zoo, split.training, group, e.noise[i], c.seed, std::uint32_t(3 + i)));
  add(fmt::format("average_{}", e.average), averages(zoo, split.training, group, std::size_t(e.average), c.seed));
  const bool is_large = zoo.parameters() > large_network;
  add("gaussian", gaussians(zoo, split.training, group, c.seed, is_large ? run_.out / ".gaussian" : fs::path()));
  for (GroupReport &r : reports)
    r.z_u = mann_whitney_z(r.nearest_l2, reports[1].nearest_l2); // against held_out
  write_eval(eval_path(), reports, key);
  journal_.result(table_of(reports));
}

} // namespace theta
