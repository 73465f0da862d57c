#include "import.h"
#include "data/csv.h"
#include "data/json.h"
#include "engine/networks/form.h"
#include "engine/networks/recognition.h"
#include "engine/training/folder_lock.h"
#include "engine/training/interrupt.h"
#include "kernels/device/bf16.h"
#include "network_files.h"
#include "recipe.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/core.h>
#include <map>
#include <set>

namespace theta {

namespace fs = std::filesystem;

namespace {

// A table of numbers by network.
struct Metrics {
  std::vector<Column> columns;
  std::map<std::string, std::vector<ColumnValue>> rows;
  std::vector<std::string> left_out; // columns, and why
};

std::optional<double> number_of(const std::string &text) {
  if (text.empty())
    return NAN;
  char *end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return *end ? std::nullopt : std::optional(value);
}

bool is_whole(const std::string &s) {
  const std::size_t sign = !s.empty() && s[0] == '-';
  return s.size() > sign && s.find_first_not_of("0123456789", sign) == std::string::npos;
}
std::optional<std::int64_t> whole_of(const std::string &s) {
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(s.data(), s.data() + s.size(), value);
  return is_whole(s) && failed == std::errc() && end == s.data() + s.size() ? std::optional(value) : std::nullopt;
}

// Columns as zoos can have them: under names of their own, which a file can hold and a terminal show.
void check_columns(const std::vector<Column> &columns, const std::string &where) {
  std::set<std::string> seen;
  for (const auto &[name, dtype] : columns) {
    const bool is_text = [&] {
      try {
        return Json(name).dump() != "" && name == printable(name);
      } catch (const Json::exception &) { // not UTF-8
        return false;
      }
    }();
    if (name.empty() || !is_text || name == "theta" || name == "checksum" || name == "__metadata__")
      throw InputError(where, ": found a column '", is_text ? name : "?", "', expected another name",
                       is_text ? "" : ", of letters in UTF-8");
    if (!seen.insert(name).second)
      throw InputError(where, ": found two columns '", name, "', expected names of their own");
    if ((name == "run" || name == "step" || name == "held_out") && dtype != Dtype::i64)
      throw InputError(where, ": found numbers in column '", name, "' that are not whole, expected whole ones");
  }
}

Metrics read_metrics(const fs::path &path) {
  const CsvTable table = read_csv(path);
  Metrics metrics;
  std::map<std::string, long> first;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const auto &name = table.rows[r][0];
    if (const auto [at, is_new] = first.try_emplace(name, table.lines[r]); !is_new)
      throw InputError(path.string(), ": line ", table.lines[r], ": found '", name, "' again, which line ", at->second,
                       " has, expected one line a network");
    metrics.rows[name];
  }
  for (std::size_t c = 1; c < table.header.size(); ++c) {
    const std::string &name = table.header[c];
    const auto all = [&](auto f) {
      return std::all_of(table.rows.begin(), table.rows.end(), [&](const auto &row) { return f(row[c]); });
    };
    const auto wrong = std::find_if(table.rows.begin(), table.rows.end(),
                                    [&](const auto &row) { return !number_of(row[c]).has_value(); });
    const bool numbers = !all([](const std::string &s) { return s.empty() || !number_of(s); });
    if (wrong != table.rows.end() && numbers)
      throw InputError(path.string(), ": line ", table.lines[std::size_t(wrong - table.rows.begin())], ": ", name,
                       ": found '", (*wrong)[c], "', expected a number");
    if (wrong != table.rows.end()) {
      metrics.left_out.push_back("'" + name + "' is text");
      continue;
    }
    const bool integers = all([](const std::string &s) { return whole_of(s).has_value(); });
    if (!integers && !all([](const std::string &s) {
          return !is_whole(s) || (whole_of(s) && fits_float(double(*whole_of(s))) &&
                                  std::int64_t(double(*whole_of(s))) == *whole_of(s));
        })) {
      metrics.left_out.push_back("'" + name + "' has whole numbers that a column cannot hold exactly");
      continue;
    }
    metrics.columns.push_back({name, integers ? Dtype::i64 : Dtype::f32});
    for (const auto &row : table.rows)
      metrics.rows[row[0]].push_back(integers ? ColumnValue(*whole_of(row[c])) : ColumnValue(*number_of(row[c])));
  }
  check_columns(metrics.columns, path.string());
  return metrics;
}

std::vector<TensorShape> shapes_of(const TensorTable &table) {
  std::vector<TensorShape> shapes;
  for (const NamedTensor &t : table.tensors)
    shapes.push_back({t.name, t.shape});
  return shapes;
}

// How the networks of all files are laid out, found from the first.
struct Plan {
  std::vector<TensorPlace> layout;
  std::optional<NetworkShape> shape;
  std::string why; // the architecture is not known
  bool stacked = false;
};

// The tensors' order in the layout.
std::vector<std::size_t> lay_out(Plan &plan, const std::vector<TensorShape> &tensors, const ImportTask &task) {
  plan.why.clear();
  if (task.network) {
    if (task.network->form.kind != FormKind::floats)
      throw InputError("import: --config: network.form: found ", name_of(task.network->form.kind),
                       ", expected floats: networks are taken as they are");
    plan.shape = task.network;
    if (const auto order = matched(*task.network, tensors, plan.why))
      return *order;
    plan.shape.reset();
    return {};
  }
  if (auto found = recognised(tensors, plan.why)) {
    if (task.activation.empty() && !found->knows_activation)
      plan.why = "a chain of layers, whose activation no tensor tells: give --activation";
    else
      plan.shape = found->shape;
    if (plan.shape && !task.activation.empty())
      plan.shape->act = activation_named(task.activation);
    return found->order;
  }
  return {};
}

Plan plan_of(const Networks &networks, const ImportTask &task, const std::string &where) {
  const TensorTable &table = networks.each.front();
  if (table.tensors.empty())
    throw InputError(where, ": found no tensor of F16, BF16, F32 or F64");
  Plan plan;
  if (networks.flattened) {
    const std::int64_t v = table.tensors[0].shape[0];
    plan.layout = {{"theta", {v}, 0}};
    if (!task.network) {
      plan.why = "flattened vectors: give --config with their [network]";
      return plan;
    }
    const Layout layout = layout_of(*task.network);
    if (std::int64_t(layout.size()) != v)
      throw InputError(where, ": found networks of ", v, " weights, expected ", layout.size(),
                       " as the configuration's [network] has");
    plan.layout = layout.places(), plan.shape = task.network;
    return plan;
  }
  auto tensors = shapes_of(table);
  auto order = lay_out(plan, tensors, task);
  if (order.empty()) { // perhaps several networks, stacked
    std::vector<TensorShape> inner = tensors;
    const bool alike = std::all_of(tensors.begin(), tensors.end(), [&](const TensorShape &t) {
      return !t.shape.empty() && t.shape[0] == (tensors[0].shape.empty() ? 0 : tensors[0].shape[0]);
    });
    for (TensorShape &t : inner)
      if (alike)
        t.shape.erase(t.shape.begin());
    Plan of_one;
    if (auto inner_order = alike ? lay_out(of_one, inner, task) : order; !inner_order.empty())
      plan = of_one, plan.stacked = true, order = inner_order, tensors = inner;
  }
  if (order.empty() && task.network)
    throw InputError(where, ": its tensors are not those of the configuration's [network]: ", plan.why);
  if (order.empty()) {
    order = order_of_names(tensors);
    plan.why += "; give --config with their [network], if theta knows it";
  }
  std::size_t offset = 0;
  for (const std::size_t i : order) {
    plan.layout.push_back({tensors[i].name, tensors[i].shape, offset});
    offset += elements_of(plan.layout.back());
  }
  return plan;
}

// A network's weights in the layout. Throws InputError where its tensors are others.
std::vector<float> flattened(const TensorTable &table, const Plan &plan, bool flat, const std::string &where,
                             const std::string &first) {
  if (flat)
    return table.tensors[0].values;
  std::vector<float> theta;
  std::map<std::string, const NamedTensor *> by_name;
  for (const NamedTensor &t : table.tensors)
    by_name[t.name] = &t;
  for (const TensorPlace &place : plan.layout) {
    const auto found = by_name.find(place.name);
    if (found == by_name.end() || found->second->shape != place.shape)
      throw InputError(where, ": found ",
                       found == by_name.end() ? "no '" + place.name + "'"
                                              : "'" + place.name + "' " + text_of(found->second->shape),
                       ", expected '", place.name, "' ", text_of(place.shape), " as in ", first);
    theta.insert(theta.end(), found->second->values.begin(), found->second->values.end());
  }
  if (by_name.size() != plan.layout.size())
    throw InputError(where, ": found ", by_name.size(), " tensors, expected ", plan.layout.size(), " as in ", first);
  return theta;
}

void stop_if_asked() { stop_if_interrupted("import"); }

// Calls f(name, theta, values of the file) for every network of every file.
template <class F>
void for_networks(const std::vector<NetworksFile> &files, const Plan &plan, Journal &journal, const char *what, F f) {
  Progress progress(journal, what, "files", double(files.size()));
  for (std::size_t i = 0; i < files.size(); ++i) {
    stop_if_asked();
    Networks networks = read_networks(files[i]);
    const std::string where = files[i].parts.front().string();
    if (plan.stacked)
      networks.each = unstacked(networks.each.front(), where);
    for (std::size_t k = 0; k < networks.each.size(); ++k)
      f(networks.each.size() == 1 ? files[i].name : fmt::format("{}#{}", files[i].name, k),
        flattened(networks.each[k], plan, networks.flattened, where, files.front().name),
        networks.values.empty() ? std::vector<ColumnValue>{} : networks.values[k]);
    progress.update(double(i + 1));
  }
}

} // namespace

