// Marks a function that host and device both call.
#pragma once
#include <cmath>

#if defined(__CUDACC__)
#define THETA_HOST_DEVICE __host__ __device__
#elif THETA_SIMT
#define THETA_HOST_DEVICE __attribute__((always_inline)) // tests/simt/memory.h says why
#else
#define THETA_HOST_DEVICE
#endif
