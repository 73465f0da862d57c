#include "json.h"
#include "mapped_file.h"
#include <cmath>
#include <fmt/core.h>
#include <limits>
#include <set>
#include <vector>

namespace theta {

Json parse_json(std::string_view text, const std::string &where) {
  constexpr int deepest = 32;
  std::vector<std::set<std::string>> keys;
  const auto inspect = [&](int depth, Json::parse_event_t event, Json &parsed) {
    if (depth > deepest)
      throw InputError(where, ": JSON is nested deeper than ", deepest);
    if (event == Json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == Json::parse_event_t::object_end)
      keys.pop_back();
    else if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw InputError(where, ": JSON has the key ", parsed.dump(), " twice");
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), inspect);
  } catch (const nlohmann::json::exception &e) {
    throw InputError(where, ": is not JSON: ", e.what());
  }
}

Json json_file(const std::filesystem::path &path) {
  const MappedFile file(path);
  return parse_json({reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size()}, path.string());
}

Json number_in_json(double x) {
  return std::isfinite(x) ? Json(std::strtod(fmt::format("{:.9g}", x).c_str(), nullptr)) : Json(nullptr);
}

double number_from(const Json &value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

} // namespace theta
