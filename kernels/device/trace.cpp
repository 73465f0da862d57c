#include "trace.h"
#include "device.h"
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace theta {

namespace {

constexpr long most_operations = 1'000'000; // beyond, stages and steps alone

// One event a line, so that a file that ends anywhere can be read to its last whole line.
struct File {
  std::mutex mutex; // guards what follows
  std::FILE *file = nullptr;
  std::chrono::steady_clock::time_point start{};
  long operations = 0;
  long long device_bytes = 0, host_bytes = 0;
  int threads = 0;
};

File &the() {
  static File file;
  return file;
}

int this_thread() {
  thread_local const int number = ++the().threads;
  return number;
}

double microseconds() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - the().start).count();
}

std::vector<double> &begun() { // of this thread's open spans
  thread_local std::vector<double> times;
  return times;
}

} // namespace

void start_trace(const std::filesystem::path &path) {
  File &t = the();
  t.file = std::fopen(path.c_str(), "w");
  if (!t.file)
    throw Error(path.string(), ": cannot be written: ", std::strerror(errno));
  t.start = std::chrono::steady_clock::now();
  std::fputs("[\n", t.file);
  trace::is_on = true;
}

void end_trace() {
  File &t = the();
  const std::lock_guard lock(t.mutex);
  if (!t.file)
    return;
  trace::is_on = false;
  std::fprintf(t.file, R"({"name":"end","ph":"i","s":"g","pid":1,"tid":1,"ts":%.3f,"args":{"operations":%ld}}
]
)",
               microseconds(), t.operations);
  const bool failed = std::ferror(t.file) != 0;
  if (std::fclose(std::exchange(t.file, nullptr)) != 0 || failed)
    throw Error("trace: cannot be written: ", std::strerror(errno));
}

namespace trace {

void begin(const char *name, Stream *s) {
  if constexpr (built_with_cuda)
    if (s && s->is_cuda())
      cuda::begin_range(name);
  begun().push_back(microseconds());
}

void end(const char *name, Stream *s, double bytes, double flops) noexcept {
  if constexpr (built_with_cuda)
    if (s && s->is_cuda()) {
      try {
        s->synchronize();
      } catch (...) { // the next call says so
      }
      cuda::end_range();
    }
  const double from = begun().back(), to = microseconds();
  begun().pop_back();
  const int thread = this_thread();
  File &t = the();
  const std::lock_guard lock(t.mutex);
  if (!t.file || (s && ++t.operations > most_operations))
    return;
  std::fprintf(t.file, R"({"name":"%s","cat":"%s","ph":"X","pid":1,"tid":%d,"ts":%.3f,"dur":%.3f)", name,
               s ? "operation" : "stage", thread, from, to - from);
  if (s)
    std::fprintf(t.file, R"(,"args":{"bytes":%.0f,"flops":%.0f,"GB/s":%.3f,"GFLOP/s":%.3f})", bytes, flops,
                 bytes / (to - from) / 1e3, flops / (to - from) / 1e3);
  std::fputs("},\n", t.file);
}

void memory(long long device_bytes, long long host_bytes) noexcept {
  File &t = the();
  const std::lock_guard lock(t.mutex);
  t.device_bytes += device_bytes, t.host_bytes += host_bytes;
  if (t.file)
    std::fprintf(t.file, R"({"name":"memory","ph":"C","pid":1,"ts":%.3f,"args":{"device":%lld,"host":%lld}},
)",
                 microseconds(), t.device_bytes, t.host_bytes);
}

} // namespace trace

} // namespace theta
