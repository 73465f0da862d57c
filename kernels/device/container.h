// What this process may use of a machine: the limits of its control groups (Linux's cgroups, version 2 and 1), as
// containers and batch systems set them. https://docs.kernel.org/admin-guide/cgroup-v2.html
#pragma once
#include <cstddef>

namespace theta {

// Cores that its groups' quotas come to, rounded up, of at most `there`; at least 1.
int cores_allowed(int there);
// Bytes of memory, of at most `there`.
std::size_t memory_allowed(std::size_t there);

} // namespace theta
