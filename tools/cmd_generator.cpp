// theta generator info FILE: what a generator is, and what it can be conditioned on.
#include "data/json.h"
#include "engine/generators/generator.h"
#include "engine/generators/generator_file.h"
#include "tools/options.h"
#include <fmt/core.h>

namespace theta {

namespace {

void print_generator(const std::filesystem::path &path, bool as_json) {
  const Safetensors file(path);
  const Json about = parse_json(file.metadata("theta"), path.string());
  const auto kind = field<std::string>(about, "kind", path.string());
  const auto architectures = architectures_of(about, path.string());
  const Generators all;
  const Generator *of = all.made(kind);
  if (!of)
    throw InputError(path.string(), ": kind: found '", kind, "', expected a generator that this theta has");
  Json told = Json::array();
  for (const Tellable &t : of->tellable(path))
    told.push_back(t.classes > 0 ? Json{{"name", t.name}, {"classes", t.classes}}
                                 : Json{{"name", t.name}, {"low", t.low}, {"high", t.high}});
  if (as_json) {
    Json facts = about;
    facts["told"] = told;
    fmt::print("{}\n", facts.dump(1));
    return;
  }
  fmt::print("{}: {}, {} tensors, {}\n", path.string(), kind, file.tensors().size(),
             text_of_bytes(std::filesystem::file_size(path)));
  for (const ZooFormat &networks : architectures) {
    const Json facts = parse_json(networks.facts, path.string());
    fmt::print("  {} networks of {} parameters: {}\n", architectures.size() > 1 ? "has learned" : "makes",
               networks.parameters, facts.contains("architecture") ? facts["architecture"].dump() : "unknown");
  }
  for (const auto &t : told)
    if (t.contains("classes"))
      fmt::print("  conditioned on {}: a label from 0 to {}\n", t["name"].get<std::string>(),
                 t["classes"].get<int>() - 1);
    else
      fmt::print("  conditioned on {}: it has seen {:.4g} to {:.4g}\n", t["name"].get<std::string>(),
                 t["low"].get<double>(), t["high"].get<double>());
  if (told.empty())
    fmt::print("  takes no conditions\n");
  fmt::print("  settings:\n");
  if (about.contains("config"))
    for (const auto &[name, value] : about["config"].items())
      fmt::print("    {} = {}\n", printable(name), printable(value.dump()));
}

} // namespace

void add_generator_commands(CLI::App &app, Action &action) {
  auto *generator = app.add_subcommand("generator", "look at generators");
  generator->require_subcommand(1);
  auto path = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  auto *info =
      generator->add_subcommand("info", "what a generator is, and what it can be conditioned on, over which range");
  info->add_option("FILE", *path, "generator.safetensors of a run")->required();
  info->add_flag("--json", *json, "print the same facts as JSON");
  info->callback([&action, path, json] { action = [path, json] { print_generator(*path, *json); }; });
}

} // namespace theta
