// The cuda device of the emulator: its memory is memory.h's, its streams run everything at once.
#include "simt.h"
#include <cstdlib>

namespace theta::cuda {

std::vector<DeviceFacts> devices() {
  return {{Device{Backend::cuda, 0}, "emulated GPU", std::size_t(8) << 30, 1, "simt"}};
}
Stream::Cuda *make_stream(int) { return new Stream::Cuda{simt::allocate(Stream::Cuda::workspace_bytes)}; }
void free_stream(Stream::Cuda *s) {
  simt::release(s->workspace);
  delete s;
}
void synchronize(Stream::Cuda *) {}

void *allocate(int, std::size_t bytes, Memory::Kind kind) {
  void *data = kind == Memory::Kind::device ? simt::allocate(bytes) : std::malloc(bytes);
  if (!data)
    throw Error("simt: no ", bytes, " bytes of memory left");
  return data;
}
void release(void *data, Memory::Kind kind) noexcept {
  kind == Memory::Kind::device ? simt::release(data) : std::free(data);
}
void copy(Stream::Cuda *, void *dst, const void *src, std::size_t bytes) { simt::raw_copy(dst, src, bytes); }
void fill_zero(Stream::Cuda *, void *dst, std::size_t bytes) { simt::raw_fill(dst, 0, bytes); }

} // namespace theta::cuda
