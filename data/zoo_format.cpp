#include "zoo_format.h"
#include "json.h"
#include <algorithm>

namespace theta {

namespace {

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

} // namespace

const TensorPlace &tensor_at(const std::vector<TensorPlace> &layout, std::size_t at) {
  const auto after = std::upper_bound(layout.begin(), layout.end(), at,
                                      [](std::size_t i, const TensorPlace &t) { return i < t.offset; });
  return *(after - 1);
}

std::string zoo_files::shard(std::size_t i) {
  std::string digits = std::to_string(i);
  return "shard-" + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits + ".safetensors";
}

std::vector<TensorInfo> zoo_files::tensors(const ZooFormat &format, std::size_t rows) {
  std::vector<TensorInfo> all;
  std::size_t at = 0;
  const auto add = [&](const std::string &name, Dtype dtype, Shape shape, std::size_t elements) {
    all.push_back({name, dtype, std::move(shape), at, at + elements * size_of(dtype)});
    at = all.back().end;
  };
  const auto k = std::int64_t(rows), v = std::int64_t(format.parameters);
  const auto codec = codec_of(format, "zoo");
  if (!codec)
    add(zoo_files::theta, format.dtype, {k, v}, rows * format.parameters);
  for (const auto &column : format.columns)
    add(column.name, column.dtype, {k}, rows);
  add(zoo_files::checksum, Dtype::u64, {k}, rows);
  if (codec) // bytes last: the others begin at multiples of four
    for (const auto &stream : codec->streams())
      add(stream.name, stream.dtype, {k, std::int64_t(stream.elements)}, rows * stream.elements);
  return all;
}

std::optional<RowCodec> codec_of(const ZooFormat &format, const std::string &where) {
  if (format.codecs.empty())
    return {};
  std::vector<Shape> shapes;
  for (const TensorPlace &place : format.layout)
    shapes.push_back(place.shape);
  return RowCodec(std::move(shapes), format.codecs, format.kept, format.dtype, where);
}

std::size_t row_bytes(const ZooFormat &format) {
  const auto codec = codec_of(format, "zoo");
  return codec ? codec->bytes() : format.parameters * size_of(format.dtype);
}

std::string text_of(const ZooFormat &format) {
  Json layout = Json::array(), columns = Json::array();
  for (const auto &place : format.layout)
    layout.push_back({{"name", place.name}, {"shape", place.shape}, {"offset", place.offset}});
  for (const auto &column : format.columns)
    columns.push_back({{"name", column.name}, {"dtype", name_of(column.dtype)}});
  Json all = {{"format", zoo_files::version},
              {"parameters", format.parameters},
              {"dtype", name_of(format.dtype)},
              {"layout", layout},
              {"columns", columns}};
  for (const Codec &codec : format.codecs)
    all["codecs"].push_back({{"code", name_of(codec.code)}, {"scale", name_of(codec.scale)}, {"run", codec.run}});
  if (format.kept > 0)
    all["kept"] = format.kept;
  all["facts"] = parse_json(format.facts, "facts of a zoo");
  return all.dump();
}

ZooFormat zoo_format_from(const std::string &text, const std::string &where) {
  const Json json = parse_json(text, where);
  if (const auto version = field<int>(json, "format", where); version != zoo_files::version)
    throw InputError(where, ": format: found ", version, ", expected ", zoo_files::version);
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
  if (json.contains("codecs"))
    for (const auto &entry : json["codecs"])
      format.codecs.push_back({code_named(field<std::string>(entry, "code", where)),
                               code_scale_named(field<std::string>(entry, "scale", where)),
                               field<int>(entry, "run", where)});
  if (json.contains("kept"))
    format.kept = field<std::size_t>(json, "kept", where);
  codec_of(format, where); // checks it
  for (const auto &entry : field<Json>(json, "columns", where))
    format.columns.push_back(
        {field<std::string>(entry, "name", where), dtype_field(entry, {Dtype::f32, Dtype::i64}, where)});
  return format;
}

} // namespace theta
