#include "streamed_store.h"
#include "kernels/device/names.h"
#include <algorithm>
#include <cstring>

namespace theta {

namespace {
constexpr std::size_t stretch = std::size_t(1) << 18; // elements
constexpr std::array streaming_names{"none", "memory", "file"};
constexpr std::array part_names{"value", "moment1", "moment2"};
} // namespace

Streaming streaming_named(std::string_view name) { return value_named<Streaming>(name, streaming_names, "stream"); }
const char *name_of(Streaming streaming) { return streaming_names[std::size_t(streaming)]; }

StreamedStore::StreamedStore(std::filesystem::path path, std::vector<OutsideTensor> tensors, MomentStorage moments)
    : path_(std::move(path)), tensors_(std::move(tensors)), moments_(moments) {}

StreamedStore::StreamedStore(std::vector<OutsideTensor> tensors, MomentStorage moments)
    : tensors_(std::move(tensors)), moments_(moments) {
  const std::size_t bytes = at(tensors_.size(), Part::value, 0);
  memory_ = plan_.reserve<float>("streamed", MemoryClass::staging, {std::int64_t(bytes / sizeof(float))}, "fit.latent");
  plan_.place();
}

// A coded row: its codes, in whole floats, and the largest of every block.
std::size_t StreamedStore::row_bytes(std::size_t tensor, Part part) const {
  const std::size_t n = cols(tensor), codes = (n + sizeof(float) - 1) / sizeof(float) * sizeof(float);
  return is_coded(part) ? codes + (n + moment_block - 1) / moment_block * sizeof(float) : n * sizeof(float);
}

std::size_t StreamedStore::part_bytes(std::size_t tensor, Part part) const {
  return tensors_[tensor].elements() / cols(tensor) * row_bytes(tensor, part);
}

template <class F> void StreamedStore::for_parts(F f) const {
  for (std::size_t t = 0; t < tensors_.size(); ++t)
    for (const Part part : {Part::value, Part::moment1, Part::moment2})
      f(tensors_[t].name + "." + part_names[std::size_t(part)], t, part);
}

std::size_t StreamedStore::at(std::size_t tensor, Part part, std::size_t first) const {
  std::size_t bytes = 0;
  for_parts([&](const std::string &, std::size_t t, Part each) {
    bytes += t < tensor || (t == tensor && each < part) ? part_bytes(t, each) : 0;
  });
  return tensor == tensors_.size() ? bytes : bytes + first / cols(tensor) * row_bytes(tensor, part);
}

void StreamedStore::read_bytes(std::size_t at, void *to, std::size_t bytes) const {
  if (!path_.empty())
    return files_[std::size_t(generation_)]->read(at, to, bytes);
  std::memcpy(to, reinterpret_cast<const std::byte *>(memory_.get()) + at, bytes);
}

void StreamedStore::write_bytes(std::size_t at, const void *from, std::size_t bytes) {
  if (!path_.empty())
    return files_[std::size_t(1 - generation_)]->write(at, from, bytes);
  std::memcpy(reinterpret_cast<std::byte *>(memory_.get()) + at, from, bytes);
}

void StreamedStore::sync() {
  if (!path_.empty())
    files_[std::size_t(1 - generation_)]->sync();
}

void StreamedStore::flip() {
  if (!path_.empty())
    generation_ = 1 - generation_;
}

void StreamedStore::save(std::vector<StateTensor> &to, bool moments) const {
  for_parts([&](const std::string &name, std::size_t t, Part part) {
    const float *from = memory_ + at(t, part, 0) / sizeof(float);
    const std::size_t n = part_bytes(t, part) / sizeof(float);
    if (moments || part == Part::value)
      to.push_back({"streamed." + name, n, [from, n](const StateTensor::Take &take) { take(from, n); }});
  });
}

void StreamedStore::load(const SavedState &from) {
  for_parts([&](const std::string &name, std::size_t t, Part part) {
    float *to = memory_ + at(t, part, 0) / sizeof(float);
    if (part == Part::value || from.has("streamed." + name))
      from.read("streamed." + name, part_bytes(t, part) / sizeof(float),
                [&](std::size_t first, const float *values, std::size_t n) {
                  std::memcpy(to + first, values, n * sizeof(float));
                });
  });
}

void StreamedStore::open(int generation) {
  if (path_.empty())
    return;
  generation_ = generation;
  for (const int i : {0, 1})
    files_[std::size_t(i)] = std::make_unique<WorkFile>(path_of(i), i != generation);
}

bool StreamedStore::is_there(int generation) const { return std::filesystem::exists(path_of(generation)); }

void StreamedStore::begin(std::uint64_t seed, std::uint32_t stream) {
  open(1); // as if a step had led to generation 0
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const OutsideTensor &tensor = tensors_[t];
    const std::size_t rows = std::max<std::size_t>(1, stretch / cols(t));
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
  if (!is_coded(part))
    return read_bytes(at(tensor, part, first), to, count * sizeof(float));
  const std::size_t n = cols(tensor), bytes = row_bytes(tensor, part),
                    sizes = bytes - (n + moment_block - 1) / moment_block * sizeof(float);
  std::vector<std::uint8_t> coded(bytes);
  for (std::size_t row = 0; row < count / n; ++row) {
    read_bytes(at(tensor, part, first + row * n), coded.data(), bytes);
    for (std::size_t b = 0; b * moment_block < n; ++b) {
      float largest = 0;
      std::memcpy(&largest, coded.data() + sizes + b * sizeof(float), sizeof(float));
      const std::size_t from = b * moment_block, length = std::min(moment_block, n - from);
      (part == Part::moment1 ? decode_first : decode_second)(to + row * n + from, coded.data() + from, largest, length);
    }
  }
}

void StreamedStore::write(std::size_t tensor, Part part, std::size_t first, std::size_t count, const float *from) {
  if (!is_coded(part))
    return write_bytes(at(tensor, part, first), from, count * sizeof(float));
  const std::size_t n = cols(tensor), bytes = row_bytes(tensor, part),
                    sizes = bytes - (n + moment_block - 1) / moment_block * sizeof(float);
  std::vector<std::uint8_t> coded(bytes);
  for (std::size_t row = 0; row < count / n; ++row) {
    for (std::size_t b = 0; b * moment_block < n; ++b) {
      const std::size_t at = b * moment_block, length = std::min(moment_block, n - at);
      const float largest =
          (part == Part::moment1 ? encode_first : encode_second)(coded.data() + at, from + row * n + at, length);
      std::memcpy(coded.data() + sizes + b * sizeof(float), &largest, sizeof(float));
    }
    write_bytes(at(tensor, part, first + row * n), coded.data(), bytes);
  }
}

void StreamedStore::remove() {
  if (path_.empty())
    return;
  for (const int i : {0, 1}) {
    files_[std::size_t(i)].reset();
    std::filesystem::remove(path_of(i));
  }
}

} // namespace theta
