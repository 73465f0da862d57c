#include "streamed_store.h"
#include <algorithm>
#include <cstring>

namespace theta {

namespace {
constexpr std::size_t piece = std::size_t(1) << 18; // elements
}

StreamedStore::StreamedStore(std::filesystem::path path, std::vector<OutsideTensor> tensors, MomentStorage moments)
    : path_(std::move(path)), tensors_(std::move(tensors)), moments_(moments) {}

// A coded row: its codes, and the largest of every block.
std::size_t StreamedStore::row_bytes(std::size_t tensor, Part part) const {
  const std::size_t n = cols(tensor);
  return is_coded(part) ? n + (n + moment_block - 1) / moment_block * sizeof(float) : n * sizeof(float);
}

std::size_t StreamedStore::at(std::size_t tensor, Part part, std::size_t first) const {
  std::size_t bytes = 0;
  const auto rows = [&](std::size_t t) { return tensors_[t].elements() / cols(t); };
  for (std::size_t t = 0; t < tensor; ++t)
    for (const Part each : {Part::value, Part::moment1, Part::moment2})
      bytes += rows(t) * row_bytes(t, each);
  for (const Part before : {Part::value, Part::moment1})
    bytes += before < part ? rows(tensor) * row_bytes(tensor, before) : 0;
  return bytes + first / cols(tensor) * row_bytes(tensor, part);
}

void StreamedStore::open(int generation) {
  generation_ = generation;
  for (const int i : {0, 1})
    files_[std::size_t(i)] = std::make_unique<WorkFile>(path_of(i), i != generation);
}

bool StreamedStore::is_there(int generation) const { return std::filesystem::exists(path_of(generation)); }

void StreamedStore::begin(std::uint64_t seed, std::uint32_t stream) {
  open(1); // as if a step had led to generation 0
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const OutsideTensor &tensor = tensors_[t];
    const std::size_t rows = std::max<std::size_t>(1, piece / cols(t));
    std::vector<float> part, zero(rows * cols(t));
    for (std::size_t first = 0, n = tensor.elements(); first < n; first += part.size()) {
      part.resize(std::min(zero.size(), n - first));
      for (std::size_t i = 0; i < part.size(); ++i)
        part[i] = initial_value(tensor.start, seed, stream, tensor.first_draw + first + i);
      write(t, Part::value, first, part.size(), part.data());
      for (const Part moment : {Part::moment1, Part::moment2})
        write(t, moment, first, part.size(), zero.data());
    }
  }
  sync();
  flip();
}

void StreamedStore::read(std::size_t tensor, Part part, std::size_t first, std::size_t count, float *to) const {
  const WorkFile &file = *files_[std::size_t(generation_)];
  if (!is_coded(part))
    return file.read(at(tensor, part, first), to, count * sizeof(float));
  const std::size_t n = cols(tensor), bytes = row_bytes(tensor, part);
  std::vector<std::uint8_t> coded(bytes);
  for (std::size_t row = 0; row < count / n; ++row) {
    file.read(at(tensor, part, first + row * n), coded.data(), bytes);
    for (std::size_t b = 0; b * moment_block < n; ++b) {
      float largest = 0;
      std::memcpy(&largest, coded.data() + n + b * sizeof(float), sizeof(float));
      const std::size_t from = b * moment_block, length = std::min(moment_block, n - from);
      (part == Part::moment1 ? decode_first : decode_second)(to + row * n + from, coded.data() + from, largest, length);
    }
  }
}

void StreamedStore::write(std::size_t tensor, Part part, std::size_t first, std::size_t count, const float *from) {
  WorkFile &file = *files_[std::size_t(1 - generation_)];
  if (!is_coded(part))
    return file.write(at(tensor, part, first), from, count * sizeof(float));
  const std::size_t n = cols(tensor), bytes = row_bytes(tensor, part);
  std::vector<std::uint8_t> coded(bytes);
  for (std::size_t row = 0; row < count / n; ++row) {
    for (std::size_t b = 0; b * moment_block < n; ++b) {
      const std::size_t at = b * moment_block, length = std::min(moment_block, n - at);
      const float largest =
          (part == Part::moment1 ? encode_first : encode_second)(coded.data() + at, from + row * n + at, length);
      std::memcpy(coded.data() + n + b * sizeof(float), &largest, sizeof(float));
    }
    file.write(at(tensor, part, first + row * n), coded.data(), bytes);
  }
}

void StreamedStore::remove() {
  for (const int i : {0, 1}) {
    files_[std::size_t(i)].reset();
    std::filesystem::remove(path_of(i));
  }
}

} // namespace theta
