// A run's configuration: TOML in, checked structs out, and back.
#pragma once
#include "data/dataset.h"
#include "engine/generators/generator.h"
#include "engine/networks/coded.h"
#include "engine/networks/network.h"
#include "engine/settings/key_list.h"
#include "engine/tasks/eval_config.h"
#include "engine/zoo/recipe.h"
#include <filesystem>

namespace theta {

struct DataConfig {
  std::string name = "fashion-mnist", folder;
  int pool = 1, validation = 5000, solids = 1024, points = 16384;
  int side = 28, channels = 0;
  std::string alphabet = "folded";
  std::vector<int> labels;
  std::vector<std::string> families{"union"};
  std::string signal = "occupancy";
  double band = 0.1;
  DatasetOptions options() const {
    return {name,     pool,    std::size_t(validation), labels, folder, solids, points, families, signal, band, side,
            channels, alphabet};
  }
};

struct ZooConfig {
  ZooRecipe recipe;
  std::string storage = "f32"; // or bf16
  std::string from;            // a zoo that is there already, in place of training one
};

// What of the zoo's training networks a generator sees.
struct FitConfig {
  long networks = 0, first = 0;     // so many (0: all), from that one on
  bool about_line = false;          // it learns what a ridge regression on its conditions leaves (stages/about_line.h)
  CodesAs codes = CodesAs::weights; // what it learns of networks with codes (stages/codes.h)
  int shown = 0;                    // mini-batches by which samples are told (stages/shown.h)
  std::vector<std::string> without; // classes of text that no network has read which it sees
};

struct SampleConfig {
  int count = 100, batch = 50;
  int watch = 0;        // samples whose way from noise to network is kept
  std::string shown;    // text that all of them are shown, in place of what held-out networks are
  std::string complete; // the part of held-out signals that fields are given (engine/tasks/fields/completion.h)
};

// Settings that a stage has for itself, in a table of its name. A class S derives from StageSettingsOf<S>.
struct StageSettings {
  virtual ~StageSettings() = default;
  virtual std::unique_ptr<StageSettings> clone() const = 0;
  virtual void describe(Keys &) = 0;
  virtual void check() const {} // throws InputError, naming a key
};
template <class S> struct StageSettingsOf : StageSettings {
  std::unique_ptr<StageSettings> clone() const override { return std::make_unique<S>(static_cast<const S &>(*this)); }
};

class StageSettingsList {
public:
  StageSettingsList() = default;
  StageSettingsList(const StageSettingsList &other) {
    for (const auto &[name, settings] : other.all_)
      all_.emplace_back(name, settings->clone());
  }
  StageSettingsList &operator=(StageSettingsList other) {
    std::swap(all_, other.all_);
    return *this;
  }
  void add(std::string name, std::unique_ptr<StageSettings> s) { all_.emplace_back(std::move(name), std::move(s)); }
  const std::vector<std::pair<std::string, std::unique_ptr<StageSettings>>> &all() const { return all_; }

private:
  std::vector<std::pair<std::string, std::unique_ptr<StageSettings>>> all_;
};
StageSettingsList settings_of_stages(); // as they are by default: the stages' own (engine/pipeline/stages/stage.h)

struct Config {
  std::string name;
  std::uint64_t seed = 1;
  DataConfig data;
  NetworkShape network;
  // More architectures that the generator learns, and some that it does not see: [network] widths and unseen.
  std::vector<std::vector<int>> others, unseen;
  std::vector<std::string> subset;    // tensors that networks differ in: `network` is of the kind "subset" (subset.h)
  int low_rank = 0;                   // of their changes; 0: the tensors themselves
  bool fixed_a = false;               // whether these have one A
  std::vector<NetworkShape> family{}; // of a run of one architecture: all that its generator has learned
  ZooConfig zoo;
  FitConfig fit;
  Generators generators; // their settings of [fit] and [sample], and which of them learns the zoo
  SampleConfig sample;
  EvalConfig eval;
  StageSettingsList of_stages = settings_of_stages();

  // The settings of the stage that has an S.
  template <class S> const S &of() const {
    for (const auto &[name, settings] : of_stages.all())
      if (const auto *found = dynamic_cast<const S *>(settings.get()))
        return *found;
    throw Error("config: found no stage with such settings");
  }
};

// Reads and checks a file, with `overrides` such as "zoo.steps=500" applied over it. The run's name is `name` in the
// file, or else the file's. Throws InputError with the file, the key, what was found and what was expected; an unknown
// key names the nearest known one.
Config load_config(const std::filesystem::path &, const std::vector<std::string> &overrides = {});

// Every key of a configuration; with a generator's or a network kind's name, without those of the others alone. Throws
// InputError for another name.
std::vector<ListedKey> configuration_keys(const std::string &generator = "", const std::string &kind = "");

// The whole configuration as TOML: load_config gives the same back.
std::string to_toml(const Config &);

// The parts that a stage's result depends on, as text: what its key is a hash of.
std::string zoo_text(const Config &);
std::string fit_text(const Config &);
std::string sample_text(const Config &);
std::string eval_text(const Config &);
std::string text_of_sections(const Config &, const std::vector<std::string> &sections); // and of any others

} // namespace theta
