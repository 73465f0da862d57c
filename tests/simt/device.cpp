// The cuda device of the emulator: its memory is plain memory, each allocation by itself (so that AddressSanitizer
// knows its ends), poisoned with NaN; its streams run everything at once.
#include "kernels/device.h"
#include <cstdlib>
#include <cstring>

namespace theta {

struct Stream::Cuda {};

namespace cuda {

std::vector<DeviceFacts> devices() {
  return {{Device{Backend::cuda, 0}, "emulated GPU", std::size_t(8) << 30, 1, "simt"}};
}
Stream::Cuda *make_stream(int) { return new Stream::Cuda; }
void free_stream(Stream::Cuda *s) { delete s; }
void synchronize(Stream::Cuda *) {}

void *allocate(int, std::size_t bytes, Memory::Kind) {
  void *data = std::malloc(bytes);
  if (!data)
    throw Error("simt: no ", bytes, " bytes of memory left");
  return std::memset(data, 0xFF, bytes);
}
void release(void *data, Memory::Kind) noexcept { std::free(data); }
void copy(Stream::Cuda *, void *dst, const void *src, std::size_t bytes) { std::memcpy(dst, src, bytes); }
void fill_zero(Stream::Cuda *, void *dst, std::size_t bytes) { std::memset(dst, 0, bytes); }

} // namespace cuda
} // namespace theta
