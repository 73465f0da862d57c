// Every setting of a description, for people and for editors.
#pragma once
#include "data/json_forward.h"
#include "toml_keys.h"

namespace theta {

struct ListedKey {
  enum class Type { text, flag, number, integer, choice, texts, numbers, integers, lists, name, names };
  std::string path; // "fit.autoencoder.steps"
  Type type;
  std::string initial; // as a configuration writes it; empty where it writes nothing
  Limits limits;
  std::vector<std::string> allowed; // of a name
  std::string meaning;
};

// In the order of their description, each once.
std::vector<ListedKey> listed_keys(const Describe &);

// "1 to 1e+09", "relu, tanh or sine", "true or false": what a value may be.
std::string limits_of(const ListedKey &);

// JSON Schema (draft 2020-12) of a configuration with these keys, which editors complete and check TOML by.
Json schema_of(const std::vector<ListedKey> &);

} // namespace theta
