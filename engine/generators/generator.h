// A generator: what learns a zoo and makes networks like its own. Its room, a folder beside this file, says what
// settings it has, what memory its work takes, how it is trained and sampled, and what its file is; the stages of a run
// know no more of it than this. To add one: a class here or in a file of its own, and its line in generators()
// (generator.cpp), or, outside of this folder, the line
//   const bool added = theta::add_generator("name", [] { return std::make_unique<MyGenerator>(); });
#pragma once
#include "data/zoo_reader.h"
#include "engine/memory/plan.h"
#include "engine/settings/keys.h"
#include "engine/training/journal.h"
#include "guide.h"
#include "network_facts.h"
#include "network_source.h"
#include "prompts.h"
#include <filesystem>
#include <span>

namespace theta {

// Networks of one architecture among several that a generator learns.
struct FamilyMember {
  NetworkFacts networks;
  std::size_t training; // networks that it may see
};

// What a generator is made for.
struct GeneratorTask {
  NetworkFacts networks; // that it learns, and makes
  std::size_t training;  // networks that it may see
  std::uint64_t seed;
  Backend backend;
  int samples, sample_batch;          // how many networks it is to make, and how many at a time
  std::optional<StreamTask> stream;   // the zoo's own recipe, where there is one: it could be trained on without end
  bool guided = false;                // whether something will be known of samples
  std::vector<FamilyMember> family{}; // where it learns several architectures: all of them
};

using EmitPart = std::function<void(std::size_t sample, std::size_t at, std::span<const float> theta)>;

// Named numbers for the journal.
using Metrics = std::vector<std::pair<std::string, double>>;

// A zoo, and its rows.
struct ZooRows {
  const ZooReader &zoo;
  const std::vector<std::size_t> &training, &held_out;
};

struct FitWork {
  Device device;
  const ZooReader &zoo;
  const std::vector<std::size_t> &training, &held_out; // rows of the zoo
  std::filesystem::path state, file;                   // of a training that was interrupted; of the generator
  std::string key, settings;                           // what both carry; what the key is of
  Journal &journal;
  // What networks of the generator of the moment are worth, [networks, V] in host memory.
  std::function<Metrics(const std::vector<float> &theta, std::size_t networks)> worth;
  // Of each weight, the mean over networks of zoo `zoo`, [n, V] in host memory, and some training examples of the square
  // of their loss's gradient. Throws InputError for networks that have none.
  std::function<std::vector<double>(std::size_t zoo, const std::vector<float> &theta)> effect{};
  std::vector<ZooRows> more{}; // zoos of further architectures, where it learns several
  std::vector<ZooRows> zoos() const {
    std::vector<ZooRows> all{{zoo, training, held_out}};
    for (const ZooRows &of : more)
      all.push_back(of);
    return all;
  }
};

struct SampleWork {
  Device device;
  std::filesystem::path file;
  const ZooReader &zoo; // that it has learned: some generators start from its held-out rows
  const std::vector<std::size_t> &held_out;
  // Takes parameters at, at + 1, ... of a sample, in host memory. Samples come whole or in parts, in any order.
  EmitPart emit;
  std::function<void(const std::string &)> warn; // of what it was asked for and has never seen
  // The first samples, as they come about: Generator::trajectory() rows each.
  std::size_t watched = 0;
  EmitPart watch{};
  Guide *guide = nullptr; // where the task says so
};

// What a generator may be conditioned on, and over which range it has seen it (of a number, in the zoo's units).
struct Tellable {
  std::string name;
  int classes = 0; // 0: a number
  float low = 0, high = 0;
};

struct Sampled {
  ZooFormat networks;       // layout and facts of the networks that it makes
  PromptTable told{};       // what each sample was conditioned on
  bool can_be_told = false; // whether the generator takes conditions at all
};

class Generator {
public:
  virtual ~Generator() = default;
  virtual std::unique_ptr<Generator> clone() const = 0;

