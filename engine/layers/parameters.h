// Where a layer finds its numbers: it knows offsets, and is handed these flat vectors at every call. Nothing that
// computes owns memory.
#pragma once

namespace theta {

template <class T> struct Parameters {
  const T *value;        // every parameter of the network
  T *gradient = nullptr; // added to by backward; null where nothing is trained
  T *buffer = nullptr;   // running statistics
};

enum class Mode { train, infer };

} // namespace theta
