// What the files of all generators share: the networks that they generate, as JSON, and a key.
#pragma once
#include "data/json.h"
#include "data/safetensors.h"
#include "data/zoo_format.h"

namespace theta {

// "parameters", "layout" and "facts" of the networks.
void put_networks(Json &about, const ZooFormat &);
ZooFormat networks_of(const Json &about, const std::string &where);

// The JSON of a generator file of that kind. Throws InputError where it is another's.
Json about_generator(const Safetensors &, const std::string &kind);

// The key that a generator file was saved with; empty where there is no readable file.
std::string generator_key(const std::filesystem::path &);

} // namespace theta
