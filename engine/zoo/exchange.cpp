#include "exchange.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "data/zoo_writer.h"
#include "engine/networks/network.h"
#include "engine/training/interrupt.h"
#include "kernels/device/bf16.h"
#include "recipe.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/core.h>
#include <fstream>
#include <glob.h>
#include <map>

namespace theta {

namespace fs = std::filesystem;

namespace {

// "layer.10.weight" after "layer.2.weight": pieces between dots, numbers by value; weight before bias, then the rest.
std::vector<std::tuple<int, std::size_t, std::string>> order_of(const std::string &name) {
  std::vector<std::tuple<int, std::size_t, std::string>> order;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t dot = std::min(name.find('.', begin), name.size());
    const std::string piece = name.substr(begin, dot - begin);
    const bool number =
        !piece.empty() && piece.size() < 10 && piece.find_first_not_of("0123456789") == std::string::npos;
    if (number)
      order.emplace_back(0, std::stoul(piece), piece);
    else
      order.emplace_back(piece == "weight" ? 1 : piece == "bias" ? 2 : 3, 0, piece);
    begin = dot + 1;
  }
  return order;
}

bool is_parameter(Dtype d) { return d == Dtype::f16 || d == Dtype::bf16 || d == Dtype::f32 || d == Dtype::f64; }

// What a file holds of parameters, in the order of their names.
std::vector<TensorPlace> layout_of_file(const Safetensors &file) {
  std::vector<const TensorInfo *> tensors;
  for (const TensorInfo &t : file.tensors())
    if (is_parameter(t.dtype))
      tensors.push_back(&t);
  std::sort(tensors.begin(), tensors.end(),
            [](const auto *a, const auto *b) { return order_of(a->name) < order_of(b->name); });
  std::vector<TensorPlace> layout;
  std::size_t offset = 0;
  for (const auto *t : tensors) {
    if (t->elements() == 0)
      throw InputError(file.path().string(), ": '", t->name, "' is empty");
    layout.push_back({t->name, t->shape, offset});
    offset += t->elements();
  }
  if (layout.empty())
    throw InputError(file.path().string(), ": found no tensor of F16, BF16, F32 or F64");
  return layout;
}

float from_half(std::uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const float size = exponent == 31  ? (mantissa ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp(float(mantissa), -24)
                                     : std::ldexp(float(mantissa + 1024), exponent - 25);
  return half >> 15 ? -size : size;
}

void read_parameters(const Safetensors &file, const std::vector<TensorPlace> &layout, float *theta) {
  const auto elements = [&]<class T>(T, const TensorInfo &t, float *to, auto convert) {
    const std::byte *from = file.bytes(t).data();
    for (std::size_t i = 0; i < t.elements(); ++i) {
      T value;
      std::memcpy(&value, from + i * sizeof(T), sizeof(T));
      to[i] = convert(value);
    }
  };
  for (const auto &place : layout) {
    const TensorInfo &t = file.tensor(place.name);
    float *to = theta + place.offset;
    const auto as_it_is = [](auto x) { return float(x); };
    if (t.dtype == Dtype::f16)
      elements(std::uint16_t{}, t, to, from_half);
    else if (t.dtype == Dtype::bf16)
      elements(bf16{}, t, to, [](bf16 x) { return to_float(x); });
    else if (t.dtype == Dtype::f32)
      elements(float{}, t, to, as_it_is);
    else
      elements(double{}, t, to, as_it_is);
  }
}

std::vector<std::string> files_of(const ImportTask &task) {
  const std::string root = (task.directory / "").string();
  glob_t found{};
  const int failed = glob((root + task.pattern).c_str(), 0, nullptr, &found); // sorted
  std::vector<std::string> files;
  if (failed == 0)
    for (std::size_t i = 0; i < found.gl_pathc; ++i)
      files.push_back(std::string(found.gl_pathv[i]).substr(root.size()));
  globfree(&found);
  if (files.empty())
    throw InputError(root + task.pattern, ": found no file, expected safetensors files");
  return files;
}

// A table of numbers by file.
struct Metrics {
  std::vector<Column> columns;
  std::map<std::string, std::vector<ColumnValue>> rows;
};

std::vector<std::string> fields_of(std::string line) {
  if (line.ends_with('\r'))
    line.pop_back();
  std::vector<std::string> fields;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t comma = std::min(line.find(',', begin), line.size());
    fields.push_back(line.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return fields;
}

Metrics read_metrics(const fs::path &path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line))
    throw InputError(path.string(), ": found no lines, expected a header and a line for each network");
  const auto names = fields_of(line);
  std::vector<std::vector<std::string>> lines;
  for (long number = 2; std::getline(file, line); ++number) {
    lines.push_back(fields_of(line));
    if (lines.back().size() != names.size())
      throw InputError(path.string(), ": line ", number, ": found ", lines.back().size(), " fields, expected ",
                       names.size());
  }
  const auto whole = [](const std::string &s) {
    return !s.empty() && s.size() < 18 && s.find_first_not_of("0123456789", s[0] == '-') == std::string::npos &&
           s != "-";
  };
  Metrics metrics;
  for (std::size_t c = 1; c < names.size(); ++c) {
    if (names[c].empty() || names[c] == "theta" || names[c] == "checksum")
      throw InputError(path.string(), ": found a column '", names[c], "', expected another name");
    const bool integers = std::all_of(lines.begin(), lines.end(), [&](const auto &l) { return whole(l[c]); });
    metrics.columns.push_back({names[c], integers ? Dtype::i64 : Dtype::f32});
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string &text = lines[i][c];
      char *end = nullptr;
      const double value = text.empty() ? NAN : std::strtod(text.c_str(), &end);
      if (end && *end)
        throw InputError(path.string(), ": line ", i + 2, ": ", names[c], ": found '", text, "', expected a number");
      metrics.rows[lines[i][0]].push_back(integers ? ColumnValue(std::int64_t(std::stoll(text))) : ColumnValue(value));
    }
  }
  return metrics;
}

