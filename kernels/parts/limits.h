// What a processor can do at most, measured: the ceilings that every time on the cpu is held against.
#pragma once
#include <cstddef>

namespace theta {

// FLOP/s of multiply-adds whose operands stay in registers, in fp32, with the widest packs that the compiler was told
// of, on `threads` threads of the calling thread's team at once (2 FLOPs a multiply-add).
double multiply_add_rate(int threads);
// The same of bf16 with sums in fp32: a pair of products an instruction (pairs.h), 4 FLOPs a lane, or in tiles (tiles.h)
// whose operands lie in the first cache. Where the processor has neither, what fp32 makes of it.
double pair_rate(int threads);

// Bytes/s that `threads` threads read at once, each over and over from `bytes` of its own: 16 KiB lie in a core's first
// cache, 256 KiB in its second.
double read_rate(std::size_t bytes, int threads);

} // namespace theta
