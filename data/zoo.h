// A zoo: a directory of shards, each a safetensors file of K networks flattened to V parameters.
//   theta [K, V] first, 4096-aligned; then one column per fact about a network; last `checksum` U64,
//   the xxh3 of the row: its parameters as stored, followed by its column values.
// A shard is published whole or not at all. index.json, written last, names the shards and marks the zoo complete.
#pragma once
#include "safetensors.h"
#include <memory>
#include <variant>

namespace theta {

// A named tensor inside the flattened vector, in PyTorch's convention.
struct TensorPlace {
  std::string name;
  Shape shape;
  std::size_t offset; // elements
  bool operator==(const TensorPlace &) const = default;
};

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
  std::string facts = "{}"; // a JSON object: architecture, dataset, recipe, seed, device
};

using ColumnValue = std::variant<std::int64_t, double>;

// Writes networks one after another into shards.
class ZooWriter {
public:
  // Creates `directory`. The first `keep_shards` shards that an interrupted run published there stay (InputError where
  // one is missing or damaged); all else that looks like a zoo is removed. Throws Error.
  ZooWriter(std::filesystem::path directory, ZooFormat format, std::size_t rows_per_shard, std::size_t keep_shards = 0);
  ~ZooWriter();

  // Adds a network: its V parameters, and a value for every column in the order of the format.
  void append(const float *theta, const std::vector<ColumnValue> &values);

  // Publishes the open shard, if it holds a row: the next row begins another.
  void publish_shard();

  // Publishes the last shard and the index. A writer destroyed before this leaves no complete zoo.
  void finish();
  std::size_t rows() const;
  std::size_t shards() const; // published

private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads a complete zoo. Every shard is mapped; nothing is copied until asked for.
class ZooReader {
public:
  // Checks the index, every shard's header against it, and the layouts. Throws InputError with path, field, found,
  // expected.
  explicit ZooReader(const std::filesystem::path &directory);

  const std::filesystem::path &path() const { return directory_; }
  const ZooFormat &format() const { return format_; }
  std::size_t rows() const { return rows_; }
  std::size_t parameters() const { return format_.parameters; }
  std::size_t bytes() const; // on disk

  // The V parameters of a network, as floats.
  void theta(std::size_t row, float *out) const;

  bool has_column(std::string_view name) const;
  std::vector<std::int64_t> integers(std::string_view column) const; // throws InputError for another dtype
  std::vector<float> floats(std::string_view column) const;

  // Rows whose checksum does not match their bytes.
  std::vector<std::size_t> corrupt_rows() const;

private:
  struct Shard {
    Safetensors file;
    std::size_t first_row, rows;
  };
  template <class T> std::vector<T> column(std::string_view name) const;
  std::filesystem::path directory_;
  ZooFormat format_;
  std::vector<Shard> shards_;
  std::size_t rows_ = 0;
};

} // namespace theta
