// A generator's file in the making, in its final layout: what is large goes into it piece by piece, before what is
// small is known. Then it gets its name: whole or not at all.
#pragma once
#include "data/safetensors.h"
#include "data/work_file.h"
#include <map>

namespace theta {

class GeneratorDraft {
public:
  // Tensors of floats: names and shapes.
  using Tensors = std::vector<std::pair<std::string, Shape>>;

  // Begins the draft at `path`, or, not `anew`, goes on with one of these very tensors and metadata. Throws Error.
  GeneratorDraft(std::filesystem::path path, const Tensors &, const std::map<std::string, std::string> &metadata,
                 bool anew);

  // Elements first..first+count−1 of a tensor.
  void write(const std::string &name, std::size_t first, const float *values, std::size_t count);
  void write(const std::vector<TensorSource> &); // whole ones
  void read(const std::string &name, std::size_t first, float *values, std::size_t count) const;
  void sync() { file_.sync(); }
  void publish(const std::filesystem::path &); // syncs it, and gives it that name

private:
  WorkFile file_;
  std::map<std::string, std::size_t> at_; // where a tensor's bytes begin in the file
};

// Names and shapes of tensors, for a draft.
GeneratorDraft::Tensors shapes_of(const std::vector<TensorSource> &);

} // namespace theta
