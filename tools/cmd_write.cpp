// theta write ZOO: what a language model writes.
#include "data/text.h"
#include "engine/generators/network_facts.h"
#include "engine/networks/subset.h"
#include "engine/tasks/text/writer.h"
#include "tools/options.h"
#include <fmt/core.h>

namespace theta {

namespace {

namespace fs = std::filesystem;

struct Writing {
  std::string zoo, start = "\n", trunk, device = "auto";
  std::size_t row = 0, rows = 1;
  int characters = 300;
  double temperature = 0.8;
  std::uint64_t seed = 1;
};

// The folder with the trunk of a zoo's networks: its own, or of samples that of the zoo beside them.
fs::path home_of_trunk(const Writing &w) {
  const fs::path zoo(w.zoo);
  for (const fs::path &home : {fs::path(w.trunk), zoo, zoo.lexically_normal().parent_path() / "zoo"})
    if (!home.empty() && fs::exists(home / trunk_folder / "index.json"))
      return home;
  throw InputError("write: ", w.zoo, " holds branches of a trunk, expected --trunk, the folder of the zoo that has it");
}

void write(const Writing &w) {
  const ZooReader zoo(w.zoo);
  NetworkFacts facts = network_facts(zoo.format(), w.zoo);
  if (!facts.shape)
    throw InputError(w.zoo, ": holds networks of an unknown architecture, expected language models");
  if (w.row >= zoo.rows())
    throw InputError("--row: found ", w.row, ", expected less than ", zoo.rows(), ", the rows of ", w.zoo);
  const auto alphabet = alphabet_of_zoo(zoo.format().facts, w.zoo);
  if (is_subset(*facts.shape))
    facts.shape = on_trunk_of(*facts.shape, home_of_trunk(w));
  TextWriter writer(*facts.shape, Device::parse(w.device));
  const auto start = codes_of(alphabet, w.start);
  std::vector<float> theta(zoo.parameters());
  for (std::size_t row = w.row; row < std::min(w.row + w.rows, zoo.rows()); ++row) {
    zoo.theta(row, theta.data());
    const auto made = writer.write(theta, start, w.characters, w.temperature, w.seed, std::uint32_t(row));
    if (w.rows > 1)
      fmt::print("-- row {}\n", row);
    fmt::print("{}{}\n", w.start == "\n" ? "" : text_of(alphabet, start), text_of(alphabet, made));
  }
}

} // namespace

void add_write_command(CLI::App &app, Action &action) {
  auto wanted = std::make_shared<Writing>();
  auto *command = app.add_subcommand("write", "text as a language model of a zoo, or a generated one, writes it");
  command->add_option("ZOO", wanted->zoo, "folder of the zoo, or of samples")->required();
  command->add_option("--row", wanted->row, "which network (default the first)");
  command->add_option("--rows", wanted->rows, "how many from that one on (default 1)")->check(CLI::Range(1, 100000));
  command->add_option("--start", wanted->start, "how the text begins (default a new line)");
  command->add_option("--characters", wanted->characters, "how many more (default 300)")->check(CLI::Range(1, 1000000));
  command->add_option("--temperature", wanted->temperature, "what scores are divided by; 0: always the likeliest (0.8)")
      ->check(CLI::Range(0.0, 100.0));
  command->add_option("--seed", wanted->seed, "of what is drawn (default 1)");
  command->add_option("--trunk", wanted->trunk, "of branches: the zoo whose trunk is theirs (default their own)");
  command->add_option("--device", wanted->device, "auto, cpu, cuda or cuda:N");
  command->callback([&action, wanted] { action = [wanted] { write(*wanted); }; });
}

} // namespace theta
