// theta zoo train CONFIG | info ZOO | verify ZOO | align ZOO TO | import FOLDER ZOO | export ZOO FOLDER.
#include "data/json.h"
#include "engine/analysis/statistics.h"
#include "engine/report/zoo_sheet.h"
#include "engine/training/interrupt.h"
#include "engine/training/journal.h"
#include "engine/zoo/align.h"
#include "engine/zoo/export.h"
#include "engine/zoo/import.h"
#include "tools/options.h"
#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <numeric>
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
                {"not_finite", zoo.not_finite().size()},
                {"layout", layout},
                {"columns", columns}};
  facts["facts"] = parse_json(format.facts, zoo.path().string());
  return facts;
}

std::string indented(const std::string &text) {
  std::string out;
  for (const char c : text)
    out += c == '\n' ? std::string("\n    ") : std::string(1, c);
  while (out.ends_with(' ') || out.ends_with('\n'))
    out.pop_back();
  return out;
}

// Quantiles of the accuracies, and how many networks fall between them, as bars.
void print_accuracies(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double q) { return 100 * values[std::size_t(q * double(values.size() - 1) + 0.5)]; };
  fmt::print("  test accuracy, quantiles:");
  for (const double q : {0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0})
    fmt::print("  {:.0f} %: {:.2f}", 100 * q, quantile(q));
  fmt::print("\n");
  constexpr int bins = 12, width = 50;
  const double low = values.front(), step = (double(values.back()) - low) / bins;
  if (!(step > 0))
    return;
  std::array<std::size_t, bins> count{};
  for (const float v : values)
    ++count[std::size_t(std::clamp(int((v - low) / step), 0, bins - 1))];
  const auto most = double(*std::max_element(count.begin(), count.end()));
  for (int b = 0; b < bins; ++b)
    fmt::print("    {:6.2f} to {:6.2f} % {:>7} {}\n", 100 * (low + b * step), 100 * (low + (b + 1) * step),
               count[std::size_t(b)], std::string(std::size_t(width * double(count[std::size_t(b)]) / most), '#'));
}

void print_info(const ZooReader &zoo) {
  const Json j = facts_of(zoo);
  const Json &facts = j["facts"];
  fmt::print("{}: {} networks of {} parameters, {}, {}\n", zoo.path().string(), zoo.rows(), zoo.parameters(),
             name_of(zoo.format().dtype), text_of_bytes(zoo.bytes()));
  if (const auto bad = j["not_finite"].get<std::size_t>(); bad > 0)
    fmt::print("  {} networks hold a value that is not finite\n", bad);
  fmt::print("  architecture: {}\n", facts.contains("architecture") ? facts["architecture"].dump() : "unknown");
  for (const auto &place : zoo.format().layout)
    fmt::print("    {:<14} {:<12} at {}\n", printable(place.name), text_of(place.shape), place.offset);
  if (zoo.has_column("run") && facts.contains("networks")) {
    const auto kept = j["columns"]["run"]["distinct"].get<long>(), asked = facts["networks"].get<long>();
    fmt::print("  runs: {} trained, {} diverged and were dropped\n", asked, asked - kept);
  }
  std::string same; // columns that say the same of every network
  for (const auto &[name, column] : j["columns"].items()) {
    const bool one = column["min"] == column["max"];
    const bool named = facts.contains("names") && facts["names"].contains(name);
    if (one && named)
      same +=
          fmt::format("  {} = {}", name, facts["names"][name].at(column["min"].get<std::size_t>()).get<std::string>());
    else if (one)
      same += fmt::format("  {} = {}", name, column["min"].dump());
    else if (column.contains("mean"))
      fmt::print("  {:<15} mean {:.4g}, std {:.4g}, {:.4g} to {:.4g}\n", printable(name), column["mean"].get<double>(),
                 column["std"].get<double>(), column["min"].get<double>(), column["max"].get<double>());
    else
      fmt::print("  {:<15} {} distinct, {} to {}\n", printable(name), column["distinct"].get<std::size_t>(),
                 column["min"].get<std::int64_t>(), column["max"].get<std::int64_t>());
  }
  if (!same.empty())
    fmt::print("  the same for all:{}\n", same);
  if (zoo.has_column("test_accuracy"))
    print_accuracies(zoo.floats("test_accuracy"));
  if (facts.contains("recipe"))
    fmt::print("  recipe:\n    {}\n", indented(facts["recipe"].get<std::string>()));
  for (const auto &[name, fact] : facts.items())
    if (name != "recipe" && name != "names" && name != "architecture")
      fmt::print("  {}: {}\n", name, fact.dump());
}

