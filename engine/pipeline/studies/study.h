// A study: one configuration, what differs between its runs, and what is to be reported of each.
#pragma once
#include "engine/pipeline/stages/pipeline.h"

namespace theta {

// From a TOML file:
//   base = "transformer_small.toml"                         beside the file
//   set = ["sample.count=200"]                              overrides of all runs
//   vary = ["zoo.networks=500 | zoo.networks=2000 & zoo.wave=100", "seed=1 | seed=2"]
//   also = ["fit.transformer.source=stream & seed=3"]       runs beside those
//   figures = ["generated.accuracy.mean"]                   of eval.json: a group, then names; of a family's member
//                                                           "49-8-10.generated.accuracy.mean"
//   curves = ["accuracy", "memorised"]                      of what training tells of its samples (probe_every): each
//                                                           over the steps, a line for every run
// A run for every combination of one alternative of each entry of `vary`, the last changing fastest. Runs whose zoos
// would be the same share one.
struct StudyRun {
  std::string name; // of its folder
  std::vector<std::string> set;
  std::string zoo{}; // its zoo's folder: zoo, or zoo_2 and so on of those that differ
};
struct Study {
  std::string name; // the file's, without its ending
  std::filesystem::path base;
  std::vector<StudyRun> runs;
  std::vector<std::string> figures, curves;
};
// Throws InputError for keys that there are not, alternatives that are no overrides, runs of one name, or a
// configuration that cannot be: before anything runs.
bool is_study(const std::filesystem::path &); // rather than a configuration: it has a base
Study load_study(const std::filesystem::path &, const std::vector<std::string> &overrides = {});

// Every run into a folder of its own below `out`; stages that are done are skipped, so that a study goes on where it
// was stopped. After each, study.json: {"study", "base", "runs": [{"name", "set", "figures", "curves"}]}, and in the end a
// table, and with curves a picture, curves.png.
void run_study(const Study &, const std::filesystem::path &out, Device, std::optional<std::size_t> memory_budget,
               const std::string &version = "");
std::string table_of(const Study &, const std::filesystem::path &out);

} // namespace theta
