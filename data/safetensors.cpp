#include "safetensors.h"
#include "atomic_file.h"
#include "json.h"
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace theta {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace {

constexpr std::size_t length_bytes = 8, largest_header = 100'000'000;

// Bytes of a tensor of this shape. Throws InputError where the product overflows.
std::size_t bytes_of(const Shape &shape, Dtype dtype, const std::string &where) {
  std::size_t bytes = size_of(dtype);
  for (const auto side : shape) {
    if (side < 0 || (side > 0 && bytes > (std::numeric_limits<std::size_t>::max() >> 1) / std::size_t(side)))
      throw InputError(where, ": shape ", text_of(shape), " is negative or too large");
    bytes *= std::size_t(side);
  }
  return bytes;
}

TensorInfo parse_tensor(const std::string &name, const Json &entry, const std::string &path) {
  const std::string where = path + ": tensor '" + name + "'";
  TensorInfo info{.name = name, .dtype = {}, .shape = {}, .begin = 0, .end = 0};
  const auto dtype = field<std::string>(entry, "dtype", where);
  if (!dtype_named(dtype, info.dtype))
    throw InputError(where, ": dtype '", dtype, "' is not supported");
  const auto sides = field<Json>(entry, "shape", where), offsets = field<Json>(entry, "data_offsets", where);
  const auto is_count = [](const Json &x) {
    return x.is_number_unsigned() && x.get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<std::int64_t>::max());
  };
  if (!sides.is_array() || !std::all_of(sides.begin(), sides.end(), is_count))
    throw InputError(where, ": shape: found ", sides.dump(), ", expected a list of sizes");
  if (!offsets.is_array() || offsets.size() != 2 || !std::all_of(offsets.begin(), offsets.end(), is_count))
    throw InputError(where, ": data_offsets: found ", offsets.dump(), ", expected [begin, end]");
  info.shape = sides.get<Shape>();
  info.begin = offsets[0].get<std::size_t>(), info.end = offsets[1].get<std::size_t>();
  const std::size_t expected = bytes_of(info.shape, info.dtype, where);
  if (info.end < info.begin || info.end - info.begin != expected)
    throw InputError(where, ": data_offsets [", info.begin, ", ", info.end, "] do not span the ", expected,
                     " bytes of ", dtype, " ", text_of(info.shape));
  return info;
}

} // namespace

Safetensors::Safetensors(const std::filesystem::path &path) : file_(path) {
  const std::string where = path.string();
  const auto all = file_.bytes();
  if (all.size() < length_bytes)
    throw InputError(where, ": found ", all.size(), " bytes, expected a safetensors file of at least ", length_bytes);
  std::uint64_t length = 0;
  std::memcpy(&length, all.data(), length_bytes);
  if (length > std::min(largest_header, all.size() - length_bytes))
    throw InputError(where, ": header length: found ", length, ", but the file ends after ", all.size(), " bytes");
  data_start_ = length_bytes + length;
  const auto json = header();
  const std::string_view written(reinterpret_cast<const char *>(json.data()), json.size());
  if (written.find('\0') != std::string_view::npos)
    throw InputError(where, ": header: found a NUL byte, expected JSON padded with spaces");
  const Json root = parse_json(written, where + ": header");
  if (!root.is_object())
    throw InputError(where, ": header: expected a JSON object");

  for (const auto &[name, entry] : root.items()) {
    if (name != "__metadata__") {
      tensors_.push_back(parse_tensor(name, entry, where));
      continue;
    }
    if (!entry.is_object())
      throw InputError(where, ": __metadata__: expected an object of strings");
    for (const auto &[key, value] : entry.items()) {
      if (!value.is_string())
        throw InputError(where, ": __metadata__: '", key, "': expected a string");
      metadata_[key] = value.get<std::string>();
    }
  }

  std::stable_sort(tensors_.begin(), tensors_.end(), [](const TensorInfo &a, const TensorInfo &b) {
    return a.begin < b.begin || (a.begin == b.begin && a.end < b.end);
  });
  std::size_t covered = 0;
  for (const auto &t : tensors_) {
    if (t.begin != covered)
      throw InputError(where, ": tensor '", t.name, "' begins at byte ", t.begin, " of the data, expected ", covered,
                       " (a gap or an overlap)");
    covered = t.end;
  }
  if (covered != all.size() - data_start_)
    throw InputError(where, ": the tensors end at byte ", covered, " of the data, the file has ",
                     all.size() - data_start_);
}

