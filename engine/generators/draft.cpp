#include "draft.h"
#include "kernels/device/error.h"

namespace theta {

namespace {

constexpr std::size_t length_bytes = 8, alignment = 64;

std::size_t elements_in(const Shape &shape) {
  std::size_t n = 1;
  for (const auto side : shape)
    n *= std::size_t(side);
  return n;
}

} // namespace

GeneratorDraft::Tensors shapes_of(const std::vector<TensorSource> &tensors) {
  GeneratorDraft::Tensors all;
  for (const TensorSource &tensor : tensors)
    all.push_back({tensor.name, tensor.shape});
  return all;
}

GeneratorDraft::GeneratorDraft(std::filesystem::path path, const Tensors &tensors,
                               const std::map<std::string, std::string> &metadata, bool anew)
    : file_(std::move(path), anew) {
  std::vector<TensorInfo> all;
  std::size_t end = 0;
  for (const auto &[name, shape] : tensors) {
    const std::size_t begin = end;
    end += elements_in(shape) * sizeof(float);
    all.push_back({name, Dtype::f32, shape, begin, end});
  }
  const std::string header = safetensors_header(all, metadata, alignment);
  const std::uint64_t length = header.size();
  for (const TensorInfo &tensor : all)
    at_[tensor.name] = length_bytes + header.size() + tensor.begin;
  file_.write(0, &length, length_bytes);
  file_.write(length_bytes, header.data(), header.size());
}

void GeneratorDraft::write(const std::string &name, std::size_t first, const float *values, std::size_t count) {
  file_.write(at_.at(name) + first * sizeof(float), values, count * sizeof(float));
}

void GeneratorDraft::write(const std::vector<TensorSource> &tensors) {
  for (const TensorSource &tensor : tensors)
    write(tensor.name, 0, static_cast<const float *>(tensor.data), elements_in(tensor.shape));
}

void GeneratorDraft::read(const std::string &name, std::size_t first, float *values, std::size_t count) const {
  file_.read(at_.at(name) + first * sizeof(float), values, count * sizeof(float));
}

void GeneratorDraft::publish(const std::filesystem::path &path) {
  file_.sync();
  std::error_code failed;
  std::filesystem::rename(file_.path(), path, failed);
  if (failed)
    throw Error(path.string(), ": cannot be published: ", failed.message());
}

} // namespace theta
