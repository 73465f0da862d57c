#include "page_data.h"
#include "data/base64.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "engine/pipeline/stages/stage.h"
#include "engine/report/charts.h"
#include "engine/report/report.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/chrono.h>
#include <fmt/core.h>
#include <fstream>
#include <map>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_points = 200, most_steps = 300, most_entries = 16, most_picture_bytes = std::size_t(4) << 20;
constexpr int bins = 40;

std::string text_of_file(const fs::path &path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size()};
}

Json numbers_of(const Json &values) {
  Json kept = Json::array();
  for (std::size_t i = 0; i < std::min(most_points, values.size()); ++i) // five digits are more than a chart shows
    kept.push_back(values[i].is_number() ? Json(std::stod(fmt::format("{:.5g}", values[i].get<double>()))) : Json());
  return kept;
}

// Of all groups over one range, so that they compare.
void add_histograms(Json &groups, const Json &from, const std::string &name) {
  double low = INFINITY, high = -INFINITY;
  const auto each = [&](const Json &group, auto f) {
    if (group.contains("values") && group["values"].contains(name))
      for (const Json &value : group["values"][name])
        if (value.is_number())
          f(value.get<double>());
  };
  for (const Json &group : from)
    each(group, [&](double x) { low = std::min(low, x), high = std::max(high, x); });
  if (!(low < high))
    return;
  for (std::size_t g = 0; g < from.size(); ++g) {
    std::vector<int> count(bins, 0);
    each(from[g], [&](double x) { ++count[std::size_t(std::min(bins - 1, int((x - low) / (high - low) * bins)))]; });
    groups[g]["histograms"][name] = {{"low", number_in_json(low)}, {"high", number_in_json(high)}, {"count", count}};
  }
}

Json shown_groups(const Json &from) {
  Json groups = Json::array();
  for (const Json &each : from) {
    Json group = each;
    group.erase("values");
    Json points = Json::object();
    if (each.contains("values"))
      for (const char *name : {"accuracy", "loss", "max_iou", "nearest_l2"})
        if (each["values"].contains(name))
          points[name] = numbers_of(each["values"][name]);
    group["points"] = points, group["histograms"] = Json::object();
    groups.push_back(std::move(group));
  }
  for (const char *name : {"accuracy", "loss", "nearest_l2"})
    add_histograms(groups, from, name);
  return groups;
}

// Curves of metrics.jsonl by stage and number.
std::map<std::string, std::map<std::string, Curve>> curves_of(std::istream &metrics, Json &speed,
                                                              std::map<std::string, Json> &memory) {
  std::map<std::string, std::map<std::string, Curve>> curves;
  std::map<std::string, Json> speeds;
  for (std::string line; std::getline(metrics, line);) {
    const Json object = Json::parse(line, nullptr, false);
    if (!object.is_object())
      continue; // a line that is being written
    const std::string stage = object.value("stage", "");
    if (stage.ends_with(".speed")) {
      const std::string what = stage.substr(0, stage.size() - 6);
      Json &sum = speeds[what];
      if (sum.is_null() || object.value("step", 0.0) == 0)
        sum = {{"what", what}, {"unit", object.value("unit", "")}, {"done", 0.0}, {"seconds", 0.0}};
      for (const char *part : {"done", "seconds"})
        sum[part] = sum[part].get<double>() + object.value(part, 0.0);
      continue;
    }
    if (stage.ends_with(".memory")) {
      memory[stage.substr(0, stage.size() - 7)] = object;
      continue;
    }
    for (const auto &[name, value] : object.items())
      if (name != "stage" && name != "step" && value.is_number()) {
        Curve &curve = curves[stage][name];
        curve.x.push_back(object.value("step", 0.0)), curve.y.push_back(value.get<double>());
      }
  }
  for (auto &[what, sum] : speeds)
    speed.push_back(std::move(sum));
  return curves;
}

Curve thinned(const Curve &curve) {
  const Curve mean = mean_by_x(curve);
  Curve kept;
  const std::size_t n = mean.x.size(), each = std::max<std::size_t>(1, (n + most_steps - 1) / most_steps);
  for (std::size_t i = each - 1; i < n; i += each) { // the mean of so many
    double sum = 0;
    for (std::size_t j = i + 1 - each; j <= i; ++j)
      sum += mean.y[j] / double(each);
    kept.x.push_back(mean.x[i]), kept.y.push_back(sum);
  }
  return kept;
}

