// How large a network may be, and how large a batch, before a memory is full: for every generator, as it is and with
// the switches that it has against memory. By search on plans alone.
#pragma once
#include "run_memory.h"

namespace theta {

// A generator with some of its switches (Generator::savings); or the stages around it, without a generator.
struct WallCase {
  std::string generator; // empty: the stages around
  std::vector<std::string> changes;
};
std::vector<WallCase> wall_cases(const RunMemory &);

// Under a memory: the largest V, the networks' hidden layers being made wider together, and, at the configuration's own
// V, the largest batch of training. 0: not even the smallest. no_wall: beyond everything that was tried.
struct Wall {
  std::size_t memory, parameters = 0, batch = 0;
  std::string stage; // which is full first
};
inline constexpr std::size_t no_wall = std::size_t(1) << 33; // 8.6 billion
Wall wall_of(const RunMemory &, const WallCase &, std::size_t memory);

} // namespace theta
