// Zoos for elsewhere: one safetensors file a network, with the names of its tensors.
#pragma once
#include "data/zoo_reader.h"
#include "engine/training/journal.h"

namespace theta {

// One file a row, DIRECTORY/network-000000.safetensors, and metrics.csv with the zoo's columns, as import_zoo reads
// them. Beside running statistics stands the number of updates (NAME.num_batches_tracked), as PyTorch's load_state_dict
// wants it. Throws Error, Interrupted.
void export_zoo(const ZooReader &, const std::filesystem::path &directory, Journal &);

} // namespace theta
