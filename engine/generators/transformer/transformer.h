// The weight transformer: a flow of networks as tokens. Its settings, and its file.
#pragma once
#include "engine/generators/flow/trained.h"

namespace theta {

inline constexpr const char *transformer_table = "fit.transformer"; // where its settings stand
void describe_transformer(Keys &, FlowConfig &);

// One self-contained file. Atomic. Throws Error.
void save_transformer(const std::filesystem::path &, const TrainedFlow &, const Stamp &);
// Throws InputError where the file is damaged or another generator's.
TrainedFlow load_transformer(const std::filesystem::path &);

} // namespace theta