void verify(const ZooReader &zoo) {
  Journal journal;
  std::vector<std::size_t> corrupt, part;
  std::vector<ZooReader::NotFinite> bad;
  Progress progress(journal, "verify", "rows", double(zoo.rows()));
  const std::size_t at_once = std::clamp(zoo.rows() / 100, std::size_t(1), std::size_t(1000));
  for (std::size_t first = 0; first < zoo.rows(); first += part.size()) {
    stop_if_interrupted("verify");
    part.resize(std::min(at_once, zoo.rows() - first));
    std::iota(part.begin(), part.end(), first);
    const auto wrong = zoo.corrupt_rows(first, part.size());
    corrupt.insert(corrupt.end(), wrong.begin(), wrong.end());
    const auto found = zoo.not_finite(part);
    bad.insert(bad.end(), found.begin(), found.end());
    progress.update(double(first + part.size()), "");
  }
  if (!corrupt.empty())
    throw InputError(zoo.path().string(), ": row ", corrupt.front(), " and ", corrupt.size() - 1, " more of ",
                     zoo.rows(), " do not match their checksums");
  if (!bad.empty())
    throw InputError(zoo.path().string(), ": row ", bad[0].row, ": '", bad[0].tensor, "' holds ", bad[0].value,
                     ", and so do ", bad.size() - 1, " more of ", zoo.rows(), " rows, expected finite numbers");
  fmt::print("{}: {} rows match their checksums\n", zoo.path().string(), zoo.rows());
}

void add_exchange_commands(CLI::App &zoo, Action &action) {
  auto task = std::make_shared<ImportTask>();
  auto storage = std::make_shared<std::string>("f32");
  auto *take_in = zoo.add_subcommand("import", "make a zoo of networks in other programs' files");
  take_in
      ->add_option("FOLDER", task->directory,
                   "where the files are (.safetensors, .pt, .pth, .npy, .npz), or one of them")
      ->required();
  take_in->add_option("ZOO", task->zoo, "folder of the zoo to write")->required();
  take_in->add_option("--pattern", task->pattern,
                      "names of the files, as a shell's pattern: 'run-*/last.pt' (default all)");
  take_in->add_option("--metrics", task->metrics, "CSV file: a header, then a line for each file with numbers");
  take_in->add_option("--activation", task->activation, "of the hidden layers, where the networks are perceptrons");
  auto config = std::make_shared<std::string>();
  take_in->add_option("--config", *config, "a configuration whose [network] says what the networks are");
  take_in->add_option("--held-out", task->held_out, "share of networks that generators never see (default 0.5)")
      ->check(CLI::Range(0.0, 0.95));
  take_in->add_option("--storage", *storage, "f32 or bf16")->check(CLI::IsMember({"f32", "bf16"}));
  take_in->callback([&action, task, storage, config] {
    action = [task, storage, config] {
      task->storage = *storage == "bf16" ? Dtype::bf16 : Dtype::f32;
      if (!config->empty()) {
        task->network = load_config(*config).network;
        if (!task->activation.empty())
          task->network->act = activation_named(task->activation);
      }
      Journal journal({}, Journal::Without::terminal);
      import_zoo(*task, journal);
    };
  });

  auto path = std::make_shared<std::string>(), folder = std::make_shared<std::string>();
  auto *give_out = zoo.add_subcommand("export", "write each network as a safetensors file with PyTorch's names");
  give_out->add_option("ZOO", *path, "folder of a zoo")->required();
  give_out->add_option("FOLDER", *folder, "where the files go")->required();
  give_out->callback([&action, path, folder] {
    action = [path, folder] {
      Journal journal({}, Journal::Without::terminal);
      export_zoo(ZooReader(*path), *folder, journal);
    };
  });
}

} // namespace

namespace {

constexpr const char *parts_folder = "parts";

Run run_of_zoo(RunOptions &options, double networks) {
  if (networks > 0)
    options.set.push_back(fmt::format("zoo.networks={:.0f}", networks));
  Run run = options.run();
  run.stage = "zoo";
  return run;
}

} // namespace

