// The most memory that this process has had since a moment: on the cpu what the kernel counts as resident, on a GPU
// what the driver says is taken, by whomever: libraries too.
#pragma once
#include "device.h"

namespace theta {

class MemoryWatch {
public:
  explicit MemoryWatch(Device);                  // begins: what is there now is not counted
  std::size_t before() const { return before_; } // bytes that were there
  // Bytes at the most, over what was there. On a GPU as seen when memory was taken and given back. 0 where the system
  // does not say.
  std::size_t peak() const;

private:
  Device device_;
  std::size_t before_;
};

} // namespace theta
