// Settings as JSON, for files that tell how they were made.
#pragma once
#include "data/json.h"
#include "toml_keys.h"

namespace theta {

// Fields in the order in which they are said; those of `order` in that one, where the first of them stands.
Json json_of(const Describe &describe, const std::vector<std::string> &order = {});

// Throws InputError, naming `where`, for what is missing, of another type or beyond its limits.
void read_json(const Json &, const std::string &where, const Describe &describe);

} // namespace theta
