// Networks that differ in some of their tensors alone: normalisation layers, a head. The rest is one trunk, trained once
// and frozen: its running statistics stay, and what depends on none of the tensors is computed once for all networks
// that look at the same examples. Or they are branches: of every matrix among the tensors, W [out, in], a network has a
// change of low rank, W + B·A (LoRA: Hu et al., 2022), NAME.lora_A.weight [rank, in] and NAME.lora_B.weight
// [out, rank]. A may be the same for all, drawn once, and no part of the row (LoRA-FA: Zhang et al., 2023): changes are
// linear in rows then.
#pragma once
#include "network.h"
#include <filesystem>
#include <string>

namespace theta {

struct SubsetSettings {
  NetworkShape whole;
  std::vector<std::string> tensors; // names, or patterns of a shell: "layer4.1.bn*", "fc.*"
  int low_rank = 0;                 // of the changes; 0: the tensors themselves
  bool fixed_a = false;             // whether their A is the same for all
  std::filesystem::path trunk{};    // a zoo whose first row the whole network is; empty: not known yet
};

// Shapes of the kind "subset". State goes with the weights of its operation. Throws InputError for a pattern that no
// tensor fits, or a rank that leaves nothing low.
NetworkShape subset_of(NetworkShape whole, std::vector<std::string> tensors, int low_rank = 0, bool fixed_a = false);
// The shape as it was written down: the whole of a subset.
NetworkShape &whole_of(NetworkShape &);
bool is_subset(const NetworkShape &);
bool is_low_rank(const NetworkShape &); // a subset of changes
bool has_trunk(const NetworkShape &);   // and it is known where

// Where the elements of the subset are in the whole network, in its order, but for changes.
struct SubsetRange {
  std::size_t whole, subset, count;
};
std::vector<SubsetRange> ranges_of(const NetworkShape &subset);

// Where the factors of changes are, and the matrix [out, in] that they change. a: in the row, or, where A is fixed, in
// fixed_factors.
struct SubsetChange {
  std::size_t whole, a, b;
  int out, in, rank;
};
std::vector<SubsetChange> changes_of(const NetworkShape &subset);
std::vector<float> fixed_factors(const NetworkShape &subset); // empty where none is
// Adds a row's changes to a whole network.
void add_changes(const NetworkShape &subset, const float *row, float *whole);

// A row that changes nothing of the trunk: its own tensors, and no changes.
std::vector<float> row_of_trunk(const NetworkShape &subset);

// The same shape on the trunk that is in a zoo's folder; others stay as they are.
NetworkShape on_trunk_of(NetworkShape, const std::filesystem::path &zoo);
inline constexpr const char *trunk_folder = "trunk";

} // namespace theta
