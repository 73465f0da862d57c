// trajectories.json: ways through weight space in one plane (engine/analysis/trajectories.h).
//   {"explained": [x, y], "ways": [{"name", "kind", "x", "y", "loss", "length", "displacement", "turn"}],
//    "grid": {"x", "y", "loss": [a row of x for each y]}, "key"}
#pragma once
#include "data/json_forward.h"
#include "engine/analysis/trajectories.h"
#include <filesystem>

namespace theta {

void write_trajectories(const std::filesystem::path &, const Plane &, const std::string &key);
Plane read_trajectories(const std::filesystem::path &);         // throws InputError
std::string trajectories_key_of(const std::filesystem::path &); // empty where there is no readable file
// Lengths, displacements, turns and losses, a line a way.
std::string table_of(const Plane &);

} // namespace theta
