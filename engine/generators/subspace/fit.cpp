#include "fit.h"
#include "data/json.h"
#include "data/zoo_writer.h"
#include "engine/memory/arena.h"
#include "engine/training/interrupt.h"
#include "engine/weights/symmetry.h"
#include "kernels/device/parallel.h"
#include <cmath>
#include <numeric>

namespace theta {

namespace fs = std::filesystem;

SubspaceFit::SubspaceFit(SubspaceConfig config, const NetworkFacts &facts, std::size_t rows, std::uint64_t seed,
                         Backend backend)
    : config_(std::move(config)), facts_(facts), rows_(rows), components_(rows, facts.parameters(), config_.directions),
      flow_(config_.flow, {coefficients_format(components_.directions()).layout, {}}, rows, seed, backend, {},
            "fit.subspace") {
  for (const auto &[key, wanted] : {std::pair{"align", config_.align}, {"balance", config_.balance}})
    if (wanted && !facts.shape)
      throw InputError("fit.subspace.", key, ": found true, expected false for an unknown architecture");
  components_.plan(plan_);
  if (config_.align || config_.balance)
    row_ = plan_.reserve<float>("subspace.network", MemoryClass::staging, {std::int64_t(facts.parameters())});
  plan_.place();
}

std::vector<const MemoryPlan *> SubspaceFit::plans() const {
  std::vector<const MemoryPlan *> all{&plan_};
  for (const auto *plan : flow_.plans())
    all.push_back(plan);
  return all;
}

// The training networks' windows: from the zoo, or, balanced and aligned, from a file of this run's.
PrincipalComponents::Read SubspaceFit::reader(const FitWork &w, std::unique_ptr<WorkFile> &aligned) const {
  if (!config_.align && !config_.balance)
    return [&w](std::size_t k, std::size_t first, std::size_t count, float *theta) {
      w.zoo.theta(w.training[k], first, count, theta);
    };
  const NetworkShape &shape = *facts_.shape;
  const std::size_t v = facts_.parameters(), bytes = v * sizeof(float);
  aligned = std::make_unique<WorkFile>(w.state.parent_path() / ".aligned", true);
  const auto prepared = [&](std::size_t k, float *theta) {
    w.zoo.theta(w.training[k], theta);
    if (config_.balance)
      balance(theta, shape);
  };
  std::vector<float> reference;
  if (config_.align) {
    reference.resize(v);
    prepared(0, reference.data());
  }
  Progress progress(w.journal, "fit.subspace: units aligned", "networks", double(rows_));
  for (std::size_t k = 0; k < rows_; ++k) {
    stop_if_interrupted("fit.subspace");
    float *theta = row_;
    prepared(k, theta);
    if (config_.align)
      match_units(theta, reference.data(), shape);
    aligned->write(k * bytes, theta, bytes);
    progress.update(double(k + 1));
  }
  return [file = aligned.get(), bytes](std::size_t k, std::size_t first, std::size_t count, float *theta) {
    file->read(k * bytes + first * sizeof(float), theta, count * sizeof(float));
  };
}

// Directions and mean go into the begun file, coefficients into their zoo, whose index says that both are whole.
void SubspaceFit::find_subspace(const FitWork &w, Subspace &s) {
  fs::remove_all(coefficients(w)); // their index would say that the begun file is whole
  const Arena arena(Device{}, plan_);
  std::unique_ptr<WorkFile> aligned;
  const auto read = reader(w, aligned);
  const std::size_t d = std::size_t(components_.directions()), v = facts_.parameters();
  const auto told = [&](Progress &progress) {
    return [&](double share) {
      stop_if_interrupted("fit.subspace");
      progress.update(share * double(v));
    };
  };
  {
    Progress progress(w.journal, "fit.subspace: products of networks", "parameters", double(v));
    components_.fit(read, told(progress));
  }
  for (std::size_t k = 0; k < d; ++k) {
    const double deviation = components_.deviations()[k];
    s.scale[k] = deviation > 0 ? float(std::pow(deviation, config_.power)) : 1.0f;
  }
  GeneratorDraft draft = draft_of(begun(w), s, {w.key, w.settings}, true);
  draft.write(subspace_scale, 0, s.scale.data(), d);
  {
    Progress progress(w.journal, "fit.subspace: directions", "parameters", double(v));
    components_.windows(
        read,
        [&](std::size_t first, std::size_t count, const float *mean, const float *directions, std::size_t step) {
          draft.write(subspace_mean, first, mean, count);
          for (std::size_t k = 0; k < d; ++k)
            draft.write(subspace_directions, k * v + first, directions + k * step, count);
        },
        told(progress));
  }
  draft.sync();

  ZooFormat format = coefficients_format(int(d));
  format.columns = w.zoo.format().columns;
  format.facts = Json{{"what", "coefficients"},
                      {"key", w.key},
                      {"deviations", std::vector<double>(components_.deviations(), components_.deviations() + d)}}
                     .dump();
  ZooWriter writer(coefficients(w), format, rows_);
  std::vector<std::vector<ColumnValue>> values(rows_);
  for (const Column &column : format.columns) {
    const auto add = [&](const auto &all) {
      for (std::size_t k = 0; k < rows_; ++k)
        values[k].emplace_back(all[w.training[k]]);
    };
    if (column.dtype == Dtype::i64)
      add(w.zoo.integers(column.name));
    else
      add(w.zoo.floats(column.name));
  }
  std::vector<float> row(d);
  for (std::size_t k = 0; k < rows_; ++k) {
    for (std::size_t i = 0; i < d; ++i)
      row[i] = float(components_.coefficients()[k * d + i] / s.scale[i]);
    writer.append(row.data(), values[k]);
  }
  writer.finish();
  if (aligned) {
    const fs::path path = aligned->path();
    aligned.reset();
    fs::remove(path);
  }
}

void SubspaceFit::run(const FitWork &w) {
  Subspace s{config_, w.zoo.format(), std::vector<float>(std::size_t(components_.directions()), 1.0f), {}};
  s.flow.config = config_.flow, s.flow.networks = coefficients_format(components_.directions());
  const auto is_there = [&] {
    if (!fs::exists(begun(w)) || !fs::exists(coefficients(w) / "index.json"))
      return false;
    return parse_json(ZooReader(coefficients(w)).format().facts, "coefficients").value("key", "") == w.key;
  };
  // Sizes are known before numbers are: of the flow's tensors, that the header names.
  s.flow.ranges.resize(config_.flow.conditions.size());
  s.flow.mean.resize(std::size_t(components_.directions())), s.flow.std = s.flow.mean;
  if (!is_there())
    find_subspace(w, s);
  std::vector<std::size_t> all(rows_);
  std::iota(all.begin(), all.end(), std::size_t(0));
  const ZooReader zoo(coefficients(w));
  s.flow = trained_of(config_.flow, zoo.format(), flow_.run(w.device, {{zoo, all}}, w.state, w.key, w.journal, {}));

  GeneratorDraft draft = draft_of(begun(w), s, {w.key, w.settings}, false);
  draft.write(tensors_of(s.flow, subspace_flow));
  draft.publish(w.file);
}

} // namespace theta
