// The cuda device of the emulator: its memory is memory.h's, its streams run everything at once.
#include "kernels/device/launch.h"
#include <chrono>
#include <cstdlib>

namespace theta::cuda {

std::vector<DeviceFacts> devices() {
  return {{Device{Backend::cuda, 0}, "emulated GPU", std::size_t(8) << 30, 1, "simt"}};
}
std::size_t most_shared_bytes() { return hopper_shared_bytes; }

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

// A lane's copies are done when a call returns, too.
void *make_lane(int) { return new char; }
void free_lane(void *lane) noexcept { delete static_cast<char *>(lane); }
void copy_on(void *, void *dst, const void *src, std::size_t bytes) { simt::raw_copy(dst, src, bytes); }
void lane_waits(void *, Stream::Cuda *) {}
void stream_waits(Stream::Cuda *, void *) {}
void synchronize_lane(void *) {}

// Events are points in the host's time: everything has run when a call returns.
using Clock = std::chrono::steady_clock;
void *make_event() { return new Clock::time_point; }
void free_event(void *event) noexcept { delete static_cast<Clock::time_point *>(event); }
void record_event(Stream::Cuda *, void *event) { *static_cast<Clock::time_point *>(event) = Clock::now(); }
double seconds_between(void *begin, void *end) {
  return std::chrono::duration<double>(*static_cast<Clock::time_point *>(end) -
                                       *static_cast<Clock::time_point *>(begin))
      .count();
}

// A graph's launches simply run.
void begin_capture(Stream::Cuda *) {}
void abandon_capture(Stream::Cuda *) noexcept {}
void *launch_captured(Stream::Cuda *, void *executable) { return executable; }
void free_graph(void *) noexcept {}

std::size_t begin_watch(int) { return 0; }
std::size_t watched_peak() noexcept { return 0; }
void begin_range(const char *) noexcept {}
void end_range() noexcept {}

} // namespace theta::cuda
