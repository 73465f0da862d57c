// What a run learns from: the zoo that its configuration describes, or one that is there already; and what its
// generator is made for.
#pragma once
#include "config.h"
#include "data/zoo_reader.h"
#include "engine/tasks/task.h"
#include "engine/zoo/zoo_trainer.h"

namespace theta {

// Rows of a zoo: those that the generator sees, and those that none may see. Throws InputError where the zoo has fewer
// than fit.first and fit.networks say.
struct Split {
  std::vector<std::size_t> training, held_out;
  std::vector<std::size_t> asked; // of the latter, what samples are asked for: those of fit.without, or all
};
Split split_of(const ZooReader &, const FitConfig &);

// The key of what a zoo was made of; empty where there is no complete one.
std::string zoo_key_of(const std::filesystem::path &);

struct Source {
  std::size_t training, held_out; // networks, if no run diverges
  NetworkFacts facts;
  const Task *task; // of the networks on the data; null where they cannot be run on it
};
Source source_of(const Config &, const DatasetSizes &);

ZooTask task_of(const Config &); // without the places of its files
GeneratorTask generator_task(const Config &, const DatasetSizes &, Backend, NetworkFacts, std::size_t training);

} // namespace theta