std::span<const std::byte> Safetensors::header() const {
  return file_.bytes().subspan(length_bytes, data_start_ - length_bytes);
}

const std::string &Safetensors::metadata(const std::string &key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end())
    throw InputError(path().string(), ": __metadata__ has no '", key, "'");
  return found->second;
}

const TensorInfo *Safetensors::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto &t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

const TensorInfo &Safetensors::tensor(std::string_view name) const {
  if (const auto *found = find(name))
    return *found;
  throw InputError(path().string(), ": has no tensor '", name, "'");
}

std::span<const std::byte> Safetensors::bytes(const TensorInfo &info) const {
  return file_.bytes().subspan(data_start_ + info.begin, info.end - info.begin);
}

void Safetensors::read(const TensorInfo &info, std::size_t first, void *to, std::size_t count) const {
  file_.read(data_start_ + info.begin + first, to, count);
}

void Safetensors::will_read(const TensorInfo &info, std::size_t first, std::size_t count) const {
  file_.will_read(data_start_ + info.begin + first, count);
}

template <class T> std::vector<T> Safetensors::read(std::string_view name) const {
  const TensorInfo &info = tensor(name);
  if (info.dtype != dtype_of<T>)
    throw InputError(path().string(), ": tensor '", name, "': found ", name_of(info.dtype), ", expected ",
                     name_of(dtype_of<T>));
  std::vector<T> values(info.elements());
  if (!values.empty())
    read(info, 0, values.data(), values.size() * sizeof(T));
  return values;
}

template <class T> std::vector<T> Safetensors::read(std::string_view name, const Shape &shape) const {
  if (tensor(name).shape != shape)
    throw InputError(path().string(), ": tensor '", name, "': found shape ", text_of(tensor(name).shape), ", expected ",
                     text_of(shape));
  return read<T>(name);
}

#define THETA_INSTANTIATE(T)                                                                                           \
  template std::vector<T> Safetensors::read(std::string_view) const;                                                   \
  template std::vector<T> Safetensors::read(std::string_view, const Shape &) const;
THETA_INSTANTIATE(float)
THETA_INSTANTIATE(double)
THETA_INSTANTIATE(std::uint8_t)
THETA_INSTANTIATE(std::uint32_t)
THETA_INSTANTIATE(std::int32_t)
THETA_INSTANTIATE(std::int64_t)
THETA_INSTANTIATE(std::uint64_t)

std::string safetensors_header(const std::vector<TensorInfo> &tensors,
                               const std::map<std::string, std::string> &metadata, std::size_t alignment,
                               std::size_t least) {
  Json root = Json::object();
  if (!metadata.empty())
    root["__metadata__"] = metadata;
  for (const auto &t : tensors)
    root[t.name] = {{"dtype", name_of(t.dtype)}, {"shape", t.shape}, {"data_offsets", {t.begin, t.end}}};
  std::string header = root.dump();
  const std::size_t start = std::max(length_bytes + header.size(), least);
  header.resize((start + alignment - 1) / alignment * alignment - length_bytes, ' ');
  return header;
}

void write_safetensors(const std::filesystem::path &path, const std::vector<TensorSource> &tensors,
                       const std::map<std::string, std::string> &metadata) {
  std::vector<TensorInfo> infos;
  std::size_t at = 0;
  for (const auto &t : tensors) {
    const std::size_t bytes = bytes_of(t.shape, t.dtype, path.string());
    infos.push_back({t.name, t.dtype, t.shape, at, at + bytes});
    at += bytes;
  }
  const std::string header = safetensors_header(infos, metadata, 64);
  const std::uint64_t length = header.size();
  AtomicFile file(path);
  file.write(0, &length, length_bytes);
  file.write(length_bytes, header.data(), header.size());
  for (std::size_t i = 0; i < tensors.size(); ++i)
    file.write(length_bytes + length + infos[i].begin, tensors[i].data, infos[i].end - infos[i].begin);
  file.publish();
}

} // namespace theta
