#include "state_file.h"
#include "data/json.h"

namespace theta {

namespace {

template <class Map> const auto &entry(const Map &map, const std::string &name) {
  const auto found = map.find(name);
  if (found == map.end())
    throw InputError("training state: has no '", name, "'; delete the state file to start the stage again");
  return found->second;
}

} // namespace

long TrainingState::number(const std::string &name) const { return entry(count, name); }
const std::vector<float> &TrainingState::tensor(const std::string &name) const { return entry(tensors, name); }

void save_state(const std::filesystem::path &path, const TrainingState &state) {
  std::vector<TensorSource> tensors;
  for (const auto &[name, values] : state.tensors)
    tensors.push_back({name, Dtype::f32, {std::int64_t(values.size())}, values.data()});
  write_safetensors(path, tensors, {{"key", state.key}, {"count", Json(state.count).dump()}});
}

std::optional<TrainingState> load_state(const std::filesystem::path &path, const std::string &key) {
  if (!std::filesystem::exists(path))
    return std::nullopt;
  const Safetensors file(path);
  if (file.metadata("key") != key)
    return std::nullopt;
  TrainingState state{.key = key};
  const Json counts = parse_json(file.metadata("count"), path.string());
  for (const auto &[name, value] : counts.items())
    state.count[name] = field<long>(counts, name.c_str(), path.string());
  for (const auto &tensor : file.tensors())
    state.tensors[tensor.name] = file.read<float>(tensor.name);
  return state;
}

} // namespace theta
