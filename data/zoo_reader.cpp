#include "zoo_reader.h"
#include "hash.h"
#include "json.h"
#include "kernels/device/bf16.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace theta {

namespace fs = std::filesystem;

ZooReader::ZooReader(const fs::path &directory) : directory_(directory) {
  const auto index_path = directory / zoo_files::index;
  if (!fs::exists(index_path))
    throw InputError(directory.string(), ": is not a complete zoo: found no ", zoo_files::index);
  const std::string where = index_path.string();
  const MappedFile text(index_path);
  const Json index = parse_json({reinterpret_cast<const char *>(text.bytes().data()), text.bytes().size()}, where);
  const Json described = field<Json>(index, "theta", where);
  format_ = zoo_format_from(described.dump(), where);
  codec_ = codec_of(format_, where);
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
    const auto expected = zoo_files::tensors(format_, rows);
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

const ZooReader::Shard &ZooReader::shard_of(std::size_t row) const {
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), row,
                                      [](std::size_t r, const Shard &s) { return r < s.first_row; });
  if (row >= rows_ || after == shards_.begin())
    throw Error(directory_.string(), ": row ", row, " of ", rows_);
  return *(after - 1);
}

void ZooReader::will_read(std::size_t row) const {
  const Shard &shard = shard_of(row);
  if (codec_)
    return; // small
  const std::size_t bytes = parameters() * size_of(format_.dtype);
  shard.file.will_read(shard.file.tensor(zoo_files::theta), (row - shard.first_row) * bytes, bytes);
}

void ZooReader::theta(std::size_t row, std::size_t first, std::size_t count, float *out) const {
  if (row >= rows_ || first + count > parameters())
    throw Error(directory_.string(), ": row ", row, " of ", rows_, ", parameters ", first, " to ", first + count,
                " of ", parameters());
  if (codec_) {
    std::vector<float> whole(count < parameters() ? parameters() : 0);
    codec_->decode(coded(row).data(), whole.empty() ? out : whole.data());
    if (!whole.empty())
      std::copy_n(whole.begin() + std::ptrdiff_t(first), count, out);
    return;
  }
  const Shard &shard = shard_of(row);
  const TensorInfo &tensor = shard.file.tensor(zoo_files::theta);
  const std::size_t size = size_of(format_.dtype), at = ((row - shard.first_row) * parameters() + first) * size;
  if (format_.dtype == Dtype::f32)
    return shard.file.read(tensor, at, out, count * size);
  std::vector<bf16> piece(std::min(count, std::size_t(1) << 18));
  for (std::size_t done = 0; done < count; done += piece.size()) {
    const std::size_t n = std::min(piece.size(), count - done);
    shard.file.read(tensor, at + done * size, piece.data(), n * size);
    std::transform(piece.data(), piece.data() + n, out + done, [](bf16 x) { return to_float(x); });
  }
}

std::vector<std::byte> ZooReader::coded(std::size_t row) const {
  const Shard &shard = shard_of(row);
  std::vector<std::byte> bytes(codec_->bytes());
  std::size_t at = 0;
  for (const auto &stream : codec_->streams()) {
    shard.file.read(shard.file.tensor(stream.name), (row - shard.first_row) * stream.bytes(), bytes.data() + at,
                    stream.bytes());
    at += stream.bytes();
  }
  return bytes;
}

void ZooReader::codes(std::size_t row, std::int8_t *out) const {
  if (!codec_)
    throw InputError(directory_.string(), ": found plain numbers, expected networks with codes");
  codec_->codes(coded(row).data(), out);
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

std::vector<float> ZooReader::numbers(std::string_view name) const {
  for (const Column &c : format_.columns)
    if (c.name == name && c.dtype == Dtype::i64) {
      const auto whole = integers(name);
      return {whole.begin(), whole.end()};
    }
  return floats(name);
}

std::vector<ZooReader::NotFinite> ZooReader::not_finite(std::span<const std::size_t> rows) const {
  constexpr std::size_t window = std::size_t(1) << 18;
  std::vector<NotFinite> found;
  std::vector<float> values(std::min(window, parameters()));
  for (const std::size_t row : rows)
    for (std::size_t first = 0; first < parameters(); first += values.size()) {
      const std::size_t count = std::min(values.size(), parameters() - first);
      theta(row, first, count, values.data());
      const auto end = values.begin() + std::ptrdiff_t(count);
      const auto bad = std::find_if(values.begin(), end, [](float x) { return !std::isfinite(x); });
      if (bad == end)
        continue;
      found.push_back({row, tensor_at(format_.layout, first + std::size_t(bad - values.begin())).name, *bad});
      break;
    }
  return found;
}

std::vector<ZooReader::NotFinite> ZooReader::not_finite() const {
  std::vector<std::size_t> all(rows_);
  std::iota(all.begin(), all.end(), std::size_t(0));
  return not_finite(all);
}

std::vector<std::size_t> ZooReader::corrupt_rows(std::size_t first, std::size_t count) const {
  std::vector<std::size_t> corrupt;
  for (const auto &shard : shards_) {
    const std::size_t begin = std::max(first, shard.first_row),
                      end = std::min(first + count, shard.first_row + shard.rows);
    if (begin >= end)
      continue;
    const auto checksums = shard.file.read<std::uint64_t>(zoo_files::checksum);
    for (std::size_t row = begin - shard.first_row; row < end - shard.first_row; ++row) {
      Hasher hash; // the parameters as stored, then the column values as stored
      for (const auto &tensor : shard.file.tensors())
        if (tensor.name != zoo_files::checksum) {
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
