#include "toml_keys.h"
#include "kernels/device/error.h"
#include "nearest.h"
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fmt/core.h>
#include <map>
#include <set>
#include <sstream>
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>
#include <unistd.h>

namespace theta {

namespace {

class Reader : public Keys {
public:
  explicit Reader(const toml::table &root) : root_(root) {}

  void section(const std::string &name) override {
    section_ = name;
    table_ = name.empty() ? &root_ : nullptr;
    if (name.empty())
      return;
    const auto node = root_.at_path(name);
    if (node && !node.is_table())
      throw InputError(name, ": found a value, expected a table");
    table_ = node.as_table();
    for (std::string path = name;; path.resize(path.rfind('.'))) {
      known_.insert(path);
      if (path.find('.') == std::string::npos)
        break;
    }
  }

  // Every key of the file must have been asked for.
  void check_unknown() const { check_unknown(root_, ""); }

private:
  void text(const Key &key, std::string &value) override {
    if (const toml::node *node = find(key))
      value = required<std::string>(*node, key, "a text");
  }
  void flag(const Key &key, bool &value) override {
    if (const toml::node *node = find(key))
      value = required<bool>(*node, key, "true or false");
  }
  void number(const Key &key, double &value, Limits limits) override {
    if (const toml::node *node = find(key))
      value = number_in(*node, key, limits);
  }
  void integer(const Key &key, std::int64_t &value, Limits limits) override {
    if (const toml::node *node = find(key))
      value = integer_in(*node, key, limits);
  }
  void texts(const Key &key, std::vector<std::string> &values) override {
    each_of(key, values, "a list of texts",
            [&](const toml::node &item) { return required<std::string>(item, key, "a list of texts"); });
  }
  void numbers(const Key &key, std::vector<double> &values, Limits limits) override {
    each_of(key, values, "a list of numbers", [&](const toml::node &item) { return number_in(item, key, limits); });
  }
  void integers(const Key &key, std::vector<int> &values, Limits limits) override {
    each_of(key, values, "a list of numbers",
            [&](const toml::node &item) { return int(integer_in(item, key, limits)); });
  }
  void lists(const Key &key, std::vector<std::vector<int>> &values, Limits limits) override {
    const toml::node *node = find(key);
    if (!node)
      return;
    const auto list_of = [&](const toml::node &of) {
      const toml::array *list = of.as_array();
      if (!list)
        wrong(of, key, "a list of numbers, or a list of such lists");
      std::vector<int> numbers;
      for (const toml::node &item : *list)
        numbers.push_back(int(integer_in(item, key, limits)));
      return numbers;
    };
    const toml::array *list = node->as_array();
    if (!list || (!list->empty() && !list->front().is_array())) {
      values = {list_of(*node)};
      return;
    }
    values.clear();
    for (const toml::node &item : *list)
      values.push_back(list_of(item));
  }
  void name(const Key &key, const std::string &, const Set &set) override {
    if (const toml::node *node = find(key))
      name_in(*node, key, set);
  }
  void names(const Key &key, const std::vector<std::string> &are, const Set &set) override {
    const toml::node *node = find(key);
    if (!node) {
      for (const std::string &is : are)
        set(is);
      return;
    }
    const toml::array *list = node->as_array();
    if (!list)
      return name_in(*node, key, set);
    if (list->empty())
      wrong(*node, key, "a name or a list of them");
    for (const toml::node &item : *list)
      name_in(item, key, set);
  }
  // A number, a list of numbers, or {from = 1e-4, to = 1e-2, log = true, points = 5}.
  void choice(const Key &key, Choice &value, Limits limits) override {
    if (const toml::node *node = find(key))
      value = choice_in(*node, key, limits);
  }

  std::string path(const Key &key) const {
    return section_.empty() ? std::string(key.name) : section_ + "." + key.name;
  }

  const toml::node *find(const Key &key) {
    known_.insert(path(key));
    return table_ ? table_->get(key.name) : nullptr;
  }

  [[noreturn]] void wrong(const toml::node &node, const Key &key, const std::string &expected) const {
    std::ostringstream found;
    found << toml::node_view<const toml::node>(node);
    throw InputError(path(key), ": found ", found.str(), ", expected ", expected);
  }

  template <class T> T required(const toml::node &node, const Key &key, const char *expected) const {
    const auto value = node.value_exact<T>();
    if (!value)
      wrong(node, key, expected);
    return *value;
  }

  template <class T, class F> void each_of(const Key &key, std::vector<T> &values, const char *expected, F item_of) {
    const toml::node *node = find(key);
    if (!node)
      return;
    const toml::array *list = node->as_array();
    if (!list)
      wrong(*node, key, expected);
    values.clear();
    for (const toml::node &item : *list)
      values.push_back(item_of(item));
  }

