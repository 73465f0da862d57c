// A trace of what runs when: stages, steps and operations on one time line, with the bytes that operations move, their
// FLOPs, and the memory that lives; a file that Chrome's tracing and Perfetto read. With a GPU every operation is
// waited for, so that its span is its own, and is an NVTX range where the toolkit has them; graphs are not captured.
// Off, a span costs a look at one flag.
#pragma once
#include <atomic>
#include <cstddef>
#include <filesystem>

namespace theta {

class Stream;

// Begins the trace of this process. Throws Error where the file cannot be written. What is in it when the process ends,
// however it ends, can be read.
void start_trace(const std::filesystem::path &);
void end_trace(); // throws Error

namespace trace {
inline std::atomic<bool> is_on{false};
void begin(const char *name, Stream *);
void end(const char *name, Stream *, double bytes, double flops) noexcept;
void memory(long long device_bytes, long long host_bytes) noexcept; // taken, or given back where below 0
} // namespace trace

// What happens while it lives: an operation, on a stream; or a stage, a step, on the host. `name` outlives it.
class Span {
public:
  explicit Span(const char *name) : Span(nullptr, name, 0, 0) {}
  Span(Stream &s, const char *name, double bytes, double flops = 0) : Span(&s, name, bytes, flops) {}
  ~Span() {
    if (name_)
      trace::end(name_, stream_, bytes_, flops_);
  }
  Span(const Span &) = delete;
  Span &operator=(const Span &) = delete;

private:
  Span(Stream *s, const char *name, double bytes, double flops) {
    if (!trace::is_on.load(std::memory_order_relaxed))
      return;
    name_ = name, stream_ = s, bytes_ = bytes, flops_ = flops;
    trace::begin(name, s);
  }
  const char *name_ = nullptr;
  Stream *stream_ = nullptr;
  double bytes_ = 0, flops_ = 0;
};

} // namespace theta
