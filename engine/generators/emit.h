// From a sampler's batch on a device to whoever takes its networks, one at a time.
#pragma once
#include "kernels/device/device.h"
#include <functional>
#include <span>

namespace theta {

// Takes sample i, theta [V] in host memory.
using EmitNetwork = std::function<void(std::size_t i, std::span<const float> theta)>;

// Networks first, first + 1, ...: theta [count, V] on the stream's device; staging [V] in host memory.
inline void emit_networks(Stream &s, const float *theta, float *staging, std::size_t first, std::size_t count,
                          std::size_t parameters, const EmitNetwork &emit) {
  for (std::size_t i = 0; i < count; ++i) {
    copy(s, staging, theta + i * parameters, parameters * sizeof(float));
    s.synchronize();
    emit(first + i, {staging, parameters});
  }
}

} // namespace theta
