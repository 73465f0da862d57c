// Tensors of a model in training that no memory holds, with their AdamW moments: in two files, of which one is read and
// the other written, so that a step is there whole or not at all. What a step has written is the next one's when flip()
// says so; a process that ends before has changed nothing.
#pragma once
#include "data/work_file.h"
#include "engine/networks/layout.h"
#include "moments.h"
#include <array>
#include <memory>

namespace theta {

class StreamedStore {
public:
  enum class Part { value, moment1, moment2 };

  // The files are PATH.0 and PATH.1. With moments of a byte each, 16 bytes a weight and step go to and from them, not
  // 28.
  StreamedStore(std::filesystem::path path, std::vector<OutsideTensor>, MomentStorage = MomentStorage::fp32);

  // Initial values, moments 0, as generation 0; or the generation that a state tells of. Throw Error.
  void begin(std::uint64_t seed, std::uint32_t stream);
  void open(int generation);
  bool is_there(int generation) const;
  int generation() const { return generation_; } // that is read: 0 or 1

  // Elements first..first+count−1 of a tensor, whole rows of it: of the generation that is read, and into the other.
  void read(std::size_t tensor, Part, std::size_t first, std::size_t count, float *to) const;
  void write(std::size_t tensor, Part, std::size_t first, std::size_t count, const float *from);

  void sync() { files_[std::size_t(1 - generation_)]->sync(); } // what was written outlives the machine
  void flip() { generation_ = 1 - generation_; }
  void remove(); // both files

private:
  std::filesystem::path path_of(int generation) const { return path_.string() + "." + std::to_string(generation); }
  bool is_coded(Part part) const { return part != Part::value && moments_ == MomentStorage::bits8; }
  std::size_t cols(std::size_t tensor) const { return std::size_t(tensors_[tensor].shape.back()); }
  std::size_t row_bytes(std::size_t tensor, Part) const;
  std::size_t at(std::size_t tensor, Part, std::size_t first) const; // byte of a file
  std::filesystem::path path_;
  std::vector<OutsideTensor> tensors_;
  MomentStorage moments_;
  std::array<std::unique_ptr<WorkFile>, 2> files_;
  int generation_ = 0;
};

} // namespace theta
