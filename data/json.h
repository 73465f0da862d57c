// JSON from files that may be damaged or hostile: parsed with limits, and fields fetched with clear errors.
// Included by .cpp files only: the library's header is large.
#pragma once
#include "json_forward.h"
#include "kernels/device/error.h"
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace theta {

// Parses `text`. Throws InputError, naming `where`, for malformed JSON, a repeated key, or nesting deeper than 32.
Json parse_json(std::string_view text, const std::string &where);

// object[key] as a T. Throws InputError, naming `where` and the key, where it is missing or of another type.
template <class T> T field(const Json &object, const char *key, const std::string &where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end())
    throw InputError(where, ": field '", key, "' is missing");
  try {
    if constexpr (std::is_unsigned_v<T> && !std::is_same_v<T, bool>)
      if (!found->is_number_unsigned())
        throw InputError(where, ": field '", key, "': found ", found->dump(),
                         ", expected a number that is not negative");
    return found->template get<T>();
  } catch (const nlohmann::json::exception &) {
    throw InputError(where, ": field '", key, "' is of another type: ", found->dump());
  }
}

// The file's. Throws InputError as parse_json, and where it cannot be read.
Json json_file(const std::filesystem::path &);

// A number with nine digits, which say which float it was; null where it is not finite, for which JSON has no word.
// And back: what is no number is NaN.
Json number_in_json(double);
double number_from(const Json &);
template <class T> Json list_in_json(const std::vector<T> &values) {
  Json all = Json::array();
  for (const T v : values)
    all.push_back(number_in_json(v));
  return all;
}
template <class T> std::vector<T> numbers_from(const Json &list) {
  std::vector<T> all;
  for (const Json &v : list)
    all.push_back(T(number_from(v)));
  return all;
}

} // namespace theta
