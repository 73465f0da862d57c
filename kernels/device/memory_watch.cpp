#include "memory_watch.h"
#include <fstream>
#include <string>

namespace theta {

namespace {

// A line of /proc/self/status, "VmHWM:  1234 kB", in bytes.
std::size_t status(const std::string &name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":"))
      return std::size_t(std::stoull(line.substr(name.size() + 1))) << 10;
  return 0;
}

} // namespace

MemoryWatch::MemoryWatch(Device device) : device_(device) {
  if constexpr (built_with_cuda)
    if (device.backend == Backend::cuda) {
      before_ = cuda::begin_watch(device.index);
      return;
    }
  std::ofstream("/proc/self/clear_refs") << "5"; // the mark falls to what is resident now
  before_ = status("VmRSS");
}

std::size_t MemoryWatch::peak() const {
  std::size_t most = 0;
  if constexpr (built_with_cuda)
    if (device_.backend == Backend::cuda)
      most = cuda::watched_peak();
  if (device_.backend == Backend::cpu)
    most = status("VmHWM");
  return most > before_ ? most - before_ : 0;
}

} // namespace theta
