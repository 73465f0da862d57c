// PyTorch's own files (.pt, .pth: a zip archive around a pickle), for reading: what state dicts need of pickle, and no
// more. No code is ever run. Whatever a file asks for beyond tensors, dicts, lists, numbers and texts is refused by
// name.
#pragma once
#include "tensor_table.h"

namespace theta {

// The networks of a file: a state dict is one, wherever it lies in nested dicts ("state_dict", "model", ...); a list of
// state dicts is several. Throws InputError where there is none, several are equally good, or the file is damaged or
// asks for more.
std::vector<TensorTable> read_pytorch(const std::filesystem::path &);

} // namespace theta