  virtual const char *kind() const = 0; // in its file's metadata (generator_file.h)

  // Its settings: tables from [fit] on, and keys of [sample]. Keys that several generators have are one setting.
  virtual void describe_fit(Keys &) = 0;
  virtual void describe_sample(Keys &) {}
  virtual void check() const {} // throws InputError for settings that do not go together, naming one

  // The memory of its training, then of its sampling. Throws InputError for what cannot be.
  virtual std::vector<MemoryPlan> plans(const GeneratorTask &) const = 0;

  // Trains, and writes the file. Continues from work.state if it belongs to work.key, and saves into it. Throws
  // Interrupted when asked to stop.
  virtual void fit(const GeneratorTask &, const FitWork &) const = 0;

  // Changes of its settings that take less memory and more time, and are not made yet: "fit.compact=true".
  virtual std::vector<std::string> savings() const { return {}; }

  // How many rows a watched sample has: its state before each step and after the last, and between them what it is
  // taken for (even and odd rows); 0 where a generator cannot be watched.
  virtual std::size_t trajectory() const { return 0; }

  // Whether it can learn networks of several architectures at once (GeneratorTask::family).
  virtual bool learns_families() const { return false; }

  // Whether it can learn codes as categories (CodesAs::categorical).
  virtual bool learns_categories() const { return false; }

  // Whether it follows a guide (SampleWork::guide).
  virtual bool can_be_guided() const { return false; }

  // What it learns of networks beside their weights (conditions.h).
  virtual std::vector<std::string> conditions() const { return {}; }

  // Whether these are dropped always: they are what somebody else tells about (fit.about_line).
  virtual bool hears_nothing() const { return false; }

  // What its samples will be conditioned on, by name.
  virtual std::vector<std::string> told() const { return {}; }

  // Of such a file. Throws InputError as sample does.
  virtual std::vector<Tellable> tellable(const std::filesystem::path &) const { return {}; }

  // What its own coordinates keep of a network, in place: nothing that is generated in them can be better. Empty where it
  // has none, or where they are too large to be held in memory. The zoo and the rows are those that it has learned.
  using Rebuild = std::function<void(float *theta)>;
  virtual Rebuild rebuild(const std::filesystem::path &, const ZooReader &, const std::vector<std::size_t> &) const {
    return {};
  }

  // Reads the file, and makes task.samples networks; sample i depends on seed, file and i alone. Throws InputError
  // where the file is damaged or another generator's.
  virtual Sampled sample(const GeneratorTask &, const SampleWork &) const = 0;
};

// A room's class G derives from GeneratorOf<G>.
template <class G> class GeneratorOf : public Generator {
public:
  std::unique_ptr<Generator> clone() const override { return std::make_unique<G>(static_cast<const G &>(*this)); }
};

using MakeGenerator = std::function<std::unique_ptr<Generator>()>;
bool add_generator(std::string name, MakeGenerator); // true

// Made by their rooms.
std::unique_ptr<Generator> make_pdiff(), make_transformer(), make_subspace(), make_windows(), make_graph();

// One of each generator with its settings, and the one that was chosen: [fit] generator = "NAME".
class Generators {
public:
  Generators();
  Generators(const Generators &);
  Generators &operator=(Generators other) {
    std::swap(all_, other.all_), std::swap(chosen_, other.chosen_);
    return *this;
  }

  void describe_fit(Keys &);
  void describe_sample(Keys &);
  void describe_one(Keys &, const std::string &name); // what that generator says alone
  void check() const;
  const std::string &name() const { return all_[chosen_].first; }
  std::vector<std::string> names() const; // of all
  Generator &chosen() const { return *all_[chosen_].second; }
  // The one whose files are of that kind; null where there is none.
  const Generator *made(const std::string &kind) const;

private:
  std::vector<std::pair<std::string, std::unique_ptr<Generator>>> all_;
  std::size_t chosen_ = 0;
};

} // namespace theta
