#include "network_files.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "data/npy.h"
#include "data/pytorch.h"
#include "data/zip_file.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <glob.h>
#include <numeric>
#include <optional>
#include <set>
#include <unistd.h>
#include <utility>

namespace theta {

namespace fs = std::filesystem;

namespace {

const char *const endings[] = {".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz"};
constexpr const char *index_ending = ".safetensors.index.json";

// Whatever case its letters have.
bool is_ours(const std::string &name) {
  std::string small = name;
  std::transform(small.begin(), small.end(), small.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return small.ends_with(index_ending) ||
         std::any_of(std::begin(endings), std::end(endings), [&](const char *e) { return small.ends_with(e); });
}

// What a file is, by its first bytes.
enum class Stored { safetensors, pytorch, npy, npz, unknown };
Stored stored_as(const fs::path &path) {
  const MappedFile file(path);
  const std::string_view content(reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size());
  // Its length comes first, and may begin as any other format does.
  if (std::uint64_t header = 0; content.size() > sizeof header && content[sizeof header] == '{') {
    std::memcpy(&header, content.data(), sizeof header);
    if (header <= content.size() - sizeof header)
      return Stored::safetensors;
  }
  if (content.starts_with("\x93NUMPY"))
    return Stored::npy;
  if (content.starts_with("PK")) {
    const auto names = ZipFile(path).names();
    const bool torch = std::any_of(names.begin(), names.end(), [](const std::string &name) {
      return name == "data.pkl" || name.ends_with("/data.pkl");
    });
    return torch || names.empty() ? Stored::pytorch : Stored::npz;
  }
  if (content.starts_with('\x80')) // a bare pickle: PyTorch's before 1.6
    return Stored::pytorch;
  return content.size() > 8 && content[8] == '{' ? Stored::safetensors : Stored::unknown;
}

// Paths below root, sorted. Only the pattern is one: root may hold any character.
std::vector<std::string> found_by(const std::string &root, const std::string &pattern) {
  glob_t found{};
  std::vector<std::string> names;
  std::string literal;
  for (const char c : root)
    literal += std::string(std::strchr("*?[]\\", c) ? "\\" : "") + c;
  if (glob((literal + pattern).c_str(), 0, nullptr, &found) == 0)
    for (std::size_t i = 0; i < found.gl_pathc; ++i)
      names.push_back(std::string(found.gl_pathv[i]).substr(root.size()));
  globfree(&found);
  return names;
}

// The parts that an index names, each once, in the order of their names.
std::vector<fs::path> parts_of(const fs::path &index) {
  const MappedFile file(index);
  const std::string where = index.string();
  const Json map =
      field<Json>(parse_json({reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size()}, where),
                  "weight_map", where);
  std::set<std::string> names;
  for (const auto &[tensor, part] : map.items()) {
    if (!part.is_string() || part.get<std::string>().find('/') != std::string::npos)
      throw InputError(where, ": weight_map: '", tensor, "': found ", part.dump(),
                       ", expected a file beside the index");
    names.insert(part.get<std::string>());
  }
  if (names.empty())
    throw InputError(where, ": weight_map: found no tensor");
  std::vector<fs::path> parts;
  for (const std::string &name : names)
    parts.push_back(index.parent_path() / name);
  return parts;
}

// Rows of a [K, V] array.
Networks rows_of(const NpyArray &array, const std::string &where) {
  if (!is_floating(array.dtype) || array.shape.empty() || array.shape.size() > 2 || array.bytes.empty())
    throw InputError(where, ": found ", name_of(array.dtype), " ", text_of(array.shape),
                     ", expected flattened networks: floats [K, V]");
  const auto v = std::size_t(array.shape.back()), k = array.shape.size() == 2 ? std::size_t(array.shape[0]) : 1;
  Networks networks{.each = {}, .flattened = true, .columns = {}, .values = {}};
  for (std::size_t i = 0; i < k; ++i)
    networks.each.push_back(
        {{{"theta", {std::int64_t(v)}, to_floats(array.dtype, array.bytes.data() + i * v * size_of(array.dtype), v)}},
         {}});
  return networks;
}

// An array's values as a column has them; nothing where that would change one.
std::optional<std::vector<ColumnValue>> column_of(const NpyArray &a) {
  const auto n = std::size_t(a.shape.empty() ? 1 : a.shape[0]);
  std::vector<ColumnValue> values;
  bool exact = true;
  const auto take = [&]<class T>(T) {
    for (std::size_t i = 0; i < n; ++i) {
      T x;
      std::memcpy(&x, a.bytes.data() + i * sizeof(T), sizeof(T));
      if constexpr (std::is_same_v<T, double>) {
        exact = exact && fits_float(x);
        values.emplace_back(x);
      } else {
        exact = exact && std::in_range<std::int64_t>(x);
        values.emplace_back(std::int64_t(x));
      }
    }
  };
  switch (a.dtype) {
  case Dtype::f64:
    take(double{});
    break;
  case Dtype::i64:
    take(std::int64_t{});
    break;
  case Dtype::u64:
    take(std::uint64_t{});
    break;
  case Dtype::i32:
    take(std::int32_t{});
    break;
  case Dtype::u32:
    take(std::uint32_t{});
    break;
  case Dtype::i16:
    take(std::int16_t{});
    break;
  case Dtype::u16:
    take(std::uint16_t{});
    break;
  case Dtype::i8:
    take(std::int8_t{});
    break;
  case Dtype::u8:
  case Dtype::boolean:
    take(std::uint8_t{});
    break;
  default:
    if (!is_floating(a.dtype))
      return std::nullopt;
    for (const float x : to_floats(a.dtype, a.bytes.data(), n))
      values.emplace_back(double(x));
  }
  return exact ? std::optional(std::move(values)) : std::nullopt;
}

// Flattened networks with columns: one [K, V] array, and others of [K] that say something of each. Or else the tensors
// of one network.
Networks from_npz(const fs::path &path) {
  auto [arrays, left_out] = read_npz(path);
  const NpyArray *rows = nullptr;
  for (const auto &[name, array] : arrays)
    if (is_floating(array.dtype) && array.shape.size() == 2 &&
        (name == "theta" || (!rows && array.shape[0] != array.shape[1] && // a square and a vector are a layer's
                             std::all_of(arrays.begin(), arrays.end(), [&](const auto &other) {
                               return &other.second == &array || other.second.shape == Shape{array.shape[0]};
                             }))))
      rows = &array;
  if (rows) {
    Networks networks = rows_of(*rows, path.string());
    networks.values.resize(networks.each.size());
    for (const auto &[name, array] : arrays) {
      if (&array == rows)
        continue;
      const auto values = array.shape == Shape{rows->shape[0]} ? column_of(array) : std::nullopt;
      if (!values) {
        left_out.push_back(name);
        continue;
      }
      networks.columns.push_back({name, is_floating(array.dtype) ? Dtype::f32 : Dtype::i64});
      for (std::size_t i = 0; i < values->size(); ++i)
        networks.values[i].push_back((*values)[i]);
    }
    networks.each.front().left_out = left_out;
    return networks;
  }
  TensorTable table{{}, left_out};
  for (const auto &[name, array] : arrays) {
    const std::size_t n = array.bytes.size() / size_of(array.dtype);
    if (is_floating(array.dtype) && n > 0)
      table.tensors.push_back({name, array.shape, to_floats(array.dtype, array.bytes.data(), n)});
    else
      table.left_out.push_back(name);
  }
  return {{std::move(table)}, false, {}, {}};
}

} // namespace

std::vector<NetworksFile> networks_files(const fs::path &folder, const std::string &pattern) {
  if (fs::is_regular_file(folder))
    return {{folder.filename().string(),
             folder.string().ends_with(index_ending) ? parts_of(folder) : std::vector<fs::path>{folder}}};
  if (!fs::exists(folder))
    throw InputError(folder.string(), ": cannot be read: there is no such file or folder");
  if (access(folder.c_str(), R_OK | X_OK) != 0)
    throw InputError(folder.string(), ": cannot be read: ", std::strerror(errno));
  const std::string root = (folder / "").string();
  std::vector<std::string> names = found_by(root, pattern.empty() ? "*" : pattern);
  std::erase_if(names, [&](const std::string &name) {
    if (fs::is_directory(root + name) || fs::path(name).filename().string().starts_with('.'))
      return true;
    return !is_ours(name) && (pattern.empty() || stored_as(root + name) == Stored::unknown);
  });
  std::set<fs::path> in_an_index;
  std::vector<NetworksFile> files;
  for (const std::string &name : names)
    if (name.ends_with(index_ending)) {
      files.push_back({name, parts_of(root + name)});
      in_an_index.insert(files.back().parts.begin(), files.back().parts.end());
    }
  for (const std::string &name : names)
    if (!name.ends_with(index_ending) && !in_an_index.contains(root + name))
      files.push_back({name, {root + name}});
  std::sort(files.begin(), files.end(), [](const auto &a, const auto &b) { return a.name < b.name; });
  if (files.empty())
    throw InputError(root, pattern.empty() ? "*" : pattern,
                     ": found no file, expected networks: .safetensors, .pt, .pth, .ckpt, .bin, .npy or .npz");
  return files;
}

Networks read_networks(const NetworksFile &file) {
  const fs::path &first = file.parts.front();
  switch (stored_as(first)) { // its ending says nothing
  case Stored::pytorch:
    return {read_pytorch(first), false, {}, {}};
  case Stored::npy:
    return rows_of(read_npy(first), first.string());
  case Stored::npz:
    return from_npz(first);
  case Stored::unknown:
    if (!first.string().ends_with(".safetensors")) // whose reader says what is wrong with it
      throw InputError(first.string(), ": found neither safetensors nor what PyTorch or numpy write");
    break;
  case Stored::safetensors:
    break;
  }
  TensorTable table;
  for (const fs::path &part : file.parts) {
    TensorTable of = safetensors_table(part);
    std::move(of.tensors.begin(), of.tensors.end(), std::back_inserter(table.tensors));
    table.left_out.insert(table.left_out.end(), of.left_out.begin(), of.left_out.end());
  }
  return {{std::move(table)}, false, {}, {}};
}

std::vector<TensorTable> unstacked(const TensorTable &table, const std::string &where) {
  const std::int64_t k = table.tensors.front().shape.empty() ? 0 : table.tensors.front().shape[0];
  std::vector<TensorTable> networks(static_cast<std::size_t>(k), {{}, table.left_out});
  for (const NamedTensor &t : table.tensors) {
    if (t.shape.empty() || t.shape[0] != k)
      throw InputError(where, ": '", t.name, "': found ", text_of(t.shape), ", expected a first side of ", k,
                       ", the number of networks");
    const std::size_t n = t.values.size() / std::size_t(k);
    for (std::size_t i = 0; i < std::size_t(k); ++i)
      networks[i].tensors.push_back(
          {t.name,
           Shape(t.shape.begin() + 1, t.shape.end()),
           {t.values.begin() + std::ptrdiff_t(i * n), t.values.begin() + std::ptrdiff_t((i + 1) * n)}});
  }
  return networks;
}

} // namespace theta
