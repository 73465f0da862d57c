// A run of one architecture: its configuration, its files, and what its stages ask of one another.
#pragma once
#include "data/dataset.h"
#include "engine/tasks/scorer.h"
#include "engine/training/folder_lock.h"
#include "stage.h"

namespace theta {

// What is to be run, and where.
struct Run {
  Config config;
  std::filesystem::path out; // runs/out/NAME
  Device device;
  std::optional<std::size_t> memory_budget; // bytes of device memory
  std::string version{};                    // of the program, for run.json
  bool writes = true;                       // else it only looks at what is there, also while another writes
  std::filesystem::path zoo{};              // where it is trained; empty: out/zoo
  ZooPart part{};                           // of its zoo, what is trained
  std::filesystem::path generator{};        // that others share (pipeline.h); empty: its own, in out
  std::string stage{};                      // the one that it is made for, whose plans alone count; empty: all
};

class Member {
public:
  // Creates the run's folder and writes config.toml into it, after checking every plan against the budget. Throws
  // InputError where one does not fit, or where another process is at work in the folder. `name` is empty where it is
  // the only one.
  explicit Member(Run, std::string name = "", bool is_seen = true);

  const std::string &name() const { return name_; }
  bool is_seen() const { return is_seen_; } // by the generator
  const Config &config() const { return run_.config; }
  const ZooPart &part() const { return run_.part; }
  Device device() const { return run_.device; }
  Budget budget() const { return run_.memory_budget; }
  const std::vector<MemoryPlan> &plans() const { return plans_; }
  Journal &journal() { return journal_; }
  const Dataset &data(); // loaded when it is first asked for

  const std::filesystem::path &out() const { return run_.out; }
  std::filesystem::path zoo_path() const;
  std::filesystem::path generator_path() const;
  std::filesystem::path line_path() const;                                  // beside it, of fit.about_line
  std::filesystem::path shown_path() const { return zoo_path() / "shown"; } // what runs of one zoo share (shown.h)
  std::filesystem::path samples_path() const { return run_.out / "samples"; }
  std::filesystem::path trajectory_path() const { return run_.out / "trajectory"; }
  std::filesystem::path eval_path() const { return run_.out / "eval.json"; }

  std::string key(std::string_view stage) { return stage_named(stage).key(*this); }

  // Of a family: the members whose zoos its generator learns, and the configuration of all. The pipeline tells it.
  struct Whole {
    std::vector<Member *> seen{};
    const Config *config = nullptr;
  } whole;

  // What the networks are for, and they; null, and InputError, where they cannot be run on the data.
  const Task *task() const { return source_.task; }
  const NetworkShape &shape(const char *stage) const;
  // The accuracies and losses of networks on the test images, or the validation images; throws InputError where they
  // have none.
  bool scores() const { return task() && task()->scores(); }
  void check_scores(const char *stage) const;
  std::unique_ptr<Scorer> scorer(const char *stage, std::size_t images) const;
  std::pair<Scores, std::vector<char>> score(const char *stage, std::size_t parameters, const NetworkSet &,
                                             bool validation = false);

  // Throw InputError where what a stage begins with was made otherwise, naming what differs.
  void check_zoo(const char *stage);
  void check_generator(const char *stage);
  void check_samples(const char *stage);

  // The metadata of a zoo that a stage makes: trained, generated or finetuned networks.
  std::string facts_of(const std::string &key, const std::string &what);

private:
  Member(std::pair<Run, std::vector<MemoryPlan>> checked, std::string name, bool is_seen);
  void check_made(const char *stage, const std::filesystem::path &what, bool same, const std::string &found,
                  const std::string &expected, const char *again) const;

  Run run_;
  std::vector<MemoryPlan> plans_;
  std::string name_;
  bool is_seen_;
  Source source_;
  std::optional<FolderLock> lock_;
  Journal journal_;
  std::optional<Dataset> data_;
};

// The folder that a journal writes into, held; none where nothing is written.
std::filesystem::path locked(bool writes, std::optional<FolderLock> &lock, const std::filesystem::path &folder);

} // namespace theta
