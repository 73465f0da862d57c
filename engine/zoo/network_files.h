// Files as other programs store networks in them: which there are in a folder, and what each holds.
#pragma once
#include "data/tensor_table.h"
#include "data/zoo_writer.h"
#include <cmath>

namespace theta {

// One or several networks: a safetensors file, one in several parts with its index, a PyTorch file, numpy's arrays.
struct NetworksFile {
  std::string name;                         // below the folder
  std::vector<std::filesystem::path> parts; // one, but for an index
};

// Those below `folder` whose names fit a shell's pattern ("run-*/last.pt") and whose content is known, sorted; empty:
// *.safetensors, *.pt, *.pth, *.ckpt, *.bin, *.npy, *.npz in any case. `folder` may be a file itself; what a file is
// its first bytes say. Parts that a model.safetensors.index.json names are one. Throws InputError where there is none.
std::vector<NetworksFile> networks_files(const std::filesystem::path &folder, const std::string &pattern);

struct Networks {
  std::vector<TensorTable> each;
  bool flattened = false;      // each is one tensor of all weights, without names
  std::vector<Column> columns; // what the file says of each beside
  std::vector<std::vector<ColumnValue>> values;
};
Networks read_networks(const NetworksFile &); // throws InputError

// Whether a float, which columns are stored as, keeps a number: it is no whole number, or one that a float has.
inline bool fits_float(double x) { return !(x == std::floor(x)) || std::isinf(x) || double(float(x)) == x; }

// Networks whose tensors were stacked, [K, ...] each, taken apart. Throws InputError where the first sides differ.
std::vector<TensorTable> unstacked(const TensorTable &, const std::string &where);

} // namespace theta
