#include "key_list.h"
#include "data/json.h"
#include <cmath>
#include <fmt/core.h>
#include <set>

namespace theta {

namespace {

using Type = ListedKey::Type;

class Lister : public Keys {
public:
  std::vector<ListedKey> all;
  void section(const std::string &name) override { section_ = name; }

private:
  void add(const Key &key, Type type, Limits limits = {}, std::vector<std::string> allowed = {}) {
    std::string path = section_.empty() ? key.name : section_ + "." + key.name;
    if (known_.insert(path).second)
      all.push_back({std::move(path), type, "", limits, std::move(allowed), key.meaning});
  }
  // The names that a value may have: what it answers to one that it cannot have.
  static std::vector<std::string> allowed_by(const Set &set) {
    std::vector<std::string> names;
    try {
      set("?");
    } catch (const InputError &e) {
      std::string text = e.what();
      const std::string before = "expected ";
      text.erase(0, text.rfind(before) == std::string::npos ? text.size() : text.rfind(before) + before.size());
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t comma = text.find(", ", at), last = text.find(" or ", at), end = std::min(comma, last);
        names.push_back(text.substr(at, end - at));
        at = end == std::string::npos ? text.size() : end + (end == comma ? 2 : 4);
      }
    }
    return names;
  }
  void text(const Key &key, std::string &) override { add(key, Type::text); }
  void flag(const Key &key, bool &) override { add(key, Type::flag); }
  void number(const Key &key, double &, Limits l) override { add(key, Type::number, l); }
  void integer(const Key &key, std::int64_t &, Limits l) override { add(key, Type::integer, l); }
  void choice(const Key &key, Choice &, Limits l) override { add(key, Type::choice, l); }
  void texts(const Key &key, std::vector<std::string> &) override { add(key, Type::texts); }
  void numbers(const Key &key, std::vector<double> &, Limits l) override { add(key, Type::numbers, l); }
  void integers(const Key &key, std::vector<int> &, Limits l) override { add(key, Type::integers, l); }
  void lists(const Key &key, std::vector<std::vector<int>> &, Limits l) override { add(key, Type::lists, l); }
  void name(const Key &key, const std::string &, const Set &set) override { add(key, Type::name, {}, allowed_by(set)); }
  void names(const Key &key, const std::vector<std::string> &are, const Set &set) override {
    add(key, Type::names, {}, allowed_by(set));
    for (const std::string &is : are)
      set(is);
  }

  std::string section_;
  std::set<std::string> known_;
};

Json with_limits(Json type, Limits l) {
  if (std::isfinite(l.low))
    type["minimum"] = l.low;
  if (std::isfinite(l.high))
    type["maximum"] = l.high;
  return type;
}
Json list_of(Json item) { return {{"type", "array"}, {"items", std::move(item)}}; }

Json type_of(const ListedKey &key) {
  const Json number = with_limits({{"type", "number"}}, key.limits),
             integer = with_limits({{"type", "integer"}}, key.limits);
  Json name = {{"type", "string"}};
  if (!key.allowed.empty())
    name["enum"] = key.allowed;
  switch (key.type) {
  case Type::flag:
    return {{"type", "boolean"}};
  case Type::number:
    return number;
  case Type::integer:
    return with_limits({{"type", "number"}, {"multipleOf", 1}}, key.limits); // 1e6 is one
  case Type::choice: {
    Json range = {
        {"type", "object"},
        {"properties",
         {{"from", number}, {"to", number}, {"log", {{"type", "boolean"}}}, {"points", {{"type", "integer"}}}}},
        {"required", {"from", "to"}},
        {"additionalProperties", false}};
    return {{"anyOf", {number, list_of(number), std::move(range)}}};
  }
  case Type::texts:
    return list_of({{"type", "string"}});
  case Type::numbers:
    return list_of(number);
  case Type::integers:
    return list_of(integer);
  case Type::lists:
    return {{"anyOf", {list_of(integer), list_of(list_of(integer))}}};
  case Type::name:
    return name;
  case Type::names:
    return {{"anyOf", {name, list_of(name)}}};
  default:
    return {{"type", "string"}};
  }
}

} // namespace

std::vector<ListedKey> listed_keys(const Describe &describe) {
  Lister lister;
  const std::string initial = toml_text(describe);
  describe(lister);
  for (ListedKey &key : lister.all)
    key.initial = value_in(initial, key.path);
  return lister.all;
}

std::string limits_of(const ListedKey &key) {
  const auto range = [&](const char *what) {
    return std::isinf(key.limits.low) ? std::string(what)
                                      : fmt::format("{} {:g} to {:g}", what, key.limits.low, key.limits.high);
  };
  switch (key.type) {
  case Type::flag:
    return "true or false";
  case Type::number:
    return range("number");
  case Type::integer:
    return range("whole number");
  case Type::choice:
    return range("number, list or range,");
  case Type::texts:
    return "list of texts";
  case Type::numbers:
    return range("list of numbers");
  case Type::integers:
    return range("list of whole numbers");
  case Type::lists:
    return range("list of whole numbers, or of such lists,");
  case Type::name:
  case Type::names: {
    std::string all;
    for (std::size_t i = 0; i < key.allowed.size(); ++i)
      all += (i == 0 ? "" : i + 1 == key.allowed.size() ? " or " : ", ") + key.allowed[i];
    return all + (key.type == Type::names ? "; or a list" : "");
  }
  default:
    return "text";
  }
}

Json schema_of(const std::vector<ListedKey> &keys) {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "a configuration of theta"},
                 {"type", "object"},
                 {"properties", Json::object()},
                 {"additionalProperties", false}};
  for (const ListedKey &key : keys) {
    Json *at = &schema;
    std::size_t begin = 0;
    for (std::size_t dot; (dot = key.path.find('.', begin)) != std::string::npos; begin = dot + 1) {
      Json &table = (*at)["properties"][key.path.substr(begin, dot - begin)];
      if (!table.contains("properties"))
        table = {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
      at = &table;
    }
    Json entry = type_of(key);
    entry["description"] = key.meaning + (key.initial.empty() ? "" : " (default " + key.initial + ")");
    (*at)["properties"][key.path.substr(begin)] = std::move(entry);
  }
  return schema;
}

} // namespace theta
