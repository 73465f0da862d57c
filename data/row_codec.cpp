#include "row_codec.h"
#include "kernels/device/bf16.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

namespace theta {

namespace {

constexpr std::array code_names{"plain", "int8", "int4", "ternary", "kept"};
constexpr std::array scale_names{"one", "rows", "blocks", "columns", "whole"};
constexpr std::array coded{Code::ternary, Code::int4, Code::int8, Code::kept};

template <class E, std::size_t N> E named(std::string_view name, const std::array<const char *, N> &names) {
  for (std::size_t i = 0; i < N; ++i)
    if (name == names[i])
      return E(i);
  throw InputError("codec: found '", name, "', which is none");
}

// To 16 significant bits, or to bf16's eight.
float rounded_scale(double s, bool in_bf16) {
  const float x = float(s);
  if (in_bf16)
    return to_float(to_bf16(x));
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fu + (bits >> 8 & 1u)) & ~0xffu);
}

// Whether all weights are multiples of the scale, but for what products of floats leave.
bool fits(std::span<const float> weights, double scale, int most) {
  return std::all_of(weights.begin(), weights.end(), [&](float w) {
    const double code = w / scale, whole = std::nearbyint(code);
    return std::abs(code - whole) <= 1e-5 * std::max(1.0, std::abs(whole)) && std::abs(whole) <= most;
  });
}

double best_ternary(std::span<const float> weights) {
  std::vector<double> size(weights.size());
  std::transform(weights.begin(), weights.end(), size.begin(), [](float w) { return std::abs(double(w)); });
  std::sort(size.begin(), size.end(), std::greater());
  double sum = 0, best = -1, scale = 0; // Σ of the k largest, squared, over k is what they leave less of the square
  for (std::size_t k = 0; k < size.size(); ++k)
    if (sum += size[k]; sum * sum / double(k + 1) > best)
      best = sum * sum / double(k + 1), scale = sum / double(k + 1);
  return scale;
}

double best_of_many(std::span<const float> weights, double largest, int most) {
  constexpr int tries = 96;
  double least = INFINITY, best = 0;
  for (int i = 0; i < tries; ++i) {
    double scale = largest / most * (most < 16 ? 0.25 + 0.95 * i / (tries - 1) : 0.7 + 0.35 * i / (tries - 1));
    double up = 0, down = 0;
    for (const float w : weights) {
      const double code = std::clamp(std::nearbyint(w / scale), -double(most), double(most));
      up += code * double(w), down += code * code;
    }
    if (down > 0)
      scale = up / down;
    double error = 0;
    for (const float w : weights) {
      const double left = double(w) - scale * std::clamp(std::nearbyint(w / scale), -double(most), double(most));
      error += left * left;
    }
    if (error < least)
      least = error, best = scale;
  }
  return best;
}

} // namespace

const char *name_of(Code code) { return code_names[std::size_t(code)]; }
const char *name_of(CodeScale scale) { return scale_names[std::size_t(scale)]; }
Code code_named(std::string_view name) { return named<Code>(name, code_names); }
CodeScale code_scale_named(std::string_view name) { return named<CodeScale>(name, scale_names); }

int most_code(Code code) { return code == Code::int8 ? 127 : code == Code::int4 ? 7 : code == Code::ternary ? 1 : 0; }

int code_of(float weight, float scale, int most) {
  return scale > 0 && std::isfinite(weight)
             ? int(std::clamp(std::nearbyint(double(weight) / double(scale)), -double(most), double(most)))
             : 0;
}

float best_scale(std::span<const float> weights, int most, bool in_bf16) {
  double largest = 0;
  for (const float w : weights) {
    if (!std::isfinite(w))
      return NAN;
    largest = std::max(largest, std::abs(double(w)));
  }
  if (largest == 0)
    return 0;
  double least = INFINITY; // what is left of multiples of a scale by rounding it
  float nearest = 0;
  for (int code = 1; code <= most && least > 0; ++code) // of the largest
    if (fits(weights, largest / code, most)) {
      const float scale = rounded_scale(largest / code, in_bf16);
      double left = 0;
      for (const float w : weights)
        left = std::max(left, std::abs(double(w) - double(scale) * code_of(w, scale, most)));
      if (left < least)
        least = left, nearest = scale;
    }
  if (nearest > 0)
    return nearest;
  return rounded_scale(most == 1 ? best_ternary(weights) : best_of_many(weights, largest, most), in_bf16);
}

std::size_t RowCodec::Tensor::groups() const {
  const std::size_t out = elements / row, run = std::size_t(codec.run);
  switch (codec.scale) {
  case CodeScale::one:
    return 0;
  case CodeScale::rows:
    return out;
  case CodeScale::blocks:
    return out * ((row + run - 1) / run);
  case CodeScale::columns:
    return row / run;
  default:
    return 1;
  }
}

