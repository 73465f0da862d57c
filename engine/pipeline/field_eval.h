// Evaluation where networks are fields of images: what they show, judged by a classifier, beside held-out fields and
// baselines. Its eval.json:
//   {"fields": [{"name", "networks", "broken", "recognised": {"share", "low", "high", "n"}, "frechet", "precision",
//                "recall", "memorised": {...}, "memorised_images": {...}, "psnr": [...], "image": [...]}], "key"}
// psnr and image: of every field the training image that is nearest, and how near in decibels.
#pragma once
#include "engine/analysis/field_judge.h"
#include "source.h"

namespace theta {

FieldJudge field_judge(const Config &, const NetworkShape &, const DatasetSizes &, int side, Backend);

// The groups of a run: training, held-out and generated fields, and baselines.
std::vector<FieldReport> judge_fields(const Config &, const NetworkShape &, Device, const Dataset &,
                                      const ZooReader &zoo, const ZooReader &samples, Journal &);

void write_field_eval(const std::filesystem::path &, const std::vector<FieldReport> &, const std::string &key);
std::vector<FieldReport> read_field_eval(const std::filesystem::path &); // throws InputError
std::string table_of(const std::vector<FieldReport> &);

} // namespace theta