  void name_in(const toml::node &node, const Key &key, const Set &set) const {
    const auto text = required<std::string>(node, key, "a name");
    try {
      set(text);
    } catch (const InputError &e) {
      throw InputError(path(key), ": ", e.what());
    }
  }

  Choice choice_in(const toml::node &node, const Key &key, Limits limits) const {
    if (const toml::array *list = node.as_array()) {
      std::vector<double> values;
      for (const toml::node &item : *list)
        values.push_back(number_in(item, key, limits));
      if (values.empty())
        wrong(node, key, "a number, a list of numbers, or a range");
      return values;
    }
    const toml::table *range = node.as_table();
    if (!range)
      return number_in(node, key, limits);
    for (const auto &[part, value] : *range)
      if (part != "from" && part != "to" && part != "log" && part != "points")
        wrong(node, key, "a range {from, to, log, points}");
    if (!range->contains("from") || !range->contains("to"))
      wrong(node, key, "a range with from and to");
    Range r{number_in(*range->get("from"), key, limits), number_in(*range->get("to"), key, limits)};
    if (const toml::node *log = range->get("log"))
      r.log = required<bool>(*log, key, "true or false for log");
    if (const toml::node *points = range->get("points"))
      r.points = int(integer_in(*points, key, Limits{1, 1e6}));
    if (r.from > r.to || (r.log && r.from <= 0))
      wrong(node, key, r.log ? "0 < from <= to" : "from <= to");
    return r;
  }

  static std::string text_of(Limits l) {
    return std::isinf(l.low) ? "" : fmt::format(" from {:g} to {:g}", l.low, l.high);
  }

  double number_in(const toml::node &node, const Key &key, Limits limits) const {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value >= limits.low && *value <= limits.high))
      wrong(node, key, "a number" + text_of(limits));
    return *value;
  }

  std::int64_t integer_in(const toml::node &node, const Key &key, Limits limits) const {
    auto value = node.value_exact<std::int64_t>();
    if (const auto real = node.value_exact<double>(); real && std::abs(*real) < 1e18 && *real == std::floor(*real))
      value = std::int64_t(*real); // 1e9
    if (!value || *value < 0 || !(double(*value) >= limits.low && double(*value) <= limits.high))
      wrong(node, key, "a whole number" + (std::isinf(limits.low) ? " that is not negative" : text_of(limits)));
    return *value;
  }

  void check_unknown(const toml::table &table, const std::string &prefix) const {
    for (const auto &[key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      if (!known_.contains(name)) {
        throw InputError("unknown key '", name, "'; did you mean '",
                         nearest_first({known_.begin(), known_.end()}, name).front(), "'? 'theta keys' lists all");
      }
      if (const auto *inner = node.as_table(); inner && !inner->is_inline())
        check_unknown(*inner, name + ".");
    }
  }

  const toml::table &root_;
  const toml::table *table_ = nullptr;
  std::string section_;
  std::set<std::string> known_;
};

class Writer : public Keys {
public:
  void section(const std::string &name) override {
    if (!name.empty() && section_ != name)
      text_ += fmt::format("\n[{}]\n", name);
    section_ = name;
  }
  const std::string &text() const { return text_; }

private:
  void text(const Key &key, std::string &value) override { write(key, show(value)); }
  void flag(const Key &key, bool &value) override { write(key, fmt::format("{}", value)); }
  void number(const Key &key, double &value, Limits) override { write(key, show(value)); }
  void integer(const Key &key, std::int64_t &value, Limits) override { write(key, show(value)); }
  void texts(const Key &key, std::vector<std::string> &values) override { write(key, show(values)); }
  void numbers(const Key &key, std::vector<double> &values, Limits) override { write(key, show(values)); }
  void integers(const Key &key, std::vector<int> &values, Limits) override { write(key, show(values)); }
  void lists(const Key &key, std::vector<std::vector<int>> &values, Limits) override {
    if (!values.empty())
      write(key, values.size() == 1 ? show(values[0]) : show(values));
  }
  void name(const Key &key, const std::string &is, const Set &) override { write(key, "\"" + is + "\""); }
  void names(const Key &key, const std::vector<std::string> &are, const Set &set) override {
    for (const std::string &is : are)
      set(is);
    write(key, are.size() == 1 ? show(are[0]) : show(are));
  }
  void choice(const Key &key, Choice &c, Limits) override {
    if (c.range)
      write(key, fmt::format("{{from = {}, to = {}, log = {}{}}}", show(c.range->from), show(c.range->to), c.range->log,
                             c.range->points > 0 ? fmt::format(", points = {}", c.range->points) : ""));
    else
      write(key, c.is_fixed() ? show(c.values[0]) : show(c.values));
  }