std::size_t RowCodec::Tensor::group_of(std::size_t e) const {
  const std::size_t run = std::size_t(codec.run);
  switch (codec.scale) {
  case CodeScale::rows:
    return e / row;
  case CodeScale::blocks:
    return e / row * ((row + run - 1) / run) + e % row / run;
  case CodeScale::columns:
    return e % row / run;
  default:
    return 0;
  }
}

RowCodec::RowCodec(std::vector<Shape> tensors, std::vector<Codec> codecs, std::size_t kept, Dtype numbers,
                   const std::string &where)
    : kept_(kept), dtype_(numbers) {
  if (codecs.size() != tensors.size())
    throw InputError(where, ": codecs: found ", codecs.size(), ", expected one for each of ", tensors.size(),
                     " tensors");
  std::size_t plain = 0;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    std::size_t elements = 1;
    for (const auto side : tensors[t])
      elements *= std::size_t(side);
    const std::size_t row = tensors[t].empty() ? elements : elements / std::size_t(tensors[t][0]);
    if (codecs[t].run < 1 || (codecs[t].scale == CodeScale::columns && row % std::size_t(codecs[t].run) != 0))
      throw InputError(where, ": codecs: found columns of ", codecs[t].run, " in rows of ", row);
    if (most_code(codecs[t].code) == 0 && codecs[t].scale != CodeScale::one)
      throw InputError(where, ": codecs: found a scale of ", name_of(codecs[t].code), " numbers, expected none");
    tensors_.push_back({codecs[t], parameters_, elements, row});
    parameters_ += elements;
    plain += codecs[t].code == Code::plain ? elements : tensors_.back().groups();
  }
  if (kept > count_of(Code::kept))
    throw InputError(where, ": kept: found ", kept, ", expected at most ", count_of(Code::kept), " weights");
  if (plain + kept > 0)
    streams_.push_back({"numbers", numbers, plain + kept});
  for (const Code code : coded)
    if (const std::size_t n = count_of(code); n > 0) {
      const std::size_t a_byte = code == Code::ternary ? 5 : code == Code::int4 ? 2 : code == Code::int8 ? 1 : 8;
      streams_.push_back({code == Code::kept ? "mask" : std::string("codes.") + name_of(code),
                          code == Code::int8 ? Dtype::i8 : Dtype::u8, (n + a_byte - 1) / a_byte});
    }
}

std::size_t RowCodec::bytes() const {
  return std::accumulate(streams_.begin(), streams_.end(), std::size_t(0),
                         [](std::size_t sum, const Stream &s) { return sum + s.bytes(); });
}

std::size_t RowCodec::count_of(Code code) const {
  std::size_t n = 0;
  for (const Tensor &t : tensors_)
    n += t.codec.code == code ? t.elements : 0;
  return n;
}

namespace {

// Codes as bytes hold them, one after another: the i-th of a stream.
void put_code(std::uint8_t *to, std::size_t i, Code code, int value) {
  constexpr std::array<std::uint8_t, 5> powers{1, 3, 9, 27, 81};
  if (code == Code::ternary)
    to[i / 5] = std::uint8_t(to[i / 5] + (value + 1) * powers[i % 5]);
  else if (code == Code::int4)
    to[i / 2] = std::uint8_t(to[i / 2] | (value + 8) << (i % 2 ? 4 : 0));
  else if (code == Code::int8)
    to[i] = std::uint8_t(std::int8_t(value));
  else
    to[i / 8] = std::uint8_t(to[i / 8] | value << i % 8);
}
int get_code(const std::uint8_t *from, std::size_t i, Code code) {
  constexpr std::array<int, 5> powers{1, 3, 9, 27, 81};
  if (code == Code::ternary)
    return from[i / 5] / powers[i % 5] % 3 - 1;
  if (code == Code::int4)
    return (from[i / 2] >> (i % 2 ? 4 : 0) & 15) - 8;
  if (code == Code::int8)
    return std::int8_t(from[i]);
  return from[i / 8] >> i % 8 & 1;
}

} // namespace

const RowCodec::Stream *RowCodec::stream(Code code, std::size_t &at) const {
  at = 0;
  const std::string name = code == Code::plain  ? "numbers"
                           : code == Code::kept ? "mask"
                                                : std::string("codes.") + name_of(code);
  for (const Stream &s : streams_) {
    if (s.name == name)
      return &s;
    at += s.bytes();
  }
  return nullptr;
}

