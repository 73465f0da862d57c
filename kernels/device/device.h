// The two devices that run everything, and what an operation needs of them: an order of execution (Stream), memory
// (Memory), and copies. `cpu` is the readable reference; `cuda` exists where the build found nvcc and a GPU answers.
#pragma once
#include "error.h"
#include "trace.h"
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace theta {

enum class Backend { cpu, cuda };

// True in builds that hold the CUDA kernels (compiled by nvcc, or by the emulator of tests/simt).
inline constexpr bool built_with_cuda = THETA_CUDA;

// CUDA kernels are compiled for float and, where an operation offers it, bf16; double lives on the cpu alone, where
// gradients are checked in it.
template <class T> inline constexpr bool runs_on_cuda = built_with_cuda && !std::is_same_v<T, double>;

struct Device {
  Backend backend = Backend::cpu;
  int index = 0;

  // "auto" (a GPU if one answers), "cpu", "cuda" or "cuda:N". Throws InputError for anything else, or where that GPU
  // does not answer.
  static Device parse(std::string_view name);
  std::string name() const;
  bool operator==(const Device &) const = default;
};

struct DeviceFacts {
  Device device;
  std::string description; // "NVIDIA H200", or the processor's model name
  std::size_t memory;      // bytes in all; of the cpu those that this process may use (container.h)
  int units;               // streaming multiprocessors, or threads
  std::string capability;  // "9.0", or the instruction set of the build
};

// Every device of this machine, the cpu first. A machine without a driver has the cpu alone.
std::vector<DeviceFacts> devices();

// One order of execution on one device. Work on a cuda stream is asynchronous until synchronize(); work on the cpu is
// done when a call returns.
class Stream {
public:
  explicit Stream(Device device);
  ~Stream();
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  Device device() const { return device_; }
  bool is_cuda() const { return device_.backend == Backend::cuda; }
  void synchronize();

  struct Cuda; // the CUDA stream and its cuBLASLt handle, defined where CUDA is
  Cuda &cuda() const { return *cuda_; }

private:
  Device device_;
  Cuda *cuda_ = nullptr;
};

// One allocation of bytes, released with its owner. `pinned` is host memory that a GPU copies from at full rate (plain
// host memory when the device is the cpu). Throws Error when the device has no such amount left.
class Memory {
public:
  enum class Kind { device, pinned };
  Memory() = default;
  Memory(Device device, std::size_t bytes, Kind kind = Kind::device);
  Memory(Memory &&other) noexcept { swap(other); }
  Memory &operator=(Memory &&other) noexcept {
    Memory taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Memory();

  std::byte *data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  template <class T> T *as() const { return reinterpret_cast<T *>(data_); }

private:
  void count(int sign) const noexcept;
  void swap(Memory &other) noexcept {
    std::swap(device_, other.device_), std::swap(kind_, other.kind_);
    std::swap(bytes_, other.bytes_), std::swap(data_, other.data_);
  }
  Device device_;
  Kind kind_ = Kind::device;
  std::size_t bytes_ = 0;
  std::byte *data_ = nullptr;
};

// Copies `bytes` from src to dst, each in host memory or on the stream's device, in stream order. From pageable host
// memory the source may be reused on return; into host memory the bytes are there after synchronize().
void copy(Stream &s, void *dst, const void *src, std::size_t bytes);

// Sets `bytes` at dst to zero, in stream order.
void fill_zero(Stream &s, void *dst, std::size_t bytes);

// Copies beside a stream's work: an order of their own between host and device. On the cpu a copy is done when the call
// returns, and nothing is waited for.
class CopyLane {
public:
  explicit CopyLane(Device device);
  ~CopyLane();
  CopyLane(const CopyLane &) = delete;
  CopyLane &operator=(const CopyLane &) = delete;

  void copy(void *dst, const void *src, std::size_t bytes);
  void wait_for(Stream &); // what is copied from here on waits for what the stream was given so far
  void hold(Stream &);     // what the stream is given from here on waits for what is copied so far
  void synchronize();

private:
  void *lane_ = nullptr; // a CUDA stream
};

// What the n bytes at `data`, in memory of the stream's device, hold is not needed any more. On the cpu their pages go
// back to the system until they are written again.
void give_back(Stream &, void *data, std::size_t n);

// Time between two points of a stream, by the device's own clock.
class Stopwatch {
public:
  explicit Stopwatch(Stream &);
  ~Stopwatch();
  Stopwatch(const Stopwatch &) = delete;
  Stopwatch &operator=(const Stopwatch &) = delete;
  void start();
  double stop(); // seconds since start(); waits for the stream

private:
  Stream *stream_;
  void *begin_ = nullptr, *end_ = nullptr; // CUDA events
  double started_ = 0;
};

// A step of many launches, started as one: on cuda what `body` launches is captured into a CUDA graph, which replaces
// the arguments of the graph of the step before and is launched whole, so that the device never waits for the host
// between two kernels. On the cpu, `body` simply runs. It may launch and copy between device memory; it may not
// synchronise or touch host memory. One object a step, used on one stream.
class Graph {
public:
  Graph() = default;
  ~Graph();
  Graph(const Graph &) = delete;
  Graph &operator=(const Graph &) = delete;

  template <class F> void run(Stream &s, F body) {
    if (trace::is_on)
      return body(); // operation by operation
    Capture capture(*this, s);
    body();
    capture.launch();
  }

private:
  struct Capture { // ends the capture also where body throws
    Graph &graph;
    Stream &stream;
    bool open;
    Capture(Graph &, Stream &);
    ~Capture();
    void launch();
  };
  void *executable_ = nullptr;
};

// The n elements at `src` on the stream's device, brought to the host. Synchronises.
template <class T> std::vector<T> to_host(Stream &s, const T *src, std::size_t n) {
  std::vector<T> host(n);
  copy(s, host.data(), src, n * sizeof(T));
  s.synchronize();
  return host;
}

// What cuda streams are made of. Defined in device.cu for GPUs and in tests/simt for the emulator; called only where
// built_with_cuda.
namespace cuda {
std::vector<DeviceFacts> devices();
Stream::Cuda *make_stream(int device);
void free_stream(Stream::Cuda *);
void synchronize(Stream::Cuda *);
void *allocate(int device, std::size_t bytes, Memory::Kind kind);
void release(void *, Memory::Kind kind) noexcept;
void copy(Stream::Cuda *, void *dst, const void *src, std::size_t bytes);
void fill_zero(Stream::Cuda *, void *dst, std::size_t bytes);
void *make_lane(int device);
void free_lane(void *lane) noexcept;
void copy_on(void *lane, void *dst, const void *src, std::size_t bytes);
void lane_waits(void *lane, Stream::Cuda *);
void stream_waits(Stream::Cuda *, void *lane);
void synchronize_lane(void *lane);
void *make_event();
void free_event(void *) noexcept;
void record_event(Stream::Cuda *, void *event);
double seconds_between(void *begin, void *end); // waits for `end`
void begin_capture(Stream::Cuda *);
void abandon_capture(Stream::Cuda *) noexcept;
void *launch_captured(Stream::Cuda *, void *executable); // returns the executable graph to hand in the next time
void free_graph(void *executable) noexcept;
std::size_t begin_watch(int device);         // bytes of it that are taken, by whomever; the mark falls to them
std::size_t watched_peak() noexcept;         // the mark: the most that were taken when memory was taken or given back
void begin_range(const char *name) noexcept; // NVTX's, where the toolkit has it
void end_range() noexcept;
} // namespace cuda

} // namespace theta
