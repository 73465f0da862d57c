#include "zoo.h"
#include "atomic_file.h"
#include "hash.h"
#include "json.h"
#include "kernels/device/bf16.h"
#include <algorithm>
#include <cstring>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr int format_version = 1;
constexpr std::size_t alignment = 4096, length_bytes = 8;
constexpr const char *index_name = "index.json", *theta_name = "theta", *checksum_name = "checksum";

std::string shard_name(std::size_t i) {
  std::string digits = std::to_string(i);
  return "shard-" + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits + ".safetensors";
}

// The tensors of a shard of `rows` networks, in the order of their bytes.
std::vector<TensorInfo> tensors_of(const ZooFormat &format, std::size_t rows) {
  std::vector<TensorInfo> all;
  std::size_t at = 0;
  const auto add = [&](const std::string &name, Dtype dtype, Shape shape, std::size_t elements) {
    all.push_back({name, dtype, std::move(shape), at, at + elements * size_of(dtype)});
    at = all.back().end;
  };
  const auto k = std::int64_t(rows), v = std::int64_t(format.parameters);
  add(theta_name, format.dtype, {k, v}, rows * format.parameters);
  for (const auto &column : format.columns)
    add(column.name, column.dtype, {k}, rows);
  add(checksum_name, Dtype::u64, {k}, rows);
  return all;
}

Json describe(const ZooFormat &format) {
  Json layout = Json::array(), columns = Json::array();
  for (const auto &place : format.layout)
    layout.push_back({{"name", place.name}, {"shape", place.shape}, {"offset", place.offset}});
  for (const auto &column : format.columns)
    columns.push_back({{"name", column.name}, {"dtype", name_of(column.dtype)}});
  Json all = {{"format", format_version},
              {"parameters", format.parameters},
              {"dtype", name_of(format.dtype)},
              {"layout", layout},
              {"columns", columns}};
  all["facts"] = parse_json(format.facts, "facts of a zoo");
  return all;
}

Dtype dtype_field(const Json &object, std::initializer_list<Dtype> allowed, const std::string &where) {
  const auto name = field<std::string>(object, "dtype", where);
  Dtype dtype{};
  if (!dtype_named(name, dtype) || std::find(allowed.begin(), allowed.end(), dtype) == allowed.end())
    throw InputError(where, ": dtype: found '", name, "', which this field cannot have");
  return dtype;
}

// Elements of a tensor that must fit into `limit`. Throws InputError.
std::size_t elements_of(const TensorPlace &place, std::size_t limit, const std::string &where) {
  std::size_t size = 1;
  for (const auto side : place.shape) {
    if (side <= 0 || std::size_t(side) > limit / size)
      throw InputError(where, ": layout: '", place.name, "' of shape ", text_of(place.shape), " does not fit into ",
                       limit, " parameters");
    size *= std::size_t(side);
  }
  return size;
}

ZooFormat parse_format(const Json &json, const std::string &where) {
  if (const auto version = field<int>(json, "format", where); version != format_version)
    throw InputError(where, ": format: found ", version, ", expected ", format_version);
  ZooFormat format;
  format.parameters = field<std::size_t>(json, "parameters", where);
  format.dtype = dtype_field(json, {Dtype::f32, Dtype::bf16}, where);
  format.facts = field<Json>(json, "facts", where).dump();
  std::size_t covered = 0;
  for (const auto &entry : field<Json>(json, "layout", where)) {
    TensorPlace place{field<std::string>(entry, "name", where), field<Shape>(entry, "shape", where),
                      field<std::size_t>(entry, "offset", where)};
    if (place.offset != covered)
      throw InputError(where, ": layout: '", place.name, "' begins at ", place.offset, ", expected ", covered);
    covered += elements_of(place, format.parameters, where);
    if (covered > format.parameters)
      throw InputError(where, ": layout: '", place.name, "' does not fit into ", format.parameters, " parameters");
    format.layout.push_back(std::move(place));
  }
  if (covered != format.parameters)
    throw InputError(where, ": layout covers ", covered, " of ", format.parameters, " parameters");
  for (const auto &entry : field<Json>(json, "columns", where))
    format.columns.push_back(
        {field<std::string>(entry, "name", where), dtype_field(entry, {Dtype::f32, Dtype::i64}, where)});
  return format;
}

} // namespace

struct ZooWriter::State {
  fs::path directory;
  ZooFormat format;
  std::size_t rows_per_shard, rows = 0, rows_in_shard = 0, data_start = 0;
  std::map<std::string, std::string> metadata;
  std::unique_ptr<AtomicFile> file;
  std::vector<std::vector<std::byte>> columns; // of the open shard; the last one is the checksum
  std::vector<bf16> rounded;                   // one network in bf16
  Json shards = Json::array();

