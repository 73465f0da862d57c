#include "generator.h"

namespace theta {

namespace {

std::vector<std::pair<std::string, MakeGenerator>> &generators() {
  static std::vector<std::pair<std::string, MakeGenerator>> all{
      {"p-diff", make_pdiff}, {"transformer", make_transformer}, {"subspace", make_subspace}, {"windows", make_windows},
      {"graph", make_graph},
  };
  return all;
}

// Which of them.
struct Choosing {
  std::size_t index;
};

const char *name_of(Choosing c) { return generators()[c.index].first.c_str(); }

Choosing generator_named(std::string_view name) {
  std::string known;
  const std::size_t n = generators().size();
  for (std::size_t i = 0; i < n; ++i) {
    if (name == generators()[i].first)
      return {i};
    known += text(i == 0 ? "" : i + 1 == n ? " or " : ", ", generators()[i].first);
  }
  throw InputError("generator: found '", name, "', expected ", known);
}

} // namespace

bool add_generator(std::string name, MakeGenerator make) {
  generators().emplace_back(std::move(name), std::move(make));
  return true;
}

Generators::Generators() {
  for (const auto &[name, make] : generators())
    all_.emplace_back(name, make());
}

Generators::Generators(const Generators &other) : chosen_(other.chosen_) {
  for (const auto &[name, generator] : other.all_)
    all_.emplace_back(name, generator->clone());
}

std::vector<std::string> Generators::names() const {
  std::vector<std::string> names;
  for (const auto &[name, generator] : all_)
    names.push_back(name);
  return names;
}

const Generator *Generators::made(const std::string &kind) const {
  for (const auto &[name, generator] : all_)
    if (kind == generator->kind())
      return generator.get();
  return nullptr;
}

void Generators::describe_fit(Keys &keys) {
  Choosing chosen{chosen_};
  keys.section("fit");
  keys({"generator", "which generator learns the zoo"}, chosen, generator_named);
  chosen_ = chosen.index;
  for (auto &[name, generator] : all_)
    generator->describe_fit(keys);
}

void Generators::describe_one(Keys &keys, const std::string &name) {
  for (auto &[each, generator] : all_)
    if (each == name) {
      generator->describe_fit(keys);
      keys.section("sample");
      generator->describe_sample(keys);
    }
}

void Generators::describe_sample(Keys &keys) {
  for (auto &[name, generator] : all_)
    generator->describe_sample(keys);
}

void Generators::check() const {
  for (const auto &[name, generator] : all_)
    generator->check();
}

} // namespace theta
