// What the files of all generators share: the networks that they generate, as JSON, and a key.
#pragma once
#include "data/json_forward.h"
#include "data/safetensors.h"
#include "data/zoo_format.h"
#include "engine/networks/layout.h"

namespace theta {

// "parameters", "layout" and "facts" of the networks.
void put_networks(Json &about, const ZooFormat &);
ZooFormat networks_of(const Json &about, const std::string &where);
// The same of a generator of several architectures, "networks": a list of the above; of any other's, the one that it
// has.
void put_architectures(Json &about, const std::vector<ZooFormat> &networks);
std::vector<ZooFormat> architectures_of(const Json &about, const std::string &where);

// The JSON of a generator file of that kind. Throws InputError where it is another's.
Json about_generator(const Safetensors &, const std::string &kind);

// What a generator file carries of the run that made it: the key of its stage, and the settings that the key is of.
struct Stamp {
  std::string key, settings;
  Stamp(const char *key) : key(key) {}
  Stamp(std::string key, std::string settings = "") : key(std::move(key)), settings(std::move(settings)) {}
};
std::map<std::string, std::string> metadata_of(const Json &about, const Stamp &);
// The settings that a file was made with; empty where it does not say.
std::string generator_settings(const std::filesystem::path &);

// The key that a generator file was saved with; empty where there is no readable file.
std::string generator_key(const std::filesystem::path &);

// The tensors of a model's flat vector for a file, their names after `prefix`, and back. Throws InputError where one is
// missing, or of another shape.
void put_tensors(std::vector<TensorSource> &, const std::string &prefix, const Layout &, const std::vector<float> &);
std::vector<float> read_tensors(const Safetensors &, const std::string &prefix, const Layout &);

} // namespace theta