std::size_t import_zoo(const ImportTask &task, Journal &journal) {
  const auto files = networks_files(task.directory, task.pattern);
  const Networks first = read_networks(files.front());
  const Plan plan = plan_of(first, task, files.front().parts.front().string());
  const std::size_t v = plan.layout.back().offset + elements_of(plan.layout.back());
  Metrics metrics;
  if (!task.metrics.empty())
    metrics = read_metrics(task.metrics);
  if (fs::exists(task.zoo / "index.json"))
    throw InputError(task.zoo.string(), ": found a zoo there, expected a new folder");
  const std::string beside = files.front().parts.front().string();
  check_columns(first.columns, beside);
  std::vector<Column> columns = metrics.columns;
  columns.insert(columns.end(), first.columns.begin(), first.columns.end());
  check_columns(columns, task.metrics.string() + " and " + beside);

  // First a look at all of them: what is not finite is dropped, and the zoo says so from its first shard on.
  std::vector<char> kept;
  std::string dropped;
  for_networks(files, plan, journal, "check",
               [&](const std::string &name, const std::vector<float> &theta, const auto &) {
                 if (theta.size() != v)
                   throw InputError((task.directory / name).string(), ": found a network of ", theta.size(),
                                    " weights, expected ", v, " as in ", files.front().name);
                 const auto bad = std::find_if(theta.begin(), theta.end(), [&](float x) {
                   return !std::isfinite(task.storage == Dtype::bf16 ? to_float(to_bf16(x)) : x);
                 });
                 kept.push_back(bad == theta.end());
                 if (!kept.back() && dropped.empty())
                   dropped = fmt::format("{}: '{}' holds {}", name,
                                         tensor_at(plan.layout, std::size_t(bad - theta.begin())).name, *bad);
                 if (kept.back() && !task.metrics.empty() && !metrics.rows.contains(name))
                   throw InputError(task.metrics.string(), ": found no line for ", name);
               });
  const auto sound = std::size_t(std::count(kept.begin(), kept.end(), 1));
  if (sound == 0)
    throw InputError(task.directory.string(), ": none of ", kept.size(), " networks is finite; ", dropped);
  if (sound < kept.size())
    journal.line(fmt::format("import: {} of {} networks are not finite, dropped; the first: {}", kept.size() - sound,
                             kept.size(), printable(dropped)));

  for (const std::string &name : metrics.left_out)
    journal.line(fmt::format("import: {}: column {}, left out", task.metrics.string(), printable(name)));
  if (!plan.shape)
    journal.line("import: the architecture is unknown: " + plan.why);

  ZooFormat format{plan.layout, v, task.storage, columns};
  const auto has = [&](const char *name) {
    return std::any_of(format.columns.begin(), format.columns.end(), [&](const Column &c) { return c.name == name; });
  };
  const bool add_run = !has("run"), add_held_out = !has("held_out");
  if (add_run)
    format.columns.push_back({"run", Dtype::i64});
  if (add_held_out)
    format.columns.push_back({"held_out", Dtype::i64});
  Json facts = {{"what", "imported"},
                {"architecture",
                 plan.shape ? parse_json(architecture_of(*plan.shape), "architecture") : Json{{"kind", "unknown"}}},
                {"source", (task.directory / task.pattern).string()}};
  if (sound < kept.size())
    facts["dropped"] = {{"not_finite", kept.size() - sound}, {"first", dropped}};
  format.facts = facts.dump(-1, ' ', false, Json::error_handler_t::replace);

  const FolderLock lock(task.zoo);
  ZooWriter writer(task.zoo, format, 65536);
  std::size_t seen = 0, written = 0;
  for_networks(files, plan, journal, "import",
               [&](const std::string &name, const std::vector<float> &theta, const std::vector<ColumnValue> &beside) {
                 if (!kept.at(seen++))
                   return;
                 std::vector<ColumnValue> values;
                 if (!task.metrics.empty())
                   values = metrics.rows.at(name);
                 if (beside.size() != first.columns.size())
                   throw InputError((task.directory / name).string(), ": found ", beside.size(),
                                    " columns beside its networks, expected ", first.columns.size(), " as in ",
                                    files.front().name);
                 values.insert(values.end(), beside.begin(), beside.end());
                 if (add_run)
                   values.emplace_back(std::int64_t(written));
                 if (add_held_out)
                   values.emplace_back(std::int64_t(is_held_out(long(written), task.held_out)));
                 writer.append(theta.data(), values);
                 ++written;
               });
  writer.finish();
  const auto &left_out = first.each.front().left_out;
  std::string names;
  for (const std::string &name : left_out)
    names += (names.empty() ? "" : ", ") + name;
  journal.line(fmt::format("import: {} networks of {} parameters in {}{}", written, v, task.zoo.string(),
                           left_out.empty() ? ""
                                            : fmt::format(" ({} entries of a file are no parameters, left out: {})",
                                                          left_out.size(), printable(names))));
  return written;
}

} // namespace theta
