// The cuda device: streams, memory and copies through the CUDA runtime.
#include "launch.h"
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <atomic>
#include <nvtx3/nvToolsExt.h>
#endif

namespace theta::cuda {

std::vector<DeviceFacts> devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError(); // no driver or no GPU: not an error, there is simply none
    return {};
  }
  std::vector<DeviceFacts> all;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp facts{};
    check(cudaGetDeviceProperties(&facts, i), "device properties");
    all.push_back({Device{Backend::cuda, i}, facts.name, facts.totalGlobalMem, facts.multiProcessorCount,
                   text(facts.major, ".", facts.minor)});
  }
  return all;
}

std::size_t most_shared_bytes() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess) {
    cudaGetLastError();
    return hopper_shared_bytes;
  }
  return std::size_t(bytes);
}

Stream::Cuda *make_stream(int device) {
  auto made = std::make_unique<Stream::Cuda>();
  made->device = device;
  check(cudaSetDevice(device), "set device");
  check(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "create stream");
  check(cudaMalloc(&made->workspace, Stream::Cuda::workspace_bytes), "allocate the cuBLASLt workspace");
  if (cublasLtCreate(&made->blas) != CUBLAS_STATUS_SUCCESS)
    throw Error("cuda: cuBLASLt does not start");
  return made.release();
}

void free_stream(Stream::Cuda *s) {
  s->blas_choices.reset();
  cublasLtDestroy(s->blas);
  cudaFree(s->workspace);
  cudaStreamDestroy(s->stream);
  delete s;
}

void synchronize(Stream::Cuda *s) { check(cudaStreamSynchronize(s->stream), "synchronize"); }

namespace {

std::atomic<std::size_t> most_taken{0};

// Of the current device, by whomever; raises the mark.
std::size_t look_at_memory() noexcept {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess)
    return 0;
  const std::size_t taken = total - free;
  for (std::size_t most = most_taken; taken > most && !most_taken.compare_exchange_weak(most, taken);) {
  }
  return taken;
}

} // namespace

std::size_t begin_watch(int device) {
  check(cudaSetDevice(device), "set device");
  most_taken = 0;
  return look_at_memory();
}
std::size_t watched_peak() noexcept { return most_taken; }

void *allocate(int device, std::size_t bytes, Memory::Kind kind) {
  check(cudaSetDevice(device), "set device");
  void *data = nullptr;
  const auto status = kind == Memory::Kind::device ? cudaMalloc(&data, bytes) : cudaMallocHost(&data, bytes);
  if (status != cudaSuccess)
    throw Error("cuda:", device, ": no ", bytes, " bytes of ", kind == Memory::Kind::device ? "device" : "pinned",
                " memory left (", cudaGetErrorString(status), ")");
  look_at_memory();
  return data;
}

void release(void *data, Memory::Kind kind) noexcept {
  look_at_memory(); // with what libraries have taken meanwhile
  kind == Memory::Kind::device ? cudaFree(data) : cudaFreeHost(data);
}

void copy(Stream::Cuda *s, void *dst, const void *src, std::size_t bytes) {
  check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, s->stream), "copy");
}

void fill_zero(Stream::Cuda *s, void *dst, std::size_t bytes) {
  check(cudaMemsetAsync(dst, 0, bytes, s->stream), "fill with zero");
}

void *make_lane(int device) {
  check(cudaSetDevice(device), "set device");
  cudaStream_t lane = nullptr;
  check(cudaStreamCreateWithFlags(&lane, cudaStreamNonBlocking), "create a stream of copies");
  return lane;
}

void free_lane(void *lane) noexcept { cudaStreamDestroy(static_cast<cudaStream_t>(lane)); }

void copy_on(void *lane, void *dst, const void *src, std::size_t bytes) {
  check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(lane)), "copy");
}

namespace {

void wait(cudaStream_t waiting, cudaStream_t awaited) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event");
  const auto recorded = cudaEventRecord(event, awaited);
  const auto waits = recorded == cudaSuccess ? cudaStreamWaitEvent(waiting, event, 0) : recorded;
  cudaEventDestroy(event); // gone when it has happened
  check(waits, "wait for another stream");
}

} // namespace

void lane_waits(void *lane, Stream::Cuda *s) { wait(static_cast<cudaStream_t>(lane), s->stream); }
void stream_waits(Stream::Cuda *s, void *lane) { wait(s->stream, static_cast<cudaStream_t>(lane)); }

void synchronize_lane(void *lane) {
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(lane)), "synchronize copies");
}

void *make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "create an event");
  return event;
}

void free_event(void *event) noexcept { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }

void record_event(Stream::Cuda *s, void *event) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), s->stream), "record an event");
}

double seconds_between(void *begin, void *end) {
  float milliseconds = 0;
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(end)), "wait for an event");
  check(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(begin), static_cast<cudaEvent_t>(end)),
        "time between events");
  return milliseconds * 1e-3;
}

void begin_capture(Stream::Cuda *s) {
  check(cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal), "begin a graph");
}

void abandon_capture(Stream::Cuda *s) noexcept {
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(s->stream, &graph) == cudaSuccess && graph)
    cudaGraphDestroy(graph);
  cudaGetLastError(); // whatever threw says more
}

void *launch_captured(Stream::Cuda *s, void *old) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(s->stream, &graph), "end a graph");
  auto executable = static_cast<cudaGraphExec_t>(old);
  cudaGraphExecUpdateResultInfo unused{};
  if (!executable || cudaGraphExecUpdate(executable, graph, &unused) != cudaSuccess) {
    cudaGetLastError(); // a graph of another shape is made anew
    if (executable)
      cudaGraphExecDestroy(executable);
    executable = nullptr;
    check(cudaGraphInstantiate(&executable, graph, 0), "make a graph");
  }
  cudaGraphDestroy(graph);
  check(cudaGraphLaunch(executable, s->stream), "launch a graph");
  return executable;
}

void free_graph(void *executable) noexcept { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable)); }

#if __has_include(<nvtx3/nvToolsExt.h>)
void begin_range(const char *name) noexcept { nvtxRangePushA(name); }
void end_range() noexcept { nvtxRangePop(); }
#else
void begin_range(const char *) noexcept {}
void end_range() noexcept {}
#endif

} // namespace theta::cuda
