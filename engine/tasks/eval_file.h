// eval.json: what `theta eval` found, for programs, and as a table for people.
//   {"groups": [{"name", "role", "networks", "broken", "verdict", "reasons": [...],
//                NAME: {"mean", "std", "min", "max", "low", "high", "n"},      of a number that every network has
//                NAME: {"value", "low", "high", "n"},                          of one that the group has
//                "values": {NAME: [...]}, "series": {NAME: {"x", "y", "low", "high"}}}], "key"}
// low and high are the ends of 95 % intervals. engine/report/figures.h says what the names mean.
#pragma once
#include "data/json_forward.h"
#include "engine/analysis/group_report.h"
#include <filesystem>

namespace theta {

Json json_of(const std::vector<GroupReport> &);
std::vector<GroupReport> groups_from(const Json &groups, const std::string &where); // throws InputError

void write_eval(const std::filesystem::path &, const std::vector<GroupReport> &, const std::string &key);
std::vector<GroupReport> read_eval(const std::filesystem::path &); // throws InputError
std::string eval_key_of(const std::filesystem::path &);            // empty where there is no readable file
// The verdicts on what was generated, with their reasons: the end of every table.
std::string verdicts_of(const std::vector<GroupReport> &);

} // namespace theta
