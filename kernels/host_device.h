// Marks a function that host and device both call.
#pragma once
#include <cmath>

#if defined(__CUDACC__)
#define THETA_HOST_DEVICE __host__ __device__
#else
#define THETA_HOST_DEVICE
#endif
