#include "zoo_writer.h"
#include "atomic_file.h"
#include "hash.h"
#include "json.h"
#include "kernels/device/bf16.h"
#include "work_file.h"
#include <algorithm>

namespace theta {

namespace fs = std::filesystem;

struct ZooWriter::State {
  fs::path directory;
  ZooFormat format;
  std::size_t rows_per_shard, rows = 0, rows_in_shard = 0, data_start = 0;
  std::map<std::string, std::string> metadata;
  std::unique_ptr<AtomicFile> file;
  std::optional<RowCodec> codec;
  std::vector<std::vector<std::byte>> streams; // of the open shard, where there is a codec
  std::unique_ptr<WorkFile> plain;             // its rows that came in parts
  std::vector<std::vector<std::byte>> columns; // of the open shard; the last one is the checksum
  std::vector<bf16> rounded;                   // a part of a network in bf16
  Json shards = Json::array();

  std::size_t row_bytes() const { return format.parameters * size_of(format.dtype); }

  void open_shard() {
    const auto header = safetensors_header(zoo_files::tensors(format, rows_per_shard), metadata, zoo_files::alignment);
    data_start = zoo_files::length_bytes + header.size();
    file = std::make_unique<AtomicFile>(directory / zoo_files::shard(shards.size()));
    columns.assign(format.columns.size() + 1, {});
    streams.assign(codec ? codec->streams().size() : 0, {});
    rows_in_shard = 0;
  }

  // The shard's next row in its form.
  void put(const float *theta, const std::vector<ColumnValue> &values) {
    const auto row = codec->encode(theta);
    std::size_t at = 0;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      const auto begin = row.begin() + std::ptrdiff_t(at);
      at += codec->streams()[i].bytes();
      streams[i].insert(streams[i].end(), begin, row.begin() + std::ptrdiff_t(at));
    }
    Hasher hash;
    describe(values, hash, row);
  }

  WorkFile &plain_rows() {
    if (!plain)
      plain = std::make_unique<WorkFile>(directory / (".shard-" + std::to_string(shards.size()) + ".rows"), true);
    return *plain;
  }

  // The shard's next row is there; `hash` is of its parameters as stored. To it go the column values as stored, and what
  // stands behind them: a row with a form.
  void describe(const std::vector<ColumnValue> &values, Hasher &hash, std::span<const std::byte> behind = {}) {
    if (values.size() != format.columns.size())
      throw Error(directory.string(), ": a row has ", values.size(), " values, expected ", format.columns.size());
    const auto put = [&](std::size_t c, auto value) {
      const auto bytes = std::as_bytes(std::span(&value, 1));
      columns[c].insert(columns[c].end(), bytes.begin(), bytes.end());
      hash.add(&value, sizeof value);
    };
    for (std::size_t c = 0; c < values.size(); ++c)
      std::visit(
          [&](auto value) {
            if (format.columns[c].dtype == Dtype::i64)
              put(c, std::int64_t(value));
            else
              put(c, float(value));
          },
          values[c]);
    hash.add(behind.data(), behind.size());
    put(values.size(), hash.value());
    if (++rows_in_shard == rows_per_shard)
      publish_shard();
  }

  void publish_shard() {
    const auto tensors = zoo_files::tensors(format, rows_in_shard);
    const std::size_t first = codec ? 0 : 1; // theta
    for (std::size_t i = 0; i < streams.size(); ++i)
      file->write(data_start + tensors[columns.size() + i].begin, streams[i].data(), streams[i].size());
    for (std::size_t c = 0; c < columns.size(); ++c)
      file->write(data_start + tensors[first + c].begin, columns[c].data(), columns[c].size());
    const auto header = safetensors_header(tensors, metadata, zoo_files::alignment, data_start);
    const std::uint64_t length = header.size();
    if (zoo_files::length_bytes + length != data_start)
      throw Error(directory.string(), ": the header of a shard grew past its place");
    file->write(0, &length, zoo_files::length_bytes);
    file->write(zoo_files::length_bytes, header.data(), header.size());
    file->publish();
    file.reset();
    if (plain)
      fs::remove(plain->path());
    plain.reset();
    list_shard(rows_in_shard, std::as_bytes(std::span(header)));
  }

