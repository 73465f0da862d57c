// The cpu device, and the choice between it and cuda.
#include "device.h"
#include "arithmetic.h"
#include "container.h"
#include "parallel.h"
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace theta {

namespace {

constexpr std::size_t cpu_alignment = 4096, huge_page = std::size_t(2) << 20;

DeviceFacts cpu_facts() {
  std::string model = "unknown processor";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0 && line.find(':') != std::string::npos) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  const auto bytes = std::size_t(sysconf(_SC_PHYS_PAGES)) * std::size_t(sysconf(_SC_PAGE_SIZE));
#if defined(__AVX512F__)
  std::string capability = "avx512";
#elif defined(__AVX2__)
  std::string capability = "avx2";
#else
  std::string capability = "baseline";
#endif
  if (bf16_unit() != Bf16Unit::widened)
    capability += bf16_unit() == Bf16Unit::tiles ? ", bf16 in tiles" : ", bf16";
  return {Device{}, model, memory_allowed(bytes), threads(), capability};
}

double now() { // seconds
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<DeviceFacts> gpus() {
  if constexpr (built_with_cuda)
    return cuda::devices();
  else
    return {};
}

} // namespace

Device Device::parse(std::string_view name) {
  const auto found = gpus();
  if (name == "cpu")
    return {};
  if (name == "auto")
    return found.empty() ? Device{} : found.front().device;
  if (name == "cuda" || name.substr(0, 5) == "cuda:") {
    const std::string digits(name.size() > 5 ? name.substr(5) : name == "cuda" ? "0" : "");
    if (!digits.empty() && digits.size() < 4 && digits.find_first_not_of("0123456789") == std::string::npos) {
      const auto index = std::size_t(std::stoi(digits));
      if (index < found.size())
        return found[index].device;
      throw InputError("device ", name, ": ", found.size(), " GPUs answer here",
                       built_with_cuda ? "" : " (this build has no CUDA kernels)",
                       "; expected cpu or a GPU that answers");
    }
  }
  throw InputError("device: found '", name, "', expected auto, cpu, cuda or cuda:N");
}

std::string Device::name() const { return backend == Backend::cpu ? "cpu" : text("cuda:", index); }

std::vector<DeviceFacts> devices() {
  std::vector<DeviceFacts> all{cpu_facts()};
  for (auto &gpu : gpus())
    all.push_back(gpu);
  return all;
}

Stream::Stream(Device device) : device_(device) {
  if constexpr (built_with_cuda)
    if (is_cuda())
      cuda_ = cuda::make_stream(device.index);
}

Stream::~Stream() {
  if constexpr (built_with_cuda)
    if (is_cuda())
      cuda::free_stream(cuda_);
}

void Stream::synchronize() {
  if constexpr (built_with_cuda)
    if (is_cuda())
      cuda::synchronize(cuda_);
}

Memory::Memory(Device device, std::size_t bytes, Kind kind) : device_(device), kind_(kind), bytes_(bytes) {
  if (bytes == 0)
    return;
  if constexpr (built_with_cuda)
    if (device.backend == Backend::cuda) {
      data_ = static_cast<std::byte *>(cuda::allocate(device.index, bytes, kind));
      count(1);
      return;
    }
  // Large memory lies in huge pages where the system has them: a network reads images all over a data set, and would
  // wait for the place of each page.
  const std::size_t unit = bytes >= huge_page ? huge_page : cpu_alignment, rounded = (bytes + unit - 1) / unit * unit;
  data_ = static_cast<std::byte *>(std::aligned_alloc(unit, rounded));
  if (!data_)
    throw Error("cpu: no ", bytes, " bytes of memory left");
  if (unit == huge_page)
    madvise(data_, rounded, MADV_HUGEPAGE); // a wish: nothing depends on it
  count(1);
}

// What lives, for the trace.
void Memory::count(int sign) const noexcept {
  const auto bytes = sign * (long long)(bytes_);
  trace::memory(kind_ == Kind::device ? bytes : 0, kind_ == Kind::device ? 0 : bytes);
}

Memory::~Memory() {
  if (!data_)
    return;
  count(-1);
  if constexpr (built_with_cuda)
    if (device_.backend == Backend::cuda) {
      cuda::release(data_, kind_);
      return;
    }
  std::free(data_);
}

void copy(Stream &s, void *dst, const void *src, std::size_t bytes) {
  if (bytes == 0)
    return;
  const Span span(s, "copy", 2.0 * double(bytes));
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::copy(&s.cuda(), dst, src, bytes);
  std::memcpy(dst, src, bytes);
}

void fill_zero(Stream &s, void *dst, std::size_t bytes) {
  if (bytes == 0)
    return;
  const Span span(s, "fill_zero", double(bytes));
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      return cuda::fill_zero(&s.cuda(), dst, bytes);
  std::memset(dst, 0, bytes);
}

CopyLane::CopyLane(Device device) {
  if constexpr (built_with_cuda)
    if (device.backend == Backend::cuda)
      lane_ = cuda::make_lane(device.index);
}

CopyLane::~CopyLane() {
  if constexpr (built_with_cuda)
    if (lane_)
      cuda::free_lane(lane_);
}

void CopyLane::copy(void *dst, const void *src, std::size_t bytes) {
  if constexpr (built_with_cuda)
    if (lane_)
      return cuda::copy_on(lane_, dst, src, bytes);
  std::memcpy(dst, src, bytes);
}

void CopyLane::wait_for(Stream &s) {
  if constexpr (built_with_cuda)
    if (lane_)
      cuda::lane_waits(lane_, &s.cuda());
}

void CopyLane::hold(Stream &s) {
  if constexpr (built_with_cuda)
    if (lane_)
      cuda::stream_waits(&s.cuda(), lane_);
}

void CopyLane::synchronize() {
  if constexpr (built_with_cuda)
    if (lane_)
      cuda::synchronize_lane(lane_);
}

void give_back(Stream &s, void *data, std::size_t n) {
  if (s.is_cuda() || n == 0)
    return;
  const auto page = std::uintptr_t(sysconf(_SC_PAGESIZE));
  const std::uintptr_t first = (std::uintptr_t(data) + page - 1) / page * page,
                       end = (std::uintptr_t(data) + n) / page * page;
  if (end > first)
    madvise(reinterpret_cast<void *>(first), end - first, MADV_DONTNEED); // a wish
}

Stopwatch::Stopwatch(Stream &s) : stream_(&s) {
  if constexpr (built_with_cuda)
    if (s.is_cuda())
      begin_ = cuda::make_event(), end_ = cuda::make_event();
}

Stopwatch::~Stopwatch() {
  if constexpr (built_with_cuda)
    for (void *event : {begin_, end_})
      if (event)
        cuda::free_event(event);
}

void Stopwatch::start() {
  if constexpr (built_with_cuda)
    if (begin_)
      return cuda::record_event(&stream_->cuda(), begin_);
  started_ = now();
}

double Stopwatch::stop() {
  if constexpr (built_with_cuda)
    if (end_) {
      cuda::record_event(&stream_->cuda(), end_);
      return cuda::seconds_between(begin_, end_);
    }
  return now() - started_;
}

Graph::~Graph() {
  if constexpr (built_with_cuda)
    if (executable_)
      cuda::free_graph(executable_);
}

Graph::Capture::Capture(Graph &g, Stream &s) : graph(g), stream(s), open(s.is_cuda()) {
  if constexpr (built_with_cuda)
    if (open)
      cuda::begin_capture(&stream.cuda());
}

Graph::Capture::~Capture() {
  if constexpr (built_with_cuda)
    if (open)
      cuda::abandon_capture(&stream.cuda());
}

void Graph::Capture::launch() {
  if constexpr (built_with_cuda)
    if (std::exchange(open, false))
      graph.executable_ = cuda::launch_captured(&stream.cuda(), graph.executable_);
}

} // namespace theta
