// safetensors files: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes.
#pragma once
#include "dtype.h"
#include "mapped_file.h"
#include "shape.h"
#include <map>
#include <string>
#include <vector>

namespace theta {

struct TensorInfo {
  std::string name;
  Dtype dtype;
  Shape shape;
  std::size_t begin, end; // bytes from the start of the data
  std::size_t elements() const { return (end - begin) / size_of(dtype); }
};

// A mapped safetensors file. Everything in the header is checked when the file is opened: its length, the JSON (depth,
// duplicate keys), every dtype and shape against its bytes, and that the tensors cover the data without gap or overlap.
// Throws InputError with the path, the field, what was found and what was expected.
class Safetensors {
public:
  explicit Safetensors(const std::filesystem::path &path);

  const std::vector<TensorInfo> &tensors() const { return tensors_; } // in the order of their bytes
  const std::map<std::string, std::string> &metadata() const { return metadata_; }
  const std::string &metadata(const std::string &key) const; // throws InputError where there is none
  std::span<const std::byte> header() const;                 // the JSON as it stands in the file
  std::filesystem::path path() const { return file_.path(); }

  bool has(std::string_view name) const { return find(name) != nullptr; }
  const TensorInfo &tensor(std::string_view name) const; // throws InputError where there is none
  std::span<const std::byte> bytes(const TensorInfo &) const;
  // Bytes [first, first + count) of a tensor, copied (MappedFile::read).
  void read(const TensorInfo &, std::size_t first, void *to, std::size_t count) const;
  void will_read(const TensorInfo &, std::size_t first, std::size_t count) const;

  // The tensor's elements, copied. Throws InputError unless it has T's dtype and, if one is given, this shape.
  template <class T> std::vector<T> read(std::string_view name) const;
  template <class T> std::vector<T> read(std::string_view name, const Shape &shape) const;

private:
  const TensorInfo *find(std::string_view name) const;
  MappedFile file_;
  std::size_t data_start_ = 0;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

struct TensorSource {
  std::string name;
  Dtype dtype;
  Shape shape;
  const void *data;
};

// The header of a file with these tensors in this order, as JSON, padded with spaces so that the data starts at a
// multiple of `alignment` and at `least` or later. The 8 bytes of its length are not part of it.
std::string safetensors_header(const std::vector<TensorInfo> &tensors,
                               const std::map<std::string, std::string> &metadata, std::size_t alignment,
                               std::size_t least = 0);

// Writes a whole file, atomically. Throws Error.
void write_safetensors(const std::filesystem::path &path, const std::vector<TensorSource> &tensors,
                       const std::map<std::string, std::string> &metadata);

} // namespace theta
