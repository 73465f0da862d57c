// Settings, described once: whoever has some says each of them, with its limits, to a Keys: a reader or writer of a
// configuration (toml_keys.h), or of what a file tells of its maker (json_keys.h).
//   void describe(Keys &keys, FitRecipe &r) { keys({"steps", "training steps"}, r.steps, positive); }
#pragma once
#include "choice.h"
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace theta {

// Inclusive limits of a number.
struct Limits {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};
inline constexpr Limits positive{1, 1e9}, not_negative{0, 1e9}, share{0, 0.95}, rate{0, 1e3};

// A setting's name and its meaning in a line; and the name that it has in JSON where that is another, null where files
// do not tell it, because it says how work is done and not what comes of it. None is without a meaning (`theta keys`).
struct Key {
  const char *name, *in_json, *meaning;
  Key(const char *name, const char *meaning) : name(name), in_json(name), meaning(meaning) {}
  Key(const char *name, const char *in_json, const char *meaning) : name(name), in_json(in_json), meaning(meaning) {}
};

class Keys {
public:
  virtual ~Keys() = default;

  // What follows stands in that table of a configuration: "fit.autoencoder". JSON has none.
  virtual void section(const std::string &) {}
  // What `inner` says is an object of that name in JSON; in a configuration it stands among the others.
  virtual void group(const char *, const std::function<void()> &inner) { inner(); }

  void operator()(Key key, std::string &value) { text(key, value); }
  void operator()(Key key, bool &value) { flag(key, value); }
  void operator()(Key key, double &value, Limits limits = {}) { number(key, value, limits); }
  void operator()(Key key, Choice &value, Limits limits = {}) { choice(key, value, limits); }
  void operator()(Key key, std::vector<std::string> &values) { texts(key, values); }
  void operator()(Key key, std::vector<double> &values, Limits limits = {}) { numbers(key, values, limits); }
  void operator()(Key key, std::vector<int> &values, Limits limits = {}) { integers(key, values, limits); }
  // One list, or a list of them. None are not written.
  void operator()(Key key, std::vector<std::vector<int>> &values, Limits limits = {}) { lists(key, values, limits); }
  template <class T>
  requires std::is_integral_v<T>
  void operator()(Key key, T &value, Limits limits = {}) {
    auto whole = std::int64_t(value);
    integer(key, whole, limits);
    value = T(whole);
  }

  // A value that has a name: `named` finds it, throwing InputError, and name_of gives it back.
  template <class E> void operator()(Key key, E &value, E (*named)(std::string_view)) {
    std::string is = name_of(value);
    name(key, is, [&](const std::string &wanted) { value = named(wanted); });
  }
  // One of them, or a list.
  template <class E> void operator()(Key key, std::vector<E> &values, E (*named)(std::string_view)) {
    std::vector<std::string> are;
    for (const E value : values)
      are.emplace_back(name_of(value));
    values.clear();
    names(key, are, [&](const std::string &wanted) { values.push_back(named(wanted)); });
  }

protected:
  using Set = std::function<void(const std::string &)>;
  virtual void text(const Key &, std::string &) = 0;
  virtual void flag(const Key &, bool &) = 0;
  virtual void number(const Key &, double &, Limits) = 0;
  virtual void integer(const Key &, std::int64_t &, Limits) = 0;
  virtual void choice(const Key &, Choice &, Limits) = 0;
  virtual void texts(const Key &, std::vector<std::string> &) = 0;
  virtual void numbers(const Key &, std::vector<double> &, Limits) = 0;
  virtual void integers(const Key &, std::vector<int> &, Limits) = 0;
  virtual void lists(const Key &, std::vector<std::vector<int>> &, Limits) = 0;
  virtual void name(const Key &, const std::string &is, const Set &) = 0;
  // Calls set for every name of the list: those that there are, where it says nothing else.
  virtual void names(const Key &, const std::vector<std::string> &are, const Set &) = 0;
};

} // namespace theta
