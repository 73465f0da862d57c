#include "tensor_table.h"
#include "kernels/device/bf16.h"
#include "kernels/device/error.h"
#include <cmath>
#include <cstring>

namespace theta {

namespace {

float from_half(std::uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const float size = exponent == 31  ? (mantissa ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp(float(mantissa), -24)
                                     : std::ldexp(float(mantissa + 1024), exponent - 25);
  return half >> 15 ? -size : size;
}

template <class T, class F> std::vector<float> converted(const std::byte *bytes, std::size_t n, F convert) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    values[i] = convert(value);
  }
  return values;
}

} // namespace

bool is_floating(Dtype d) { return d == Dtype::f16 || d == Dtype::bf16 || d == Dtype::f32 || d == Dtype::f64; }

std::vector<float> to_floats(Dtype dtype, const std::byte *bytes, std::size_t n) {
  switch (dtype) {
  case Dtype::f16:
    return converted<std::uint16_t>(bytes, n, from_half);
  case Dtype::bf16:
    return converted<bf16>(bytes, n, [](bf16 x) { return to_float(x); });
  case Dtype::f32:
    return converted<float>(bytes, n, [](float x) { return x; });
  case Dtype::f64:
    return converted<double>(bytes, n, [](double x) { return float(x); });
  default:
    throw Error("tensors: ", name_of(dtype), " is no floating type");
  }
}

TensorTable safetensors_table(const std::filesystem::path &path) {
  const Safetensors file(path);
  TensorTable table;
  for (const TensorInfo &t : file.tensors()) {
    if (is_floating(t.dtype) && t.elements() > 0)
      table.tensors.push_back({t.name, t.shape, to_floats(t.dtype, file.bytes(t).data(), t.elements())});
    else
      table.left_out.push_back(t.name);
  }
  return table;
}

} // namespace theta
