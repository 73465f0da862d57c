#include "streamed_store.h"
#include <algorithm>

namespace theta {

namespace {
constexpr std::size_t piece = std::size_t(1) << 18; // elements
}

StreamedStore::StreamedStore(std::filesystem::path path, std::vector<OutsideTensor> tensors)
    : path_(std::move(path)), tensors_(std::move(tensors)) {}

std::size_t StreamedStore::at(std::size_t tensor, Part part, std::size_t first) const {
  std::size_t elements = 0;
  for (std::size_t i = 0; i < tensor; ++i)
    elements += 3 * tensors_[i].elements();
  return (elements + std::size_t(part) * tensors_[tensor].elements() + first) * sizeof(float);
}

void StreamedStore::open(int generation) {
  generation_ = generation;
  for (const int i : {0, 1})
    files_[std::size_t(i)] = std::make_unique<WorkFile>(path_of(i), i != generation);
}

bool StreamedStore::is_there(int generation) const { return std::filesystem::exists(path_of(generation)); }

void StreamedStore::begin(std::uint64_t seed, std::uint32_t stream) {
  open(1); // as if a step had led to generation 0
  std::vector<float> part, zero(piece);
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const OutsideTensor &tensor = tensors_[t];
    for (std::size_t first = 0, n = tensor.elements(); first < n; first += part.size()) {
      part.resize(std::min(piece, n - first));
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
  files_[std::size_t(generation_)]->read(at(tensor, part, first), to, count * sizeof(float));
}

void StreamedStore::write(std::size_t tensor, Part part, std::size_t first, std::size_t count, const float *from) {
  files_[std::size_t(1 - generation_)]->write(at(tensor, part, first), from, count * sizeof(float));
}

void StreamedStore::remove() {
  for (const int i : {0, 1}) {
    files_[std::size_t(i)].reset();
    std::filesystem::remove(path_of(i));
  }
}

} // namespace theta
