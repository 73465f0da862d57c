// What a page shows of a run: everything, as one JSON that stands by itself and may be kept as a record.
//   {"theta page": 1, "name", "theta", "device", "date", "config", "note"?,
//    "groups": eval.json's, without its "values", and with "points": {NAME: the first of them}, "histograms": {NAME:
//    {"low", "high", "count"}}, "losses": [{"stage", "unit", "step", "value"}],
//    "probes": [{"stage", "step", NAME: [...]}], "speed": [{"what", "unit", "done", "seconds"}], "memory": [{"stage",
//    "bytes", "planned"?, "peak"?, "entries": [{"name", "kind", "bytes", "offset", "born", "died"}], "ticks"}],
//    "trajectories": trajectories.json's ways, "pictures": [{"title", "png": base64}]}
#pragma once
#include "data/json_forward.h"
#include <filesystem>

namespace theta {

// Of a run's folder, as far as it has come; of a run that another process is at work in too. Throws InputError where
// there is no run.
Json page_data_of(const std::filesystem::path &run);

// The same from a file that holds it already. Throws InputError where it does not.
Json read_page_data(const std::filesystem::path &);

} // namespace theta
