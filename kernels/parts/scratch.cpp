#include "scratch.h"
#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace theta {

namespace {

constexpr std::align_val_t alignment{64};
struct Release {
  void operator()(std::byte *at) const { operator delete(at, alignment); }
};
struct Chunk {
  std::unique_ptr<std::byte, Release> at;
  std::size_t size;
};

// Chunks stay where they are when more are needed, each as large as all before it.
struct ThreadMemory {
  std::vector<Chunk> chunks;
  std::size_t chunk = 0, used = 0, size = 0; // used: of that chunk
};
thread_local ThreadMemory memory;

} // namespace

Scratch::Scratch() : chunk_(memory.chunk), used_(memory.used) {}
Scratch::~Scratch() { memory.chunk = chunk_, memory.used = used_; }

void *Scratch::bytes(std::size_t n) {
  ThreadMemory &m = memory;
  n = (n + 63) / 64 * 64;
  for (; m.chunk < m.chunks.size(); ++m.chunk, m.used = 0)
    if (m.used + n <= m.chunks[m.chunk].size)
      return m.chunks[m.chunk].at.get() + std::exchange(m.used, m.used + n);
  const std::size_t size = std::max({n, m.size, std::size_t(1) << 16});
  m.chunks.push_back(
      {std::unique_ptr<std::byte, Release>(static_cast<std::byte *>(operator new(size, alignment))), size});
  m.size += size, m.used = n;
  return m.chunks.back().at.get();
}

} // namespace theta
