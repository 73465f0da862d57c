// The stage that trains on from generated networks.
#include "data/hash.h"
#include "engine/analysis/statistics.h"
#include "finetune.h"
#include "kernels/device/trace.h"
#include "stages.h"
#include <fmt/core.h>

namespace theta {

void Stages::finetune() {
  const FinetuneConfig &c = run_.config.finetune;
  if (c.networks == 0)
    return;
  const Span span("finetune");
  network("finetune"); // throws where they are no classifiers
  const std::string key = hash_of("finetune 1\n" + sample_key() + finetune_text(run_.config));
  const auto file = run_.out / "finetune.json";
  if (finetune_key_of(file) == key)
    return journal_.line("finetune: done before: " + text_of(read_finetune(file)));
  check_zoo("finetune"), check_samples("finetune");
  const ZooReader zoo(zoo_path()), samples(samples_path());
  if (samples.rows() < std::size_t(c.networks))
    throw InputError("finetune.networks: found ", c.networks, ", expected at most ", samples.rows(), ", the samples");
  std::vector<float> held_out;
  const auto is_held_out = zoo.integers("held_out");
  const auto accuracy = zoo.floats("test_accuracy");
  for (std::size_t row = 0; row < zoo.rows(); ++row)
    if (is_held_out[row])
      held_out.push_back(accuracy[row]);
  FinetuneReport report;
  report.held_out = summarise(held_out).mean, report.target = report.held_out - c.less;
  for (const bool from_generated : {true, false}) {
    ZooTask task = finetune_task(run_.config, from_generated);
    task.directory = run_.out / "finetune" / (from_generated ? "generated" : "scratch");
    task.key = hash_of(key + (from_generated ? "generated" : "scratch"));
    task.facts = facts_of(task.key, "finetuned");
    if (from_generated)
      task.start = samples_path();
    if (zoo_key_of(task.directory) != task.key)
      ZooTrainer(task, sizes_of(data()), run_.device.backend, run_.memory_budget).run(run_.device, data(), journal_);
    auto at_once = samples.floats("test_accuracy");
    at_once.resize(std::size_t(c.networks));
    (from_generated ? report.generated : report.scratch) =
        curve_of(ZooReader(task.directory), from_generated ? at_once : std::vector<float>{});
  }
  write_finetune(file, report, key);
  journal_.line("finetune: " + text_of(report));
}

} // namespace theta
