#include "study.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "engine/analysis/statistics.h"
#include "engine/report/charts.h"
#include "engine/settings/toml_keys.h"
#include <algorithm>
#include <fmt/core.h>
#include <fstream>
#include <map>
#include <set>

namespace theta {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> parts_of(const std::string &text, char mark) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(mark, at), text.size());
    std::string part = text.substr(at, end - at);
    part.erase(0, std::min(part.find_first_not_of(' '), part.size()));
    part.erase(part.find_last_not_of(' ') + 1);
    parts.push_back(std::move(part));
    at = end + 1;
  }
  return parts;
}

// Of a folder: what is no letter, digit, point or hyphen is one stroke.
std::string folder_of(const std::vector<std::string> &set) {
  std::string name;
  for (const std::string &override : set)
    for (const char c : (name.empty() ? "" : "_") + override)
      if (std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-')
        name += c;
      else if (!name.ends_with('_'))
        name += '_';
  constexpr std::size_t most = 200;
  return name.empty() ? "run" : name.substr(0, most);
}

fs::path folder_of(const fs::path &out, const StudyRun &run) { return out / run.name; }

// What the groups of an eval.json have of that name: a number or a word; null where there is none.
Json figure_in(const Json &groups, const std::string &figure) {
  for (const Json &group : groups) {
    const std::string name = group.value("name", "") + "."; // a group's name may hold points: noise_0.03
    if (!figure.starts_with(name))
      continue;
    const Json *at = &group;
    for (const std::string &key : parts_of(figure.substr(name.size()), '.'))
      at = at && at->is_object() && at->contains(key) ? &(*at)[key] : nullptr;
    if (at && at->is_number())
      return number_in_json(at->get<double>());
    if (at && at->is_string())
      return *at;
  }
  return nullptr;
}

Json figures_of(const Study &study, const fs::path &folder) {
  Json figures = Json::object();
  for (const fs::path &member : members_in(folder)) {
    const Json eval = json_file(member / "eval.json"), groups = field<Json>(eval, "groups", member.string());
    const std::string prefix = member == folder ? "" : member.filename().string() + ".";
    for (const std::string &figure : study.figures)
      if (figure.starts_with(prefix))
        figures[figure] = figure_in(groups, figure.substr(prefix.size()));
  }
  return figures;
}

// Over the steps at which training told of its samples: of each curve, and "step" itself.
std::map<std::string, std::vector<double>> curves_of(const Study &study, const fs::path &folder) {
  std::map<std::string, std::vector<double>> curves;
  std::ifstream file(folder / "metrics.jsonl");
  for (std::string line; !study.curves.empty() && std::getline(file, line);) {
    const Json told = parse_json(line, (folder / "metrics.jsonl").string());
    if (told.value("stage", "") != "fit.probe")
      continue;
    curves["step"].push_back(told.value("step", 0.0));
    for (const std::string &name : study.curves)
      curves[name].push_back(told.contains(name) ? number_from(told[name]) : Estimate::none);
  }
  return curves;
}

void draw_curves(const Study &study, const fs::path &out) {
  std::vector<Canvas> charts;
  for (const std::string &name : study.curves) {
    std::vector<Curve> lines;
    for (const StudyRun &run : study.runs) {
      auto curves = curves_of(study, folder_of(out, run));
      lines.push_back({run.name, std::move(curves["step"]), std::move(curves[name])});
    }
    charts.push_back(line_chart({name, "steps of training", name, true}, lines));
  }
  if (!charts.empty())
    stacked(charts).save(out / "curves.png");
}

} // namespace

bool is_study(const fs::path &path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("base =") || line.starts_with("base="))
      return true;
  return false;
}

