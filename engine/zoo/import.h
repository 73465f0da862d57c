// Zoos from elsewhere: networks in files of other programs (network_files.h).
#pragma once
#include "data/zoo_writer.h"
#include "engine/networks/network.h"
#include "engine/training/journal.h"

namespace theta {

struct ImportTask {
  std::filesystem::path directory; // where the files are, or one file
  std::string pattern;             // of their names below it; empty: all that may be networks
  std::filesystem::path metrics;   // a CSV file, or empty: a header, then a line a network whose first field is the
                                   // file's path below the directory (FILE#3 for the fourth network of a file); other
                                   // columns of numbers become the zoo's, columns of text are left out
  std::filesystem::path zoo;       // what is written
  std::string activation;          // of the hidden layers, where the networks are perceptrons
  std::optional<NetworkShape> network; // what the networks are, where tensors alone do not tell
  double held_out = 0.5;               // share of the networks that generators never see
  Dtype storage = Dtype::f32;
};

// Reads every file, in the order of their names, into a zoo. All must hold the same tensors; they are laid out as the
// architecture has them, or, where that is unknown, in the order of their names, and keep their names. Tensors that are
// no parameters are left out, networks with a value that is not finite (or not in the storage's type) are dropped; both
// are counted. Returns the number of networks. Throws InputError, Interrupted.
std::size_t import_zoo(const ImportTask &, Journal &);

} // namespace theta