  void write(const Key &key, const std::string &value) {
    if (written_.insert(section_ + "." + key.name).second)
      text_ += fmt::format("{} = {}\n", key.name, value);
  }
  static std::string show(const std::string &s) {
    std::ostringstream out;
    out << toml::value<std::string>(s);
    return out.str();
  }
  static std::string show(double x) {
    std::string text = fmt::format("{}", x); // the shortest that reads back the same
    return text.find_first_of(".einf") == std::string::npos ? text + ".0" : text;
  }
  template <class T> static std::string show(T x) { return fmt::format("{}", x); }
  template <class T> static std::string show(const std::vector<T> &list) {
    std::string text = "[";
    for (const T &x : list)
      text += (text.size() > 1 ? ", " : "") + show(x);
    return text + "]";
  }

  std::string text_, section_;
  std::set<std::string> written_;
};

// Applies "a.b=value" to the table; the value is TOML, or a bare word.
void apply(toml::table &root, const std::string &override) {
  const auto equals = override.find('=');
  if (equals == std::string::npos || equals == 0)
    throw InputError("--set: found '", override, "', expected KEY=VALUE such as zoo.steps=500");
  const std::string key = override.substr(0, equals), value = override.substr(equals + 1);
  toml::table parsed;
  try {
    parsed = toml::parse("x = " + value);
  } catch (const toml::parse_error &) {
    parsed.insert("x", value);
  }
  toml::table *at = &root;
  std::size_t begin = 0;
  for (std::size_t dot; (dot = key.find('.', begin)) != std::string::npos; begin = dot + 1) {
    const auto part = key.substr(begin, dot - begin);
    at->insert(part, toml::table{});
    at = at->get(part)->as_table();
    if (!at)
      throw InputError("--set: '", key.substr(0, dot), "' is not a table");
  }
  at->insert_or_assign(key.substr(begin), *parsed.get("x"));
}

} // namespace

void read_toml(const std::filesystem::path &path, const std::vector<std::string> &overrides, const Describe &describe) {
  const std::string where = path.string();
  toml::table root;
  std::error_code failed;
  if (access(path.c_str(), R_OK) != 0 && errno != ENOENT)
    throw InputError(where, ": cannot be read: ", std::strerror(errno));
  if (!std::filesystem::is_regular_file(path, failed))
    throw InputError(where, ": found no such file, expected a configuration");
  try {
    root = toml::parse_file(where);
  } catch (const toml::parse_error &e) {
    throw InputError(where, ": line ", e.source().begin.line, ": ", e.description());
  }
  for (const auto &override : overrides)
    apply(root, override);
  Reader reader(root);
  try {
    describe(reader);
    reader.check_unknown();
  } catch (const InputError &e) {
    throw InputError(where, ": ", e.what());
  }
}

std::string toml_text(const Describe &describe) {
  Writer writer;
  describe(writer);
  return writer.text();
}

namespace {

// Every key of such a text with its value as it is written; the seed's name has no table.
std::map<std::string, std::string> settings_in(const std::string &toml) {
  std::map<std::string, std::string> all;
  std::string section;
  std::istringstream lines(toml);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("["))
      section = line.substr(1, line.size() - 2) + ".";
    else if (const auto equals = line.find(" = "); equals != std::string::npos)
      all[(line.starts_with("seed") ? "" : section) + line.substr(0, equals)] = line.substr(equals + 3);
  return all;
}

} // namespace

std::string value_in(const std::string &toml, const std::string &key) {
  const auto all = settings_in(toml);
  const auto found = all.find(key);
  return found == all.end() ? "" : found->second;
}

std::string difference_of(const std::string &found, const std::string &expected) {
  const auto here = settings_in(found), there = settings_in(expected);
  for (const auto &[key, value] : there)
    if (const auto other = here.find(key); other != here.end() && other->second != value)
      return fmt::format("{}: found {}, expected {}", key, other->second, value);
  for (const auto &[key, value] : there)
    if (!here.contains(key))
      return fmt::format("{}: found nothing, expected {}", key, value);
  return "";
}

std::string sections_of(const std::string &toml, const std::vector<std::string> &names) {
  std::string text;
  bool keep = false;
  std::istringstream lines(toml);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("["))
      keep = std::any_of(names.begin(), names.end(), [&](const std::string &name) {
        return line == "[" + name + "]" || line.starts_with("[" + name + ".");
      });
    if (keep || line.starts_with("seed ="))
      text += line + "\n";
  }
  return text;
}

} // namespace theta