void add_zoo_commands(CLI::App &app, Action &action) {
  auto *zoo = app.add_subcommand("zoo", "train and look at zoos");
  zoo->require_subcommand(1);
  auto *train = zoo->add_subcommand("train", "train the zoo of a configuration");
  auto options = std::make_shared<RunOptions>();
  options->add_to(*train);
  auto networks = std::make_shared<double>(0);
  train->add_option("--networks", *networks, "how many runs, for zoo.networks: 1e6")->check(CLI::Range(1.0, 1e9));
  auto part = std::make_shared<std::string>();
  train->add_option("--part", *part, "3/16: the third of sixteen parts alone, in a folder parts/3-of-16 of the run's");
  train->callback([&action, options, networks, part] {
    action = [options, networks, part] {
      Run run = run_of_zoo(*options, *networks);
      if (!part->empty()) {
        run.part = zoo_part_of(*part);
        check_part(run.part, run.config.zoo.recipe);
        if (!run.config.others.empty())
          throw InputError("--part: found ", *part, ", expected a configuration of one architecture");
        run.out = run.out / parts_folder / folder_of(run.part);
      }
      Pipeline(std::move(run)).run("zoo");
    };
  });
  auto *join = zoo->add_subcommand("join", "make one zoo of the parts that were trained with --part");
  auto whole = std::make_shared<RunOptions>();
  whole->add_to(*join);
  auto joined = std::make_shared<double>(0);
  join->add_option("--networks", *joined, "as parts were trained with")->check(CLI::Range(1.0, 1e9));
  join->callback([&action, whole, joined] {
    action = [whole, joined] {
      const Run run = run_of_zoo(*whole, *joined);
      const auto parts = run.out / parts_folder;
      Pipeline pipeline(run);
      Member &member = *pipeline.members()[0];
      join_parts(parts, member.zoo_path(), member.key("zoo"), pipeline.journal());
    };
  });

  auto path = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  auto sheet = std::make_shared<std::string>();
  auto *info = zoo->add_subcommand("info", "what a zoo holds");
  info->add_option("ZOO", *path, "folder of a zoo")->required();
  info->add_flag("--json", *json, "print the same facts as JSON");
  info->add_option("--sheet", *sheet, "write a picture of the zoo here (default ZOO.png; with --json none)");
  info->callback([&action, path, json, sheet] {
    action = [path, json, sheet] {
      const ZooReader reader(*path);
      *json ? fmt::print("{}\n", facts_of(reader).dump(1)) : print_info(reader);
      if (*json && sheet->empty())
        return;
      std::filesystem::path picture = *sheet;
      if (picture.empty())
        picture = (reader.path() / "").parent_path().string() + ".png";
      try {
        draw_zoo_sheet(picture, reader);
      } catch (const Error &e) {
        if (!sheet->empty())
          throw;
        fmt::print("  no picture beside it: {}\n", e.what()); // what was asked for is above
        return;
      }
      if (!*json)
        fmt::print("  picture: {}\n", picture.string());
    };
  });
  auto *check = zoo->add_subcommand("verify", "check every row against its checksum");
  check->add_option("ZOO", *path, "folder of a zoo")->required();
  check->callback([&action, path] { action = [path] { verify(ZooReader(*path)); }; });
  auto to = std::make_shared<std::string>();
  auto reference = std::make_shared<std::size_t>(0);
  auto balances = std::make_shared<bool>(false);
  auto *order = zoo->add_subcommand("align", "write a zoo of the same networks with their units in one order");
  order->add_option("ZOO", *path, "folder of a zoo")->required();
  order->add_option("TO", *to, "folder of the zoo to write")->required();
  order->add_option("--to", *reference, "row whose units the others' are brought to (default 0)");
  order->add_flag("--balance", *balances, "units' scales or signs are made alike first");
  order->callback([&action, path, to, reference, balances] {
    action = [path, to, reference, balances] {
      Journal journal({}, Journal::Without::terminal);
      align_zoo(ZooReader(*path), *to, *reference, *balances, journal);
    };
  });
  add_exchange_commands(*zoo, action);
}

} // namespace theta
