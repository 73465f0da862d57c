// eval.json: what `theta eval` found, for programs, and as a table for people.
//   {"groups": [{"name", "networks", "broken", "accuracy": {"mean", "std", "best"}, "loss": {...}, "max_iou": {...},
//                "nearest_l2": {...}, "memorised": {"share", "low", "high", "n"}, "values": {...}}], "key"}
// "best" is the highest accuracy, the lowest loss, the lowest max_iou and the largest nearest_l2 (the most novel
// network); "values" holds every network's numbers.
#pragma once
#include "engine/analysis/novelty.h"

namespace theta {

void write_eval(const std::filesystem::path &, const std::vector<GroupReport> &, const std::string &key);
std::vector<GroupReport> read_eval(const std::filesystem::path &); // throws InputError
std::string eval_key_of(const std::filesystem::path &);            // empty where there is no readable file
std::string table_of(const std::vector<GroupReport> &);

} // namespace theta
