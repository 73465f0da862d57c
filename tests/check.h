// What every test needs: the devices to run on, buffers on them, numbers to feed, and how far two results may lie
// apart.
#pragma once
#include "data/safetensors.h"
#include "kernels/device/bf16.h"
#include "kernels/device/device.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>
#include <doctest/doctest.h>

namespace theta::test {

// Where operations go wrong: one, about a tile of theirs (a warp, a block, a register's lanes) and about two, and a prime.
inline std::vector<int> sizes_around(int tile) { return {1, tile - 1, tile, tile + 1, 2 * tile, 2 * tile + 1, 61}; }

// Every device of this machine; in the emulator's build the emulated GPU is among them.
inline std::vector<Device> all_devices() {
  std::vector<Device> found;
  for (const auto &d : devices())
    found.push_back(d.device);
  return found;
}

// n elements on a device, exactly: one more is past the end.
template <class T> class Buffer {
public:
  Buffer(Stream &s, const std::vector<T> &values)
      : stream_(&s), memory_(s.device(), values.size() * sizeof(T)), n_(values.size()) {
    copy(s, memory_.data(), values.data(), n_ * sizeof(T));
    s.synchronize();
  }
  // Filled with NaN, so that what an operation forgets to write shows.
  Buffer(Stream &s, std::size_t n) : Buffer(s, std::vector<T>(n, poison())) {}
  operator T *() const { return memory_.template as<T>(); }
  T *get() const { return memory_.template as<T>(); }
  std::vector<T> host() const { return to_host(*stream_, get(), n_); }
  std::size_t size() const { return n_; }

private:
  static T poison() {
    if constexpr (std::is_floating_point_v<T>)
      return std::numeric_limits<T>::quiet_NaN();
    else
      return T(-1);
  }
  Stream *stream_;
  Memory memory_;
  std::size_t n_;
};

// n numbers from N(0, scale²), different for every salt.
template <class T> std::vector<T> random_values(std::size_t n, int salt, double scale = 1) {
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = T(scale * normal(12345, Purpose::test, std::uint32_t(salt), i));
  return x;
}

using Results = std::vector<std::vector<float>>;

// To float or bf16, and back.
template <class T, class V> std::vector<T> narrowed(const std::vector<V> &values) {
  std::vector<T> to(values.size());
  std::transform(values.begin(), values.end(), to.begin(), [](V v) { return rounded<T>(float(v)); });
  return to;
}
template <class T> std::vector<float> widened(const std::vector<T> &values) {
  std::vector<float> to(values.size());
  std::transform(values.begin(), values.end(), to.begin(), [](T v) { return to_float(v); });
  return to;
}

// max |a − b| / max |b|: the error relative to the size of the whole tensor. NaN (anywhere) and differing lengths never
// pass a comparison with it.
template <class A, class B> double relative_error(const std::vector<A> &a, const std::vector<B> &b) {
  if (a.size() != b.size())
    return std::numeric_limits<double>::quiet_NaN();
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(double(a[i]) - double(b[i]));
    if (std::isnan(d))
      return d;
    difference = std::max(difference, d), largest = std::max(largest, std::abs(double(b[i])));
  }
  return largest > 0 ? difference / largest : difference;
}

// ‖a − b‖ / ‖b‖, the error that bf16 paths are held to.
template <class A, class B> double norm_error(const std::vector<A> &a, const std::vector<B> &b) {
  if (a.size() != b.size())
    return std::numeric_limits<double>::quiet_NaN();
  double difference = 0, whole = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference += std::pow(double(a[i]) - double(b[i]), 2), whole += double(b[i]) * double(b[i]);
  return std::sqrt(difference / whole);
}

template <class T> inline constexpr double golden_tolerance = std::is_same_v<T, double> ? 1e-10 : 1e-5;

// A file of tests/golden: doubles and integers that PyTorch, numpy and scipy computed.
class Golden {
public:
  explicit Golden(const std::string &name) : file_(std::filesystem::path("tests/golden") / (name + ".safetensors")) {}
  template <class T> std::vector<T> get(const std::string &name) const {
    const auto values = file_.read<double>(name);
    return {values.begin(), values.end()};
  }
  std::vector<std::uint8_t> labels(const std::string &name) const {
    const auto values = file_.read<std::int64_t>(name);
    return {values.begin(), values.end()};
  }
  int side(const std::string &name, std::size_t axis) const { return int(file_.tensor(name).shape.at(axis)); }
  const Safetensors &file() const { return file_; }

private:
  Safetensors file_;
};

// Runs check(T{}, stream) in float on every device and in double on the cpu.
template <class F> void in_every_precision(F check) {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    check(float{}, s);
  }
  Stream s{Device{}};
  CAPTURE("double on cpu");
  check(double{}, s);
}

// Runs make(stream) on the cpu and on every other device, and compares: make returns a list of vectors of floats, each
// within `tolerance` (relative_error) of the cpu's.
template <class F> void same_on_every_device(double tolerance, F make) {
  Stream cpu{Device{}};
  const Results expected = make(cpu);
  for (const auto device : all_devices()) {
    if (device.backend == Backend::cpu)
      continue;
    CAPTURE(device.name());
    Stream s(device);
    const Results found = make(s);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i);
      CHECK(relative_error(found[i], expected[i]) <= tolerance);
    }
  }
}

} // namespace theta::test
