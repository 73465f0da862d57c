// The name of JSON, for headers: json.h has the library, which is large.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace theta {
using Json = nlohmann::ordered_json;
}
