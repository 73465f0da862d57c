// The stages of a run, each from files to files: zoo -> fit -> sample -> eval -> report. A stage that has been done
// with the same inputs is skipped: what it left carries a key, the hash of everything it depends on.
#pragma once
#include "config.h"
#include "data/dataset.h"
#include "engine/analysis/baselines.h"
#include "engine/memory/plan.h"
#include "engine/training/folder_lock.h"
#include "engine/training/journal.h"
#include "source.h"

namespace theta {

struct Run {
  Config config;
  std::filesystem::path out; // runs/out/NAME
  Device device;
  std::optional<std::size_t> memory_budget; // bytes of device memory
  std::string version{};                    // of the program, for run.json
  bool writes = true;                       // else it only looks at what is there, also while another writes
  std::filesystem::path zoo{};              // where it is trained; empty: out/zoo
  std::filesystem::path generator{};        // that others have trained (use_generator); empty: its own, in out
  std::string stage{};                      // the one that it is made for, whose plans alone count; empty: all
};

class Stages {
public:
  // Creates the run's folder and writes config.toml into it, after checking every plan against the budget. Throws
  // InputError where one does not fit, or where another process is at work in the folder.
  explicit Stages(Run);

  void zoo();
  void fit();
  void sample();
  void eval();
  void trajectories(); // where samples are watched (sample.watch)
  void finetune();     // where asked for (finetune.networks)
  void report();
  void all();

  std::filesystem::path zoo_path() const {
    if (const std::string &from = run_.config.zoo.from; !from.empty())
      return from;
    return run_.zoo.empty() ? run_.out / "zoo" : run_.zoo;
  }
  std::filesystem::path generator_path() const {
    return run_.generator.empty() ? run_.out / "generator.safetensors" : run_.generator;
  }
  std::filesystem::path samples_path() const { return run_.out / "samples"; }
  std::filesystem::path trajectory_path() const { return run_.out / "trajectory"; }
  std::filesystem::path eval_path() const { return run_.out / "eval.json"; }

  // For runs that share a generator (family.h). The key of what it was made of; the zoo that a generator learns, and
  // which of it; what the generator is made for; what networks are worth, as metrics.
  void use_generator(std::string key) { generator_key_ = std::move(key); }
  std::string zoo_key();
  struct TrainingZoo {
    ZooReader zoo;
    Split split;
  };
  TrainingZoo training_zoo(const char *stage);
  GeneratorTask task(const ZooReader &, std::size_t training);
  Metrics worth(const std::vector<float> &theta, std::size_t networks);

private:
  class Measured;
  explicit Stages(std::pair<Run, std::vector<MemoryPlan>> checked);
  std::string fit_key();
  std::string sample_key();
  std::string eval_key();
  std::pair<Scores, std::vector<char>> score(std::size_t parameters, const NetworkSet &);
  const Dataset &data();
  void check_made(const char *stage, const std::filesystem::path &what, bool same, const std::string &found,
                  const std::string &expected, const char *again) const;
  void check_zoo(const char *stage);
  void check_generator(const char *stage);
  void check_samples(const char *stage);
  void eval_fields();
  std::string settings_of_samples() const;
  std::string facts_of(const std::string &key, const std::string &what);

  // The architecture of the zoo's networks; throws InputError where it is unknown, or not made for the data.
  const NetworkShape &network(const char *stage) const;

  Run run_;
  std::vector<MemoryPlan> plans_;
  std::optional<NetworkShape> network_, field_, body_; // source.h
  std::string generator_key_{};                        // of one that others have trained
  std::optional<FolderLock> lock_;
  Journal journal_;
  std::optional<Dataset> data_;
};

} // namespace theta
