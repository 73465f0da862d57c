// A run's configuration: TOML in, checked structs out, and back.
#pragma once
#include "data/dataset.h"
#include "engine/analysis/novelty.h"
#include "engine/generators/generator.h"
#include "engine/networks/network.h"
#include "engine/settings/key_list.h"
#include "engine/zoo/recipe.h"
#include <filesystem>

namespace theta {

struct DataConfig {
  std::string name = "fashion-mnist", folder;
  int pool = 1, validation = 5000, solids = 1024, points = 16384;
  int side = 28, channels = 0;
  std::vector<int> labels;
  std::vector<std::string> families{"union"};
  std::string signal = "occupancy";
  double band = 0.1;
  DatasetOptions options() const {
    return {name, pool,    std::size_t(validation), labels, folder, solids, points, families, signal, band,
            side, channels};
  }
};

struct ZooConfig {
  ZooRecipe recipe;
  std::string storage = "f32"; // or bf16
  std::string from;            // a zoo that is there already, in place of training one
};

// Which of the zoo's training networks a generator sees.
struct FitConfig {
  long networks = 0, first = 0; // so many (0: all), from that one on
};

struct SampleConfig {
  int count = 100, batch = 50;
  int watch = 0;        // samples whose way from noise to network is kept
  std::string complete; // the part of held-out signals that fields are given: completion.h
};

struct EvalConfig {
  int networks = 100, references = 100, wave = 64, average = 16;
  int ensemble = 32;   // networks of the largest ensemble, and whose calibration is measured
  int diversity = 200; // networks of a group whose pairs are compared
  int closest = 128;   // training networks whose hull a network may lie in
  int lines = 20, hessians = 4, hessian_images = 1000;
  bool baselines = true;
  std::vector<std::string> groups; // others to be judged: NAME=ZOO
  std::string twin;                // samples, of the same noise, of a generator that has learned other networks
  std::string part = "test";       // or validation
  DistanceKind distance = DistanceKind::plain;
  std::vector<double> noise{0.01, 0.03, 0.1};
};

// What generated networks are as a start of training, beside random ones.
struct FinetuneConfig {
  int networks = 0;   // so many of each; 0: it is left out
  int every = 10;     // steps between looks
  double lr = 0.1;    // of generated ones, in that of the zoo's recipe
  double less = 0.01; // than held-out networks' accuracy: what is to be reached
};

struct Config {
  std::string name;
  std::uint64_t seed = 1;
  DataConfig data;
  NetworkShape network;
  // More architectures that the generator learns, and some that it does not see: [network] widths and unseen.
  std::vector<std::vector<int>> others, unseen;
  std::vector<NetworkShape> family{}; // of a run of one architecture: all that its generator has learned (family.h)
  ZooConfig zoo;
  FitConfig fit;
  Generators generators; // their settings of [fit] and [sample], and which of them learns the zoo
  SampleConfig sample;
  EvalConfig eval;
  FinetuneConfig finetune;
};

// Reads and checks a file, with `overrides` such as "zoo.steps=500" applied over it. The run's name is `name` in the
// file, or else the file's. Throws InputError with the file, the key, what was found and what was expected; an unknown
// key names the nearest known one.
Config load_config(const std::filesystem::path &, const std::vector<std::string> &overrides = {});

// Groups to be judged, NAME=FOLDER each. Throws InputError, naming `where`, for what is none, or has another's name.
void check_groups(const std::vector<std::string> &, const std::string &where);

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
std::string finetune_text(const Config &);

} // namespace theta
