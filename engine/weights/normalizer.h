// Standardisation of flattened networks before a generator sees them: a mean and a standard deviation for every
// coordinate, shared by all coordinates of a tensor (p-diff's), each its own, or one of all (G.pt's).
#pragma once
#include "data/zoo_reader.h"
#include <functional>
#include <string_view>
#include <vector>

namespace theta {

enum class NormalizerKind { tensor, coordinate, global };
NormalizerKind normalizer_named(std::string_view name); // throws InputError
const char *name_of(NormalizerKind);

struct Normalizer {
  std::vector<float> mean, std; // [V]; std is 1 where all networks agree
};

// Over the rows `rows` of the zoo, in two passes over the mapped file, in double.
Normalizer fit_normalizer(NormalizerKind, const ZooReader &, const std::vector<std::size_t> &rows);

// The same of every coordinate, window after window of them: nobody holds them all.
using TakeStatistics = std::function<void(std::size_t first, std::size_t n, const float *mean, const float *std)>;
void coordinate_statistics(const ZooReader &, const std::vector<std::size_t> &rows, const TakeStatistics &);

} // namespace theta