// The architecture as JSON where a kind knows the tensors (network.h); else {"kind": "unknown"}.
Json known_architecture(const std::vector<TensorPlace> &layout, const std::string &activation) {
  auto shape = recognised(layout);
  if (!shape || activation.empty())
    return {{"kind", "unknown"}};
  shape->act = activation_named(activation);
  return parse_json(architecture_of(*shape), "architecture");
}

// The shortest text that reads back the same, and not as a whole number.
std::string text_of_number(float v) {
  const std::string text = fmt::format("{}", v);
  return text.find_first_of(".einf") == std::string::npos ? text + ".0" : text;
}

void stop_if_asked(const char *what) {
  if (interrupted())
    throw Interrupted(what, ": stopped; the same command starts it again");
}

} // namespace

std::size_t import_zoo(const ImportTask &task, Journal &journal) {
  const auto files = files_of(task);
  const auto first = Safetensors(task.directory / files.front());
  const auto layout = layout_of_file(first);
  Metrics metrics;
  if (!task.metrics.empty())
    metrics = read_metrics(task.metrics);
  ZooFormat format{layout, layout.back().offset + elements_of(layout.back()), task.storage, metrics.columns};
  const auto has = [&](const char *name) {
    return std::any_of(format.columns.begin(), format.columns.end(), [&](const Column &c) { return c.name == name; });
  };
  const bool add_run = !has("run"), add_held_out = !has("held_out");
  if (add_run)
    format.columns.push_back({"run", Dtype::i64});
  if (add_held_out)
    format.columns.push_back({"held_out", Dtype::i64});
  format.facts = Json{{"what", "imported"},
                      {"architecture", known_architecture(layout, task.activation)},
                      {"source", (task.directory / task.pattern).string()}}
                     .dump();
  if (fs::exists(task.zoo / "index.json"))
    throw InputError(task.zoo.string(), ": found a zoo there, expected a new folder");
  ZooWriter writer(task.zoo, format, 65536);
  std::vector<float> theta(format.parameters);
  Progress progress(journal, "import", "networks", double(files.size()));
  for (std::size_t i = 0; i < files.size(); ++i) {
    stop_if_asked("import");
    const Safetensors file(task.directory / files[i]);
    if (const auto other = layout_of_file(file); other != layout) {
      const auto [here, there] = std::mismatch(other.begin(), other.end(), layout.begin(), layout.end());
      const auto name = [](const auto &at, const auto &end) {
        return at == end ? std::string("nothing") : "'" + at->name + "' " + text_of(at->shape);
      };
      throw InputError(file.path().string(), ": found ", name(here, other.end()), ", expected ",
                       name(there, layout.end()), " as in ", files.front());
    }
    read_parameters(file, layout, theta.data());
    std::vector<ColumnValue> values;
    if (!task.metrics.empty()) {
      const auto row = metrics.rows.find(files[i]);
      if (row == metrics.rows.end())
        throw InputError(task.metrics.string(), ": found no line for ", files[i]);
      values = row->second;
    }
    if (add_run)
      values.emplace_back(std::int64_t(i));
    if (add_held_out)
      values.emplace_back(std::int64_t(is_held_out(long(i), task.held_out)));
    writer.append(theta.data(), values);
    progress.update(double(i + 1));
  }
  writer.finish();
  const auto left_out = first.tensors().size() - layout.size();
  journal.line(fmt::format("import: {} networks of {} parameters in {}{}", files.size(), format.parameters,
                           task.zoo.string(),
                           left_out ? fmt::format(" ({} tensors a file are not parameters, left out)", left_out) : ""));
  return files.size();
}

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
  Progress progress(journal, "export", "networks", double(zoo.rows()));
  for (std::size_t row = 0; row < zoo.rows(); ++row) {
    stop_if_asked("export");
    const std::string name = fmt::format("network-{:06}.safetensors", row);
    zoo.theta(row, theta.data());
    std::vector<TensorSource> tensors;
    for (const auto &place : zoo.format().layout)
      tensors.push_back({place.name, Dtype::f32, place.shape, theta.data() + place.offset});
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
