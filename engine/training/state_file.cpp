#include "state_file.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include <algorithm>

namespace theta {

namespace {

constexpr std::size_t piece = std::size_t(1) << 18; // elements
constexpr std::size_t length_bytes = 8;

} // namespace

StateTensor state_of(Stream &s, std::string name, const float *there, std::size_t count) {
  return {std::move(name), count, [&s, there, count](const StateTensor::Take &take) {
            if (!s.is_cuda())
              return s.synchronize(), take(there, count);
            std::vector<float> part(std::min(piece, count));
            for (std::size_t first = 0; first < count; first += part.size()) {
              const std::size_t n = std::min(part.size(), count - first);
              copy(s, part.data(), there + first, n * sizeof(float));
              s.synchronize();
              take(part.data(), n);
            }
          }};
}

StateTensor state_of(std::string name, const std::vector<float> &values) {
  return {std::move(name), values.size(),
          [&values](const StateTensor::Take &take) { take(values.data(), values.size()); }};
}

void save_state(const std::filesystem::path &path, const TrainingState &state) {
  std::vector<const StateTensor *> order;
  for (const StateTensor &tensor : state.tensors)
    order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto *a, const auto *b) { return a->name < b->name; });
  std::vector<TensorInfo> tensors;
  std::size_t end = 0;
  for (const StateTensor *tensor : order) {
    const std::size_t begin = end;
    end += tensor->count * sizeof(float);
    tensors.push_back({tensor->name, Dtype::f32, {std::int64_t(tensor->count)}, begin, end});
  }
  const std::string header =
      safetensors_header(tensors, {{"key", state.key}, {"count", Json(state.count).dump()}}, length_bytes);
  const std::uint64_t length = header.size();
  AtomicFile file(path);
  file.write(0, &length, length_bytes);
  file.write(length_bytes, header.data(), header.size());
  std::size_t at = length_bytes + header.size();
  for (const StateTensor *tensor : order)
    tensor->pieces([&](const float *values, std::size_t n) {
      file.write(at, values, n * sizeof(float));
      at += n * sizeof(float);
    });
  if (at != length_bytes + header.size() + end)
    throw Error(path.string(), ": found ", at - length_bytes - header.size(), " bytes of tensors, expected ", end);
  file.publish();
}

SavedState::SavedState(const std::filesystem::path &path) : file_(path) {
  const Json counts = parse_json(file_.metadata("count"), path.string());
  for (const auto &[name, value] : counts.items())
    count_[name] = field<long>(counts, name.c_str(), path.string());
}

long SavedState::number(const std::string &name) const {
  const auto found = count_.find(name);
  if (found == count_.end())
    throw InputError("training state: has no '", name, "'; delete the state file to start the stage again");
  return found->second;
}

std::vector<float> SavedState::tensor(const std::string &name) const {
  if (!has(name))
    throw InputError("training state: has no '", name, "'; delete the state file to start the stage again");
  return file_.read<float>(name);
}

void SavedState::read(const std::string &name, std::size_t count, const Put &put) const {
  const std::size_t found = has(name) ? file_.tensor(name).elements() : 0;
  if (found != count || (found > 0 && file_.tensor(name).dtype != Dtype::f32))
    throw InputError("training state: '", name, "': found ", found, " values, expected ", count);
  std::vector<float> part(std::min(piece, count));
  for (std::size_t first = 0; first < count; first += part.size()) {
    const std::size_t n = std::min(part.size(), count - first);
    file_.read(file_.tensor(name), first * sizeof(float), part.data(), n * sizeof(float));
    put(first, part.data(), n);
  }
}

void SavedState::read(Stream &s, const std::string &name, float *there, std::size_t count) const {
  read(name, count, [&](std::size_t first, const float *values, std::size_t n) {
    copy(s, there + first, values, n * sizeof(float));
    s.synchronize();
  });
}

std::optional<SavedState> load_state(const std::filesystem::path &path, const std::string &key) {
  if (!std::filesystem::exists(path) || Safetensors(path).metadata("key") != key)
    return std::nullopt;
  return std::optional<SavedState>(std::in_place, path);
}

} // namespace theta