  std::size_t row_bytes() const { return format.parameters * size_of(format.dtype); }

  void open_shard() {
    const auto header = safetensors_header(tensors_of(format, rows_per_shard), metadata, alignment);
    data_start = length_bytes + header.size();
    file = std::make_unique<AtomicFile>(directory / shard_name(shards.size()));
    columns.assign(format.columns.size() + 1, {});
    rows_in_shard = 0;
  }

  void publish_shard() {
    const auto tensors = tensors_of(format, rows_in_shard);
    for (std::size_t c = 0; c < columns.size(); ++c)
      file->write(data_start + tensors[c + 1].begin, columns[c].data(), columns[c].size());
    const auto header = safetensors_header(tensors, metadata, alignment, data_start);
    const std::uint64_t length = header.size();
    if (length_bytes + length != data_start)
      throw Error(directory.string(), ": the header of a shard grew past its place");
    file->write(0, &length, length_bytes);
    file->write(length_bytes, header.data(), header.size());
    file->publish();
    file.reset();
    list_shard(rows_in_shard, std::as_bytes(std::span(header)));
  }

  void list_shard(std::size_t count, std::span<const std::byte> header) {
    shards.push_back({{"file", shard_name(shards.size())}, {"rows", count}, {"header", hash_of(header)}});
    rows += count;
  }
};

ZooWriter::ZooWriter(fs::path directory, ZooFormat format, std::size_t rows_per_shard, std::size_t keep_shards)
    : state_(new State) {
  std::error_code failed;
  fs::create_directories(directory, failed);
  if (failed)
    throw Error(directory.string(), ": cannot be created: ", failed.message());
  State &s = *state_;
  s.metadata["theta"] = describe(format).dump();
  s.directory = std::move(directory), s.format = std::move(format), s.rows_per_shard = rows_per_shard;
  for (std::size_t i = 0; i < keep_shards; ++i) {
    const Safetensors shard(s.directory / shard_name(i));
    if (shard.metadata("theta") != s.metadata["theta"])
      throw InputError(shard.path().string(), ": was written by another recipe");
    s.list_shard(std::size_t(shard.tensor(theta_name).shape.at(0)), shard.header());
  }
  std::vector<fs::path> stale;
  for (const auto &entry : fs::directory_iterator(s.directory)) {
    const auto name = entry.path().filename().string();
    const bool kept =
        std::any_of(s.shards.begin(), s.shards.end(), [&](const Json &shard) { return shard["file"] == name; });
    if (name == index_name || (!kept && (name.starts_with("shard-") || name.starts_with(".shard-"))))
      stale.push_back(entry.path());
  }
  for (const auto &path : stale)
    fs::remove(path);
}

ZooWriter::~ZooWriter() = default;

std::size_t ZooWriter::rows() const { return state_->rows + (state_->file ? state_->rows_in_shard : 0); }
std::size_t ZooWriter::shards() const { return state_->shards.size(); }

void ZooWriter::publish_shard() {
  if (state_->file)
    state_->publish_shard();
}

void ZooWriter::append(const float *theta, const std::vector<ColumnValue> &values) {
  State &s = *state_;
  if (values.size() != s.format.columns.size())
    throw Error(s.directory.string(), ": a row has ", values.size(), " values, expected ", s.format.columns.size());
  if (!s.file)
    s.open_shard();
  const void *stored = theta;
  if (s.format.dtype == Dtype::bf16) {
    s.rounded.resize(s.format.parameters);
    std::transform(theta, theta + s.format.parameters, s.rounded.begin(), [](float x) { return to_bf16(x); });
    stored = s.rounded.data();
  }
  s.file->write(s.data_start + s.rows_in_shard * s.row_bytes(), stored, s.row_bytes());
  Hasher hash; // the parameters as stored, then the column values as stored
  hash.add(stored, s.row_bytes());
  const auto put = [&](std::size_t c, auto value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    s.columns[c].insert(s.columns[c].end(), bytes.begin(), bytes.end());
    hash.add(&value, sizeof value);
  };
  for (std::size_t c = 0; c < values.size(); ++c)
    std::visit(
        [&](auto value) {
          if (s.format.columns[c].dtype == Dtype::i64)
            put(c, std::int64_t(value));
          else
            put(c, float(value));
        },
        values[c]);
  put(values.size(), hash.value());
  if (++s.rows_in_shard == s.rows_per_shard)
    s.publish_shard();
}