std::vector<std::byte> RowCodec::encode(const float *theta) const {
  std::vector<std::byte> row(bytes());
  std::vector<float> numbers, kept;
  std::size_t at = 0;
  for (const Tensor &t : tensors_)
    if (t.codec.code == Code::plain) {
      numbers.insert(numbers.end(), theta + t.offset, theta + t.offset + t.elements);
    } else if (const int most = most_code(t.codec.code); most > 0 && t.groups() > 0) {
      std::vector<std::vector<float>> groups(t.groups());
      for (std::size_t e = 0; e < t.elements; ++e)
        groups[t.group_of(e)].push_back(theta[t.offset + e]);
      for (const auto &group : groups)
        numbers.push_back(best_scale(group, most, dtype_ == Dtype::bf16));
    }
  std::size_t next_scale = 0; // among the numbers
  std::array<std::size_t, code_names.size()> done{};
  for (const Tensor &t : tensors_) {
    const int most = most_code(t.codec.code);
    if (most > 0) {
      stream(t.codec.code, at);
      auto *to = reinterpret_cast<std::uint8_t *>(row.data() + at);
      for (std::size_t e = 0; e < t.elements; ++e) {
        const float scale = t.groups() > 0 ? numbers[next_scale + t.group_of(e)] : 1.0f;
        put_code(to, done[std::size_t(t.codec.code)]++, t.codec.code, code_of(theta[t.offset + e], scale, most));
      }
    }
    next_scale += t.codec.code == Code::plain ? t.elements : t.groups();
  }
  if (stream(Code::kept, at)) {
    auto *to = reinterpret_cast<std::uint8_t *>(row.data() + at);
    std::vector<std::pair<float, std::size_t>> order; // −magnitude, element: of equal ones the first come first
    for (const Tensor &t : tensors_)
      for (std::size_t e = 0; t.codec.code == Code::kept && e < t.elements; ++e)
        order.push_back({std::isnan(theta[t.offset + e]) ? -INFINITY : -std::abs(theta[t.offset + e]), t.offset + e});
    std::vector<std::pair<float, std::size_t>> largest = order;
    std::nth_element(largest.begin(), largest.begin() + std::ptrdiff_t(kept_), largest.end());
    std::vector<std::size_t> stay;
    for (std::size_t i = 0; i < kept_; ++i)
      stay.push_back(largest[i].second);
    std::sort(stay.begin(), stay.end());
    std::size_t next = 0;
    for (std::size_t i = 0; i < order.size() && next < stay.size(); ++i)
      if (order[i].second == stay[next])
        put_code(to, i, Code::kept, 1), numbers.push_back(theta[stay[next++]]);
  }
  if (stream(Code::plain, at)) {
    if (dtype_ == Dtype::f32) {
      std::memcpy(row.data() + at, numbers.data(), numbers.size() * sizeof(float));
    } else {
      std::vector<bf16> half(numbers.size());
      std::transform(numbers.begin(), numbers.end(), half.begin(), [](float x) { return to_bf16(x); });
      std::memcpy(row.data() + at, half.data(), half.size() * sizeof(bf16));
    }
  }
  return row;
}

std::vector<float> RowCodec::numbers(const std::byte *row) const {
  std::size_t at = 0;
  std::vector<float> numbers;
  if (const Stream *of = stream(Code::plain, at)) {
    numbers.resize(of->elements);
    if (dtype_ == Dtype::f32) {
      std::memcpy(numbers.data(), row + at, of->bytes());
    } else {
      std::vector<bf16> half(of->elements);
      std::memcpy(half.data(), row + at, of->bytes());
      std::transform(half.begin(), half.end(), numbers.begin(), [](bf16 x) { return to_float(x); });
    }
  }
  return numbers;
}

void RowCodec::decode(const std::byte *row, float *theta) const {
  const std::vector<float> numbers = this->numbers(row);
  std::vector<std::int8_t> all(parameters_);
  codes(row, all.data());
  std::size_t next = 0, value = numbers.size() - kept_; // numbers that tensors have, and values that are kept
  for (const Tensor &t : tensors_) {
    for (std::size_t e = 0; e < t.elements; ++e) {
      float &to = theta[t.offset + e];
      const int code = all[t.offset + e];
      if (t.codec.code == Code::plain)
        to = numbers[next + e];
      else if (t.codec.code == Code::kept)
        to = code != 0 && value < numbers.size() ? numbers[value++] : 0.0f;
      else
        to = float(code) * (t.groups() > 0 ? numbers[next + t.group_of(e)] : 1.0f);
    }
    next += t.codec.code == Code::plain ? t.elements : t.groups();
  }
}

void RowCodec::codes(const std::byte *row, std::int8_t *to) const {
  std::array<std::size_t, code_names.size()> done{};
  for (const Tensor &t : tensors_) {
    std::size_t at = 0;
    const bool has = t.codec.code != Code::plain;
    if (has)
      stream(t.codec.code, at);
    const auto *from = reinterpret_cast<const std::uint8_t *>(row + at);
    for (std::size_t e = 0; e < t.elements; ++e)
      to[t.offset + e] =
          has ? std::int8_t(get_code(from, done[std::size_t(t.codec.code)]++, t.codec.code)) : std::int8_t(0);
  }
}

} // namespace theta
