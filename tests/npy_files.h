// numpy's files, for tests.
#pragma once
#include <string>
#include <vector>

namespace theta::test {

template <class T>
std::string npy_bytes(const std::string &descr, bool fortran, const std::string &shape, const std::vector<T> &values) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
  header += std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
  std::string bytes = "\x93NUMPY";
  bytes += {1, 0, char(header.size() & 255), char(header.size() >> 8)};
  return bytes + header + std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
}

} // namespace theta::test
