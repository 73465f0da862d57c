// The stage that judges.
#include "compare.h"
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
  if (field_ || body_) {
    if (const EvalConfig &e = run_.config.eval; !e.groups.empty() || !e.twin.empty())
      throw InputError("eval: found ", e.groups.empty() ? e.twin : e.groups[0], ", expected no other zoos for fields");
    return eval_fields();
  }
  const NetworkShape &shape = network("eval");
  const std::string key = eval_key();
  if (eval_key_of(eval_path()) == key) {
    journal_.line("eval: done before, skipped");
    return journal_.result(table_of(read_eval(eval_path())));
  }
  check_zoo("eval"), check_samples("eval");
  const ZooReader zoo(zoo_path());
  std::optional<ZooReader> samples;
  if (run_.config.eval.groups.empty() || fs::exists(samples_path() / "index.json"))
    samples.emplace(samples_path());
  const Measured measured(*this, "eval");
  const auto reports = compare(
      {run_.config, shape, run_.device, run_.memory_budget, data(), zoo, samples ? &*samples : nullptr, run_.out},
      journal_);
  write_eval(eval_path(), reports, key);
  journal_.result(table_of(reports));
}

} // namespace theta
