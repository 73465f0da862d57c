// Writes zoos (zoo_format.h).
#pragma once
#include "zoo_format.h"
#include <memory>
#include <variant>

namespace theta {

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

  // The same in parts, so that nobody holds a network: the parameters of rows of the open shard, in any order, what is
  // there read back, and then, row after row, their values: describe() the row that is to be the shard's next.
  // Of networks with a form (codec_of) these are plain numbers in a file beside the shard, which describe() puts into it.
  void write(std::size_t row, std::size_t first, std::size_t count, const float *theta);
  void read(std::size_t row, std::size_t first, std::size_t count, float *theta) const;
  void describe(const std::vector<ColumnValue> &values);

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

} // namespace theta