void ZooWriter::finish() {
  State &s = *state_;
  publish_shard();
  Json index = {{"format", format_version}, {"rows", s.rows}, {"shards", s.shards}};
  index["theta"] = parse_json(s.metadata["theta"], "zoo");
  write_file(s.directory / index_name, index.dump(1) + "\n");
}

ZooReader::ZooReader(const fs::path &directory) : directory_(directory) {
  const auto index_path = directory / index_name;
  if (!fs::exists(index_path))
    throw InputError(directory.string(), ": is not a complete zoo: found no ", index_name);
  const std::string where = index_path.string();
  const MappedFile text(index_path);
  const Json index = parse_json({reinterpret_cast<const char *>(text.bytes().data()), text.bytes().size()}, where);
  const Json described = field<Json>(index, "theta", where);
  format_ = parse_format(described, where);
  for (const auto &entry : field<Json>(index, "shards", where)) {
    const auto name = field<std::string>(entry, "file", where);
    if (name.find('/') != std::string::npos)
      throw InputError(where, ": file: found '", name, "', expected the name of a shard beside the index");
    const auto rows = field<std::size_t>(entry, "rows", where);
    Shard shard{Safetensors(directory / name), rows_, rows};
    const std::string path = shard.file.path().string();
    if (const auto hash = hash_of(shard.file.header()); hash != field<std::string>(entry, "header", where))
      throw InputError(path, ": header: found checksum ", hash, ", expected ",
                       field<std::string>(entry, "header", where));
    if (rows > std::size_t(1) << 40)
      throw InputError(where, ": rows: found ", rows);
    const auto expected = tensors_of(format_, rows);
    const auto &found = shard.file.tensors();
    bool same = found.size() == expected.size();
    for (std::size_t i = 0; same && i < found.size(); ++i)
      same = found[i].name == expected[i].name && found[i].dtype == expected[i].dtype &&
             found[i].shape == expected[i].shape;
    if (!same)
      throw InputError(path, ": its tensors are not those of ", rows, " networks of ", format_.parameters,
                       " parameters");
    if (parse_json(shard.file.metadata("theta"), path) != described)
      throw InputError(path, ": __metadata__: describes another zoo than ", where);
    shards_.push_back(std::move(shard));
    rows_ += rows;
  }
  if (const auto rows = field<std::size_t>(index, "rows", where); rows != rows_)
    throw InputError(where, ": rows: found ", rows, ", but its shards hold ", rows_);
}

std::size_t ZooReader::bytes() const {
  std::size_t sum = 0;
  for (const auto &shard : shards_)
    sum += fs::file_size(shard.file.path());
  return sum;
}

void ZooReader::theta(std::size_t row, float *out) const {
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), row,
                                      [](std::size_t r, const Shard &s) { return r < s.first_row; });
  if (row >= rows_ || after == shards_.begin())
    throw Error(directory_.string(), ": row ", row, " of ", rows_);
  const Shard &shard = *(after - 1);
  const std::size_t bytes = parameters() * size_of(format_.dtype);
  const std::byte *stored = shard.file.bytes(shard.file.tensor(theta_name)).data() + (row - shard.first_row) * bytes;
  if (format_.dtype == Dtype::f32) {
    std::memcpy(out, stored, bytes);
    return;
  }
  for (std::size_t i = 0; i < parameters(); ++i) {
    bf16 half;
    std::memcpy(&half, stored + 2 * i, 2);
    out[i] = to_float(half);
  }
}

bool ZooReader::has_column(std::string_view name) const {
  return std::any_of(format_.columns.begin(), format_.columns.end(), [&](const Column &c) { return c.name == name; });
}

template <class T> std::vector<T> ZooReader::column(std::string_view name) const {
  std::vector<T> all;
  for (const auto &shard : shards_) {
    const auto part = shard.file.read<T>(name);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<std::int64_t> ZooReader::integers(std::string_view name) const { return column<std::int64_t>(name); }
std::vector<float> ZooReader::floats(std::string_view name) const { return column<float>(name); }

std::vector<std::size_t> ZooReader::corrupt_rows() const {
  std::vector<std::size_t> corrupt;
  for (const auto &shard : shards_) {
    const auto checksums = shard.file.read<std::uint64_t>(checksum_name);
    for (std::size_t row = 0; row < shard.rows; ++row) {
      Hasher hash; // the parameters as stored, then the column values as stored
      for (const auto &tensor : shard.file.tensors())
        if (tensor.name != checksum_name) {
          const std::size_t bytes = (tensor.end - tensor.begin) / shard.rows;
          hash.add(shard.file.bytes(tensor).data() + row * bytes, bytes);
        }
      if (hash.value() != checksums[row])
        corrupt.push_back(shard.first_row + row);
    }
  }
  return corrupt;
}

} // namespace theta