Study load_study(const fs::path &path, const std::vector<std::string> &overrides) {
  Study study{.name = path.stem().string(), .base = {}, .runs = {}, .figures = {}};
  std::string base;
  std::vector<std::string> set, vary, also;
  read_toml(path, {}, [&](Keys &keys) {
    keys.section("");
    keys({"base", "the configuration that is run"}, base), keys({"set", "KEY=VALUE that all runs have"}, set),
        keys({"vary", "alternatives, A=1 | A=2, of which every combination is run"}, vary),
        keys({"also", "further runs"}, also),
        keys({"figures", "what is laid side by side: GROUP.FIGURE of eval.json"}, study.figures),
        keys({"curves", "what is drawn over the steps of training, of its samples meanwhile"}, study.curves);
  });
  study.base = path.parent_path() / base;
  if (base.empty())
    throw InputError(path.string(), ": base: found nothing, expected a configuration");
  set.insert(set.end(), overrides.begin(), overrides.end());
  // A run with the overrides of an alternative as well: A=1 & B=2.
  const auto with = [&](StudyRun run, const std::string &alternative) {
    for (std::string &override : parts_of(alternative, '&')) {
      if (override.find('=') == std::string::npos)
        throw InputError(path.string(), ": vary: found '", override, "', expected KEY=VALUE");
      run.set.push_back(std::move(override));
    }
    return run;
  };
  study.runs.push_back({"", {}});
  for (const std::string &axis : vary) {
    std::vector<StudyRun> more;
    for (const StudyRun &run : study.runs)
      for (const std::string &alternative : parts_of(axis, '|'))
        more.push_back(with(run, alternative));
    study.runs = std::move(more);
  }
  for (const std::string &alternative : also)
    study.runs.push_back(with({"", {}}, alternative));
  std::set<std::string> names{"zoo", "study.json"};
  std::vector<std::string> zoos; // that differ
  for (StudyRun &run : study.runs) {
    run.name = folder_of(run.set);
    if (!names.insert(run.name).second)
      throw InputError(path.string(), ": vary: found two runs named ", run.name, ", expected different ones");
    run.set.insert(run.set.begin(), set.begin(), set.end());
    const Config config = load_config(study.base, run.set);
    const std::string zoo = text(config.seed, '\n', zoo_text(config));
    const auto known = std::find(zoos.begin(), zoos.end(), zoo);
    const auto number = known - zoos.begin() + 1;
    run.zoo = number == 1 ? "zoo" : text("zoo_", number);
    if (known == zoos.end())
      zoos.push_back(zoo);
  }
  return study;
}

void run_study(const Study &study, const fs::path &out, Device device, std::optional<std::size_t> memory_budget,
               const std::string &version) {
  Json done = Json::array();
  for (std::size_t i = 0; i < study.runs.size(); ++i) {
    const StudyRun &run = study.runs[i];
    const fs::path folder = folder_of(out, run);
    say(fmt::format("study: run {} of {}, {}\n", i + 1, study.runs.size(), run.name));
    Pipeline({.config = load_config(study.base, run.set),
              .out = folder,
              .device = device,
              .memory_budget = memory_budget,
              .version = version,
              .zoo = out / run.zoo})
        .all();
    done.push_back({{"name", run.name}, {"set", run.set}, {"figures", figures_of(study, folder)}});
    if (!study.curves.empty())
      done.back()["curves"] = curves_of(study, folder);
    write_file(out / "study.json",
               Json{{"study", study.name}, {"base", study.base.string()}, {"runs", done}}.dump(1) + "\n");
  }
  draw_curves(study, out);
}

std::string table_of(const Study &study, const fs::path &out) {
  std::size_t wide = 4;
  for (const StudyRun &run : study.runs)
    wide = std::max(wide, run.name.size());
  std::string table = fmt::format("{:<{}}", "run", wide);
  for (const std::string &figure : study.figures)
    table += fmt::format("  {:>12}", figure);
  for (const StudyRun &run : study.runs) {
    table += fmt::format("\n{:<{}}", run.name, wide);
    const Json figures = figures_of(study, folder_of(out, run));
    for (const auto &[figure, value] : figures.items())
      table += fmt::format("  {:>{}}",
                           value.is_number()   ? fmt::format("{:.4g}", value.get<double>())
                           : value.is_string() ? value.get<std::string>()
                                               : "-",
                           std::max<std::size_t>(12, figure.size()));
  }
  for (const std::string &name : study.curves) {
    table += fmt::format("\n\n{:<{}}", name, wide);
    bool first = true;
    for (const StudyRun &run : study.runs) {
      const auto curves = curves_of(study, folder_of(out, run));
      if (curves.empty())
        continue;
      for (const double step : first ? curves.at("step") : std::vector<double>())
        table += fmt::format("  {:>8}", step);
      first = false;
      table += fmt::format("\n{:<{}}", run.name, wide);
      for (const double value : curves.at(name))
        table += fmt::format("  {:>8.4g}", value);
    }
  }
  return table + "\n";
}

} // namespace theta