Json memory_of(const Config &config, Backend backend, const std::map<std::string, Json> &measured) {
  Json all = Json::array();
  std::vector<MemoryPlan> plans;
  try {
    plans = plans_of(config, backend);
  } catch (const InputError &) { // the zoo or the data are not here any more
  }
  for (const MemoryPlan &plan : plans) {
    Json entries = Json::array();
    auto largest = largest_of(plan, most_entries);
    std::stable_sort(largest.begin(), largest.end(), [](auto *a, auto *b) { return a->offset < b->offset; });
    for (const auto *e : largest)
      entries.push_back({{"name", e->name},
                         {"kind", name_of(e->kind)},
                         {"bytes", e->bytes},
                         {"offset", e->offset},
                         {"born", e->born},
                         {"died", e->died}});
    all.push_back({{"stage", plan.name()},
                   {"bytes", plan.bytes_on(backend)},
                   {"device_bytes", plan.device_bytes()},
                   {"ticks", plan.ticks()},
                   {"entries", entries}});
  }
  for (const auto &[stage, object] : measured)
    for (Json &each : all)
      if (each["stage"].get<std::string>() == stage || each["stage"].get<std::string>().starts_with(stage + ".")) {
        each["peak"] = object.value("peak_bytes", 0.0);
        break;
      }
  return all;
}

void add_pictures(Json &pictures, const fs::path &folder) {
  const std::pair<const char *, const char *> all[] = {
      {"generated.png", "Generated networks, drawn"},
      {"nearest.png", "Generated networks, and what they have seen that is nearest"},
      {"fields.png", "Training networks, drawn"},
      {"first_layer.png", "First-layer weights: generated networks, each above the training network nearest to it, a "
                          "column a hidden unit"},
      {"written.png",
       "What networks write that were told one class alone: trained ones, and below them generated ones"},
      {"trajectories.png", "Ways through weight space, over the loss"}};
  for (const auto &[name, title] : all)
    if (fs::exists(folder / name) && fs::file_size(folder / name) <= most_picture_bytes)
      pictures.push_back({{"title", title}, {"png", base64(text_of_file(folder / name))}});
}

std::string date_of(const fs::path &path) {
  const auto when = std::chrono::file_clock::to_sys(fs::last_write_time(path));
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(seconds));
}

} // namespace

Json page_data_of(const fs::path &run) {
  if (!fs::exists(run / "config.toml"))
    throw InputError(run.string(), ": found no config.toml, expected the folder of a run");
  const Config config = load_config(run / "config.toml");
  Json page{{"theta page", 1}, {"name", config.name}, {"theta", ""}, {"device", ""}};
  if (fs::exists(run / "run.json")) {
    const Json about = json_file(run / "run.json");
    page["theta"] = about.value("theta", ""), page["device"] = about.value("device", "");
  }
  const fs::path eval = run / "eval.json";
  page["date"] = date_of(fs::exists(eval) ? eval : run / "config.toml");
  page["config"] = text_of_file(run / "config.toml");
  page["groups"] = Json::array();
  if (fs::exists(eval)) {
    const Json found = json_file(eval);
    if (found.contains("groups"))
      page["groups"] = shown_groups(found["groups"]);
  }
  page["losses"] = Json::array(), page["probes"] = Json::array(), page["speed"] = Json::array();
  std::ifstream metrics(run / "metrics.jsonl");
  std::map<std::string, Json> memory;
  for (const auto &[stage, curves] : curves_of(metrics, page["speed"], memory))
    for (const auto &[name, curve] : curves) {
      const Curve kept = thinned(curve);
      if (name == "train_loss" || name == "mse")
        page["losses"].push_back(
            {{"stage", stage}, {"unit", name}, {"step", list_in_json(kept.x)}, {"value", list_in_json(kept.y)}});
      else if (stage.ends_with(".probe"))
        page["probes"].push_back(
            {{"stage", stage}, {"unit", name}, {"step", list_in_json(kept.x)}, {"value", list_in_json(kept.y)}});
    }
  page["memory"] =
      memory_of(config, page["device"].get<std::string>().starts_with("cuda") ? Backend::cuda : Backend::cpu, memory);
  page["trajectories"] = nullptr;
  if (fs::exists(run / "trajectories.json")) {
    page["trajectories"] = json_file(run / "trajectories.json");
    page["trajectories"].erase("grid"), page["trajectories"].erase("key"); // the picture shows the loss
  }
  page["pictures"] = Json::array();
  add_pictures(page["pictures"], run / "report");
  return page;
}

Json read_page_data(const fs::path &path) {
  Json page = json_file(path);
  if (!page.is_object() || page.value("theta page", 0) != 1)
    throw InputError(path.string(),
                     ": found no page's data, expected the folder of a run or what `theta report` wrote");
  return page;
}

} // namespace theta
