// Evaluation where networks are fields of bodies: their surfaces beside those of held-out fields, and baselines. Its
// eval.json:
//   {"shapes": [{"name", "networks", "broken", "iou", "recognised": {"share", "low", "high", "n"}, "memorised": {...},
//                "chamfer": {"mmd", "coverage", "one_nna": {...}}, "earth_mover": {...}, "distance": [...],
//                "nearest": [...]}], "key"}
// distance and nearest: of every field Chamfer's distance to the nearest training shape, and its row of the zoo.
#pragma once
#include "engine/analysis/shape_judge.h"
#include "source.h"

namespace theta {

ShapeJudge shape_judge(const Config &, const NetworkShape &, const DatasetSizes &);

// The groups of a run: training, held-out and generated fields, and baselines.
std::vector<ShapeReport> judge_shapes(const Config &, const NetworkShape &, Device, const Dataset &,
                                      const ZooReader &zoo, const ZooReader &samples, Journal &);

void write_shape_eval(const std::filesystem::path &, const std::vector<ShapeReport> &, const std::string &key);
std::vector<ShapeReport> read_shape_eval(const std::filesystem::path &); // throws InputError
std::string table_of(const std::vector<ShapeReport> &);

} // namespace theta
