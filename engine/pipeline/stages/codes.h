// What generators learn of networks with codes where fit.codes says so: codes and scales (engine/networks/coded.h). They
// see another zoo, and know nothing of this.
#pragma once
#include "data/zoo_reader.h"
#include "engine/generators/emit.h"
#include "engine/networks/coded.h"
#include <filesystem>
#include <map>

namespace theta {

// Writes a zoo of the rows' codes and scales. Throws InputError for networks without codes, or of no known architecture.
void write_codes(const ZooReader &, CodesAs, const std::filesystem::path &to);

// Generated codes, whole or in parts, back to weights, which `emit` takes.
class EmitCodes {
public:
  EmitCodes(const NetworkShape &coded, EmitNetwork emit) : rows_(coded), emit_(std::move(emit)) {}
  void take(std::size_t i, std::size_t at, std::span<const float> part);

private:
  struct Row {
    std::vector<float> values;
    std::size_t there = 0;
  };
  CodedRows rows_;
  EmitNetwork emit_;
  std::map<std::size_t, Row> open_;
};

} // namespace theta
