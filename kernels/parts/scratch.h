// Memory of a thread's own, for what an operation of the cpu keeps beside its tensors: blocks brought into the order
// that products want, sums in fp32 of what is stored in bf16. It grows to the most that any operation has taken and is
// given back when the thread ends, so that a step that is like the last allocates nothing.
#pragma once
#include <cstddef>

namespace theta {

class Scratch {
public:
  Scratch();  // takes nothing
  ~Scratch(); // what was taken may be taken again: one within another's life ends before it
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;

  // n elements at a multiple of 64 bytes, as they happen to be; a number's or a plain struct's.
  template <class T> T *take(std::size_t n) const { return static_cast<T *>(bytes(n * sizeof(T))); }

private:
  static void *bytes(std::size_t);
  std::size_t chunk_, used_; // of the thread's memory, when it began
};

} // namespace theta