  void list_shard(std::size_t count, std::span<const std::byte> header) {
    shards.push_back({{"file", zoo_files::shard(shards.size())}, {"rows", count}, {"header", hash_of(header)}});
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
  s.metadata["theta"] = text_of(format);
  s.codec = codec_of(format, directory.string());
  s.directory = std::move(directory), s.format = std::move(format), s.rows_per_shard = rows_per_shard;
  for (std::size_t i = 0; i < keep_shards; ++i) {
    const Safetensors shard(s.directory / zoo_files::shard(i));
    if (shard.metadata("theta") != s.metadata["theta"])
      throw InputError(shard.path().string(), ": was written by another recipe");
    s.list_shard(std::size_t(shard.tensor(zoo_files::checksum).shape.at(0)), shard.header());
  }
  std::vector<fs::path> stale;
  for (const auto &entry : fs::directory_iterator(s.directory)) {
    const auto name = entry.path().filename().string();
    const bool kept =
        std::any_of(s.shards.begin(), s.shards.end(), [&](const Json &shard) { return shard["file"] == name; });
    if (name == zoo_files::index || (!kept && (name.starts_with("shard-") || name.starts_with(".shard-"))))
      stale.push_back(entry.path());
  }
  for (const auto &path : stale)
    fs::remove(path);
}

ZooWriter::~ZooWriter() {
  if (std::error_code ignored; state_->plain)
    fs::remove(state_->plain->path(), ignored);
}

std::size_t ZooWriter::rows() const { return state_->rows + (state_->file ? state_->rows_in_shard : 0); }
std::size_t ZooWriter::shards() const { return state_->shards.size(); }

void ZooWriter::publish_shard() {
  if (state_->file)
    state_->publish_shard();
}

namespace {

constexpr std::size_t part_bytes = std::size_t(1) << 20; // that are hashed or rounded at a time

} // namespace

void ZooWriter::write(std::size_t row, std::size_t first, std::size_t count, const float *theta) {
  State &s = *state_;
  if (!s.file)
    s.open_shard();
  const std::size_t size = size_of(s.format.dtype), at = s.data_start + row * s.row_bytes() + first * size;
  if (row >= s.rows_per_shard || first + count > s.format.parameters)
    throw Error(s.directory.string(), ": found parameters ", first, " to ", first + count, " of row ", row,
                ", expected at most ", s.format.parameters, " of ", s.rows_per_shard, " rows");
  if (s.codec)
    return s.plain_rows().write((row * s.format.parameters + first) * sizeof(float), theta, count * sizeof(float));
  if (s.format.dtype == Dtype::f32)
    return s.file->write(at, theta, count * size);
  s.rounded.resize(std::min(count, part_bytes / size));
  for (std::size_t done = 0; done < count; done += s.rounded.size()) {
    const std::size_t n = std::min(s.rounded.size(), count - done);
    std::transform(theta + done, theta + done + n, s.rounded.begin(), [](float x) { return to_bf16(x); });
    s.file->write(at + done * size, s.rounded.data(), n * size);
  }
}

void ZooWriter::read(std::size_t row, std::size_t first, std::size_t count, float *theta) const {
  const State &s = *state_;
  if (s.codec)
    return state_->plain_rows().read((row * s.format.parameters + first) * sizeof(float), theta, count * sizeof(float));
  const std::size_t size = size_of(s.format.dtype), at = s.data_start + row * s.row_bytes() + first * size;
  if (s.format.dtype == Dtype::f32)
    return s.file->read(at, theta, count * size);
  std::vector<bf16> half(count);
  s.file->read(at, half.data(), count * size);
  std::transform(half.begin(), half.end(), theta, [](bf16 x) { return to_float(x); });
}

void ZooWriter::append(const float *theta, const std::vector<ColumnValue> &values) {
  State &s = *state_;
  if (s.codec) {
    if (!s.file)
      s.open_shard();
    return s.put(theta, values);
  }
  write(s.file ? s.rows_in_shard : 0, 0, s.format.parameters, theta);
  if (s.format.dtype != Dtype::f32)
    return describe(values);
  Hasher hash;
  hash.add(theta, s.row_bytes());
  s.describe(values, hash);
}

void ZooWriter::describe(const std::vector<ColumnValue> &values) {
  State &s = *state_;
  if (s.codec) {
    std::vector<float> theta(s.format.parameters);
    read(s.rows_in_shard, 0, theta.size(), theta.data());
    return s.put(theta.data(), values);
  }
  Hasher hash;
  std::vector<std::byte> part(std::min(part_bytes, s.row_bytes()));
  for (std::size_t done = 0; done < s.row_bytes(); done += part.size()) {
    const std::size_t n = std::min(part.size(), s.row_bytes() - done);
    s.file->read(s.data_start + s.rows_in_shard * s.row_bytes() + done, part.data(), n);
    hash.add(part.data(), n);
  }
  s.describe(values, hash);
}

void ZooWriter::finish() {
  State &s = *state_;
  publish_shard();
  Json index = {{"format", zoo_files::version}, {"rows", s.rows}, {"shards", s.shards}};
  index["theta"] = parse_json(s.metadata["theta"], "zoo");
  write_file(s.directory / zoo_files::index, index.dump(1) + "\n");
}

} // namespace theta
