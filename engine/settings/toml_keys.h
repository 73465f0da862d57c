// Configurations: TOML in, checked settings out, and back.
#pragma once
#include "keys.h"
#include <filesystem>

namespace theta {

using Describe = std::function<void(Keys &)>;

// Reads a file, with `overrides` such as "zoo.steps=500" applied over it, into the settings that `describe` says.
// Throws InputError with the file, the key, what was found and what was expected; an unknown key names the nearest
// known one. What `describe` throws itself is given the file's name too.
void read_toml(const std::filesystem::path &, const std::vector<std::string> &overrides, const Describe &describe);

// The settings that `describe` says, as they are: read_toml gives the same back. A key that is said twice (a setting
// that several share) is written once.
std::string toml_text(const Describe &describe);

// The value of a key ("fit.latent") in such a text, as it would be written; empty where there is none.
std::string value_in(const std::string &toml, const std::string &key);

// The first setting that `found` and `expected`, two such texts, say otherwise: "zoo.lr: found 0.001, expected 0.01".
// Empty where they agree.
std::string difference_of(const std::string &found, const std::string &expected);

// Of such a text, the tables of these names and what they hold, and the line of the seed.
std::string sections_of(const std::string &toml, const std::vector<std::string> &names);

} // namespace theta
