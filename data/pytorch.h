// PyTorch's own files (a zip archive around a pickle, whatever their ending), for reading. No code is ever run: what is
// beside tensors, dicts, lists, numbers and texts stays opaque and is left out by name.
#pragma once
#include "tensor_table.h"

namespace theta {

// The networks of a file: a state dict is one, wherever it lies in nested dicts ("state_dict", "model", ...; such a
// name goes before tensors that lie loose); a list of state dicts is several. Throws InputError where there is none,
// several are equally good, or the file is damaged.
std::vector<TensorTable> read_pytorch(const std::filesystem::path &);

} // namespace theta
