// A zoo: a directory of shards, each a safetensors file of K networks flattened to V parameters.
//   theta [K, V] first, 4096-aligned; then one column per fact about a network; last `checksum` U64,
//   the xxh3 of the row: its values in the order of the file.
// Networks with a form (row_codec.h) have the streams of its codecs in place of theta, [K, elements of a row] each,
// behind all else.
// A shard is published whole or not at all. index.json, written last, names the shards and marks the zoo complete.
// zoo_writer.h writes them, zoo_reader.h reads them.
#pragma once
#include "row_codec.h"
#include "safetensors.h"

namespace theta {

// A named tensor inside the flattened vector, in PyTorch's convention.
struct TensorPlace {
  std::string name;
  Shape shape;
  std::size_t offset; // elements
  bool operator==(const TensorPlace &) const = default;
};

// The tensor that has element `at` of the flattened vector.
const TensorPlace &tensor_at(const std::vector<TensorPlace> &layout, std::size_t at);

struct Column {
  std::string name;
  Dtype dtype; // f32 or i64
  bool operator==(const Column &) const = default;
};

struct ZooFormat {
  std::vector<TensorPlace> layout; // covers the parameters without gap
  std::size_t parameters = 0;      // V
  Dtype dtype = Dtype::f32;        // of theta: f32 or bf16
  std::vector<Column> columns;
  std::string facts = "{}";    // a JSON object: architecture, dataset, recipe, seed, device
  std::vector<Codec> codecs{}; // one a tensor; none: theta, all numbers as they are
  std::size_t kept = 0;        // of all weights that codecs mask, how many are kept
};

// How such a zoo's rows are stored; none where they are plain. Throws InputError, naming `where`, for what cannot be.
std::optional<RowCodec> codec_of(const ZooFormat &, const std::string &where);
std::size_t row_bytes(const ZooFormat &); // of a network, without its columns

// What the files of a zoo are called, and how they lie.
namespace zoo_files {
inline constexpr int version = 1;
inline constexpr std::size_t alignment = 4096, length_bytes = 8;
inline constexpr const char *index = "index.json", *theta = "theta", *checksum = "checksum";
std::string shard(std::size_t i);
// The tensors of a shard of `rows` networks, in the order of their bytes.
std::vector<TensorInfo> tensors(const ZooFormat &, std::size_t rows);
} // namespace zoo_files

// A format as JSON, for the metadata of shards and the index, and back. Throws InputError, naming `where`, for what is
// damaged or of another version.
std::string text_of(const ZooFormat &);
ZooFormat zoo_format_from(const std::string &text, const std::string &where);

} // namespace theta
