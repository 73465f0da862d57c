// Runs as one page of HTML: it needs nothing beside itself, neither files nor a network.
#pragma once
#include "data/json_forward.h"
#include <string>
#include <vector>

namespace theta {

// `runs`: of each what engine/pipeline/page_data.h says, or of records the same. `stamp`: where the page is served,
// what /stamp says as long as nothing has changed; empty: it is a file.
std::string page_of(const std::vector<Json> &runs, const std::string &stamp = "");

} // namespace theta
