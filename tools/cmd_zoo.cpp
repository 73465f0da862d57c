// theta zoo train CONFIG | info ZOO | verify ZOO.
#include "data/json.h"
#include "engine/analysis/statistics.h"
#include "tools/options.h"
#include <fmt/core.h>
#include <set>

namespace theta {

namespace {

Json facts_of(const ZooReader &zoo) {
  const auto &format = zoo.format();
  Json layout = Json::array(), columns = Json::object();
  for (const auto &place : format.layout)
    layout.push_back({{"name", place.name}, {"shape", place.shape}, {"offset", place.offset}});
  for (const auto &column : format.columns)
    if (column.dtype == Dtype::f32) {
      const Summary s = summarise(zoo.floats(column.name));
      columns[column.name] = {{"mean", s.mean}, {"std", s.std}, {"min", s.min}, {"max", s.max}};
    } else {
      const auto values = zoo.integers(column.name);
      const std::set<std::int64_t> distinct(values.begin(), values.end());
      columns[column.name] = {{"distinct", distinct.size()},
                              {"min", distinct.empty() ? 0 : *distinct.begin()},
                              {"max", distinct.empty() ? 0 : *distinct.rbegin()}};
    }
  Json facts = {{"path", zoo.path().string()},
                {"rows", zoo.rows()},
                {"parameters", zoo.parameters()},
                {"dtype", name_of(format.dtype)},
                {"bytes", zoo.bytes()},
                {"layout", layout},
                {"columns", columns}};
  facts["facts"] = parse_json(format.facts, zoo.path().string());
  return facts;
}

void print_info(const ZooReader &zoo) {
  const Json j = facts_of(zoo);
  fmt::print("{}: {} networks of {} parameters, {}, {}\n", zoo.path().string(), zoo.rows(), zoo.parameters(),
             name_of(zoo.format().dtype), text_of_bytes(zoo.bytes()));
  for (const auto &place : zoo.format().layout)
    fmt::print("  {:<12} {:<12} at {}\n", place.name, text_of(place.shape), place.offset);
  for (const auto &[name, column] : j["columns"].items())
    if (column.contains("mean"))
      fmt::print("  {:<14} mean {:.4f}, std {:.4f}, {:.4f} to {:.4f}\n", name, column["mean"].get<double>(),
                 column["std"].get<double>(), column["min"].get<double>(), column["max"].get<double>());
    else
      fmt::print("  {:<14} {} distinct, {} to {}\n", name, column["distinct"].get<std::size_t>(),
                 column["min"].get<std::int64_t>(), column["max"].get<std::int64_t>());
  const Json &facts = j["facts"];
  if (zoo.has_column("run") && facts.contains("networks")) {
    const auto kept = j["columns"]["run"]["distinct"].get<long>(), asked = facts["networks"].get<long>();
    fmt::print("  runs: {} trained, {} diverged and were dropped\n", asked, asked - kept);
  }
  fmt::print("  facts: {}\n", facts.dump());
}

void verify(const ZooReader &zoo) {
  const auto corrupt = zoo.corrupt_rows();
  if (!corrupt.empty())
    throw InputError(zoo.path().string(), ": row ", corrupt.front(), " and ", corrupt.size() - 1, " more of ",
                     zoo.rows(), " do not match their checksums");
  fmt::print("{}: {} rows match their checksums\n", zoo.path().string(), zoo.rows());
}

} // namespace

void add_zoo_commands(CLI::App &app, Action &action) {
  auto *zoo = app.add_subcommand("zoo", "train and look at zoos");
  zoo->require_subcommand(1);
  auto *train = zoo->add_subcommand("train", "train the zoo of a configuration");
  auto options = std::make_shared<RunOptions>();
  options->add_to(*train);
  train->callback([&action, options] { action = [options] { Stages(options->run()).zoo(); }; });

  auto path = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  auto *info = zoo->add_subcommand("info", "what a zoo holds");
  info->add_option("ZOO", *path, "folder of a zoo")->required();
  info->add_flag("--json", *json, "print the same facts as JSON");
  info->callback([&action, path, json] {
    action = [path, json] {
      const ZooReader reader(*path);
      *json ? fmt::print("{}\n", facts_of(reader).dump(1)) : print_info(reader);
    };
  });
  auto *check = zoo->add_subcommand("verify", "check every row against its checksum");
  check->add_option("ZOO", *path, "folder of a zoo")->required();
  check->callback([&action, path] { action = [path] { verify(ZooReader(*path)); }; });
}

} // namespace theta
