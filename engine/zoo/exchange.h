// Zoos from elsewhere and for elsewhere: one safetensors file a network, with PyTorch's names and orientation.
#pragma once
#include "data/zoo_reader.h"
#include "engine/training/journal.h"

namespace theta {

struct ImportTask {
  std::filesystem::path directory;       // where the files are
  std::string pattern = "*.safetensors"; // of their names below it, as a shell's: "run-*/last.safetensors"
  std::filesystem::path metrics;         // a CSV file, or empty: a header, then a line a network whose first field is
                                         // the file's path below the directory; every other field is a number
  std::filesystem::path zoo;             // what is written
  std::string activation;                // of the hidden layers, where the tensors are those of an MLP; else ignored
  double held_out = 0.5;                 // share of the networks that generators never see
  Dtype storage = Dtype::f32;
};

// Reads every file that fits the pattern, in the order of their paths, into a zoo. All must hold the same tensors; F16,
// BF16, F32 and F64 are parameters, other types (counters) are left out. Tensors are laid out module by module in the
// order of their names (numbers by value), weight before bias. The metrics' columns become the zoo's; those of whole
// numbers are I64, the others F32. Returns the number of networks. Throws InputError, Interrupted.
std::size_t import_zoo(const ImportTask &, Journal &);

// One file a row, DIRECTORY/network-000000.safetensors, and metrics.csv with the zoo's columns, as import_zoo reads
// them. Throws Error, Interrupted.
void export_zoo(const ZooReader &, const std::filesystem::path &directory, Journal &);

} // namespace theta
