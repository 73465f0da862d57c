// Reads zoos (zoo_format.h).
#pragma once
#include "zoo_format.h"

namespace theta {

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

  // The V parameters of a network, as floats; or `count` of them from `first` on.
  void theta(std::size_t row, float *out) const { theta(row, 0, parameters(), out); }
  void theta(std::size_t row, std::size_t first, std::size_t count, float *out) const;
  // The codes of its form alone (RowCodec::codes) [V]. Throws InputError where networks have none.
  void codes(std::size_t row, std::int8_t *out) const;
  void will_read(std::size_t row) const; // soon: MappedFile::will_read

  bool has_column(std::string_view name) const;
  std::vector<std::int64_t> integers(std::string_view column) const; // throws InputError for another dtype
  std::vector<float> floats(std::string_view column) const;
  std::vector<float> numbers(std::string_view column) const; // as floats, whatever they are

  // The first value of each of `rows` that is not finite, where there is one.
  struct NotFinite {
    std::size_t row;
    std::string tensor;
    float value;
  };
  std::vector<NotFinite> not_finite(std::span<const std::size_t> rows) const;
  std::vector<NotFinite> not_finite() const; // of all rows

  // Rows whose checksum does not match their bytes: of [first, first + count), of all.
  std::vector<std::size_t> corrupt_rows(std::size_t first, std::size_t count) const;
  std::vector<std::size_t> corrupt_rows() const { return corrupt_rows(0, rows_); }

private:
  struct Shard {
    Safetensors file;
    std::size_t first_row, rows;
  };
  template <class T> std::vector<T> column(std::string_view name) const;
  const Shard &shard_of(std::size_t row) const; // throws Error
  std::vector<std::byte> coded(std::size_t row) const;
  std::filesystem::path directory_;
  ZooFormat format_;
  std::optional<RowCodec> codec_;
  std::vector<Shard> shards_;
  std::size_t rows_ = 0;
};

} // namespace theta
