// What networks are for. A task's room says what such networks learn (engine/zoo/learning.h), how groups of them are
// judged, and how that is told: everybody else asks for the task and knows no more of it than this. To add one: a class
// in a room of its own, and its line in tasks() (task.cpp), or, outside of this folder, the line
//   const bool added = theta::add_task(std::make_unique<MyTask>());
#pragma once
#include "engine/training/journal.h"
#include "eval_config.h"
#include <filesystem>

namespace theta {

// What is known of an evaluation before anything runs.
struct EvalSizes {
  const EvalConfig &eval;
  std::uint64_t seed;
  const NetworkShape &shape;
  DatasetSizes data;
  std::size_t training, held_out; // networks of the zoo
  Backend backend;
  Budget budget;
};

inline constexpr const char *shown_column = "shown";

// What an evaluation is made of.
struct EvalWork {
  const EvalConfig &eval;
  std::uint64_t seed;
  const NetworkShape &shape;
  Device device;
  Budget budget;
  const Dataset &data;
  const ZooReader &zoo;
  const std::vector<std::size_t> &training, &held_out; // rows of the zoo: those that the generator has seen, and others
  const ZooReader *samples;                            // of the generator; null: there are none
  std::filesystem::path scratch;                       // a folder for files that go with the work
  // Where samples are told by example (they have a column shown, the zoo's row whose examples they were shown, or −1): what
  // is shown to each row of the zoo, where training on it ends, and where looking at it leads (pipeline/stages/shown.h).
  const ZooReader *shown = nullptr, *trained_on_shown = nullptr;
  std::function<void(std::size_t row, float *theta)> looked{};
  std::vector<std::string> without{};          // classes of text that no network has read which the generator has seen
  std::function<void(float *theta)> rebuild{}; // what the generator's coordinates keep of a network; may be empty
};

class Task {
public:
  virtual ~Task() = default;
  virtual const char *name() const = 0;

  // Whether such networks are for this on such data; of a zoo that is there already, whether it says what judging takes.
  virtual bool takes(const NetworkShape &, const DatasetSizes &, const ZooReader *zoo) const = 0;

  // Whether each network has an accuracy on images that all share (scorer.h).
  virtual bool scores() const { return false; }
  // Where the signals' values stand of which samples may be given a part ([sample] complete), as
  // Dataset::coordinates; none: networks show no signals.
  virtual std::vector<float> points(const DatasetSizes &) const { return {}; }

  // The memory of its judges. Throws InputError where there are too few networks.
  virtual std::vector<MemoryPlan> plans(const EvalSizes &) const = 0;
  // Groups of networks beside one another: training, held_out, generated, the zoos of eval.groups, and baselines, with
  // all their figures and verdicts. With progress; throws Interrupted.
  virtual std::vector<GroupReport> judge(const EvalWork &, Journal &) const = 0;
  virtual std::string table(const std::vector<GroupReport> &) const = 0; // for people
  // Draws what was judged into `folder`; `metrics`: the run's metrics.jsonl. Returns the paths.
  virtual std::vector<std::filesystem::path> draw(const EvalWork &, const std::vector<GroupReport> &,
                                                  const std::filesystem::path &folder,
                                                  const std::filesystem::path &metrics) const = 0;
};

// The task of such networks on such data; null where there is none.
const Task *task_of(const NetworkShape &, const DatasetSizes &, const ZooReader *zoo = nullptr);
bool add_task(std::unique_ptr<const Task>); // true

// Made by their rooms.
std::unique_ptr<const Task> make_images_task(), make_fields_task(), make_bodies_task(), make_text_task();

} // namespace theta
