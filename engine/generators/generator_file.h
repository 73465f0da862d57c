// What the files of all generators share: the networks that they generate, and how they were trained, as JSON.
#pragma once
#include "data/json.h"
#include "pdiff.h"

namespace theta {

Json json_of(const FitRecipe &);
FitRecipe recipe_of(const Json &, const std::string &where);

// "parameters", "layout" and "facts" of the networks.
void put_networks(Json &about, const ZooFormat &);
ZooFormat networks_of(const Json &about, const std::string &where);

// The JSON of a generator file of that kind. Throws InputError where it is another's.
Json about_generator(const Safetensors &, const std::string &kind);

} // namespace theta
