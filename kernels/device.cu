// The cuda device: streams, memory and copies through the CUDA runtime.
#include "stream_cuda.h"

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
  cublasLtDestroy(s->blas);
  cudaFree(s->workspace);
  cudaStreamDestroy(s->stream);
  delete s;
}

void synchronize(Stream::Cuda *s) { check(cudaStreamSynchronize(s->stream), "synchronize"); }

void *allocate(int device, std::size_t bytes, Memory::Kind kind) {
  check(cudaSetDevice(device), "set device");
  void *data = nullptr;
  const auto status = kind == Memory::Kind::device ? cudaMalloc(&data, bytes) : cudaMallocHost(&data, bytes);
  if (status != cudaSuccess)
    throw Error("cuda:", device, ": no ", bytes, " bytes of ", kind == Memory::Kind::device ? "device" : "pinned",
                " memory left (", cudaGetErrorString(status), ")");
  return data;
}

void release(void *data, Memory::Kind kind) noexcept {
  kind == Memory::Kind::device ? cudaFree(data) : cudaFreeHost(data);
}

void copy(Stream::Cuda *s, void *dst, const void *src, std::size_t bytes) {
  check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, s->stream), "copy");
}

void fill_zero(Stream::Cuda *s, void *dst, std::size_t bytes) {
  check(cudaMemsetAsync(dst, 0, bytes, s->stream), "fill with zero");
}

} // namespace theta::cuda
