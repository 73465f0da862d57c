#include "generator_file.h"
#include "data/json.h"
#include "engine/networks/layout.h"
#include <algorithm>

namespace theta {

void put_networks(Json &about, const ZooFormat &networks) {
  Json layout = Json::array();
  for (const auto &place : networks.layout)
    layout.push_back({{"name", place.name}, {"shape", place.shape}, {"offset", place.offset}});
  about["parameters"] = networks.parameters, about["layout"] = layout;
  about["facts"] = parse_json(networks.facts, "facts");
}

ZooFormat networks_of(const Json &about, const std::string &where) {
  ZooFormat networks;
  networks.parameters = field<std::size_t>(about, "parameters", where);
  networks.facts = field<Json>(about, "facts", where).dump();
  for (const auto &entry : field<Json>(about, "layout", where))
    networks.layout.push_back({field<std::string>(entry, "name", where), field<Shape>(entry, "shape", where),
                               field<std::size_t>(entry, "offset", where)});
  std::size_t offset = 0; // one tensor behind the other, none of them empty
  for (const auto &place : networks.layout) {
    const bool positive = std::all_of(place.shape.begin(), place.shape.end(),
                                      [](std::int64_t side) { return side > 0 && side < std::int64_t(1) << 31; });
    if (!positive || place.shape.size() > 8 || place.offset != offset || offset > std::size_t(1) << 40)
      throw InputError(where, ": layout: '", place.name, "': found ", text_of(place.shape), " at ", place.offset,
                       ", expected a tensor at ", offset);
    offset += elements_of(place);
  }
  if (offset == 0 || offset != networks.parameters)
    throw InputError(where, ": layout: found ", offset, " parameters, expected ", networks.parameters);
  return networks;
}

void put_architectures(Json &about, const std::vector<ZooFormat> &networks) {
  about["networks"] = Json::array();
  for (const ZooFormat &format : networks) {
    Json one;
    put_networks(one, format);
    about["networks"].push_back(one);
  }
}

std::vector<ZooFormat> architectures_of(const Json &about, const std::string &where) {
  if (!about.contains("networks"))
    return {networks_of(about, where)};
  std::vector<ZooFormat> all;
  for (const Json &one : field<Json>(about, "networks", where))
    all.push_back(networks_of(one, where));
  if (all.empty())
    throw InputError(where, ": networks: found none, expected the architectures that it has learned");
  return all;
}

Json about_generator(const Safetensors &file, const std::string &kind) {
  const std::string where = file.path().string();
  Json about = parse_json(file.metadata("theta"), where);
  if (const auto found = field<std::string>(about, "kind", where); found != kind)
    throw InputError(where, ": kind: found '", found, "', expected ", kind);
  return about;
}

std::map<std::string, std::string> metadata_of(const Json &about, const Stamp &stamp) {
  return {{"theta", about.dump()}, {"key", stamp.key}, {"settings", stamp.settings}};
}

std::string generator_settings(const std::filesystem::path &path) {
  const Safetensors file(path);
  const auto found = file.metadata().find("settings");
  return found == file.metadata().end() ? "" : found->second;
}

std::string generator_key(const std::filesystem::path &path) {
  try {
    return Safetensors(path).metadata("key");
  } catch (const InputError &) {
    return "";
  }
}

void put_tensors(std::vector<TensorSource> &to, const std::string &prefix, const Layout &layout,
                 const std::vector<float> &values) {
  for (const TensorPlace &place : layout.places())
    to.push_back({prefix + place.name, Dtype::f32, place.shape, values.data() + place.offset});
}

std::vector<float> read_tensors(const Safetensors &file, const std::string &prefix, const Layout &layout) {
  std::vector<float> values(layout.size());
  for (const TensorPlace &place : layout.places()) {
    const auto part = file.read<float>(prefix + place.name, place.shape);
    std::copy(part.begin(), part.end(), values.begin() + std::ptrdiff_t(place.offset));
  }
  return values;
}

} // namespace theta
