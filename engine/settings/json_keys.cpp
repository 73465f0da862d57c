#include "json_keys.h"
#include <algorithm>

namespace theta {

namespace {

class JsonWriter : public Keys {
public:
  Json json;

private:
  void group(const char *name, const std::function<void()> &inner) override {
    Json around = std::move(json);
    json = Json::object();
    inner();
    around[name] = std::move(json);
    json = std::move(around);
  }
  void text(const Key &key, std::string &value) override { json[key.in_json] = value; }
  void flag(const Key &key, bool &value) override {
    if (key.in_json)
      json[key.in_json] = value;
  }
  void number(const Key &key, double &value, Limits) override { json[key.in_json] = value; }
  void integer(const Key &key, std::int64_t &value, Limits) override {
    if (key.in_json)
      json[key.in_json] = value;
  }
  void choice(const Key &key, Choice &value, Limits) override { json[key.in_json] = value.fixed(key.name); }
  void texts(const Key &key, std::vector<std::string> &values) override { json[key.in_json] = values; }
  void numbers(const Key &key, std::vector<double> &values, Limits) override { json[key.in_json] = values; }
  void integers(const Key &key, std::vector<int> &values, Limits) override { json[key.in_json] = values; }
  void lists(const Key &key, std::vector<std::vector<int>> &values, Limits) override {
    if (!values.empty())
      json[key.in_json] = values;
  }
  void name(const Key &key, const std::string &is, const Set &) override {
    if (key.in_json)
      json[key.in_json] = is;
  }
  void names(const Key &key, const std::vector<std::string> &are, const Set &set) override {
    json[key.in_json] = are;
    for (const std::string &one : are)
      set(one);
  }
};

class JsonReader : public Keys {
public:
  JsonReader(const Json &from, const std::string &where) : from_(&from), where_(where) {}

private:
  void group(const char *name, const std::function<void()> &inner) override {
    const Json *around = from_;
    const Json of = field<Json>(*around, name, where_);
    from_ = &of;
    inner();
    from_ = around;
  }
  template <class T> void read(const Key &key, T &value) { value = field<T>(*from_, key.in_json, where_); }
  template <class T> T within(const Key &key, T value, Limits limits) const {
    if (!(double(value) >= limits.low && double(value) <= limits.high))
      throw InputError(where_, ": field '", key.in_json, "': found ", value, ", expected ", limits.low, " to ",
                       limits.high);
    return value;
  }
  void text(const Key &key, std::string &value) override { read(key, value); }
  void flag(const Key &key, bool &value) override {
    if (key.in_json)
      read(key, value);
  }
  void number(const Key &key, double &value, Limits limits) override { read(key, value), within(key, value, limits); }
  void integer(const Key &key, std::int64_t &value, Limits limits) override {
    if (key.in_json)
      read(key, value), within(key, value, limits);
  }
  void choice(const Key &key, Choice &value, Limits limits) override {
    value = within(key, field<double>(*from_, key.in_json, where_), limits);
  }
  void texts(const Key &key, std::vector<std::string> &values) override { read(key, values); }
  void numbers(const Key &key, std::vector<double> &values, Limits limits) override {
    read(key, values);
    for (const double value : values)
      within(key, value, limits);
  }
  void integers(const Key &key, std::vector<int> &values, Limits limits) override {
    read(key, values);
    for (const int value : values)
      within(key, value, limits);
  }
  void lists(const Key &key, std::vector<std::vector<int>> &values, Limits limits) override {
    if (!from_->contains(key.in_json))
      return values.clear();
    read(key, values);
    for (const auto &list : values)
      for (const int value : list)
        within(key, value, limits);
  }
  void name(const Key &key, const std::string &, const Set &set) override {
    if (!key.in_json)
      return;
    const auto is = field<std::string>(*from_, key.in_json, where_);
    try {
      set(is);
    } catch (const InputError &e) {
      throw InputError(where_, ": ", e.what());
    }
  }
  void names(const Key &key, const std::vector<std::string> &, const Set &set) override {
    for (const auto &is : field<std::vector<std::string>>(*from_, key.in_json, where_))
      set(is);
  }

  const Json *from_;
  const std::string &where_;
};

} // namespace

Json json_of(const Describe &describe, const std::vector<std::string> &order) {
  JsonWriter writer;
  writer.json = Json::object();
  describe(writer);
  Json ordered = Json::object();
  for (const auto &[name, value] : writer.json.items()) {
    if (std::find(order.begin(), order.end(), name) != order.end())
      for (const std::string &of : order) // all of them, at the first
        ordered[of] = writer.json.at(of);
    else
      ordered[name] = value;
  }
  return ordered;
}

void read_json(const Json &json, const std::string &where, const Describe &describe) {
  JsonReader reader(json, where);
  describe(reader);
}

} // namespace theta
