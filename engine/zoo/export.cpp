#include "export.h"
#include "data/atomic_file.h"
#include "engine/training/interrupt.h"
#include "kernels/device/error.h"
#include <fmt/core.h>

namespace theta {

namespace fs = std::filesystem;

namespace {

// The shortest text that reads back the same, and not as a whole number.
std::string text_of_number(float v) {
  const std::string text = fmt::format("{}", v);
  return text.find_first_of(".einf") == std::string::npos ? text + ".0" : text;
}

} // namespace

void export_zoo(const ZooReader &zoo, const fs::path &directory, Journal &journal) {
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (failed)
    throw Error(directory.string(), ": cannot be created: ", failed.message());
  std::string metrics = "file";
  std::vector<std::vector<std::string>> columns;
  for (const Column &c : zoo.format().columns) {
    metrics += "," + c.name;
    std::vector<std::string> values;
    if (c.dtype == Dtype::i64)
      for (const auto v : zoo.integers(c.name))
        values.push_back(fmt::format("{}", v));
    else
      for (const float v : zoo.floats(c.name))
        values.push_back(text_of_number(v));
    columns.push_back(std::move(values));
  }
  metrics += "\n";
  std::vector<float> theta(zoo.parameters());
  const auto steps = zoo.has_column("step") ? zoo.integers("step") : std::vector<std::int64_t>{};
  Progress progress(journal, "export", "networks", double(zoo.rows()));
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    stop_if_interrupted("export");
    const std::string name = fmt::format("network-{:06}.safetensors", row);
    zoo.theta(row, theta.data());
    std::vector<TensorSource> tensors;
    const std::int64_t updates = steps.empty() ? 0 : steps[row]; // as PyTorch counts them beside running statistics
    for (const auto &place : zoo.format().layout) {
      tensors.push_back({place.name, Dtype::f32, place.shape, theta.data() + place.offset});
      if (constexpr std::string_view of = "running_var"; place.name.ends_with(of))
        tensors.push_back(
            {place.name.substr(0, place.name.size() - of.size()) + "num_batches_tracked", Dtype::i64, {}, &updates});
    }
    write_safetensors(directory / name, tensors, {{"format", "pt"}});
    metrics += name;
    for (const auto &values : columns)
      metrics += "," + values[row];
    metrics += "\n";
    progress.update(double(row + 1));
  }
  write_file(directory / "metrics.csv", metrics);
  journal.line(fmt::format("export: {} networks in {}", zoo.rows(), directory.string()));
}

} // namespace theta
