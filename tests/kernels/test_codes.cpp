#include "kernels/operations/codes.h"
#include "tests/check.h"
#include <algorithm>
#include <numeric>

using namespace theta;
using namespace theta::test;

namespace {

constexpr int networks = 3;
constexpr std::size_t parameters = 300; // a network's, with what is not coded between

// A matrix by rows, by stretches of rows, a convolution by input channels, all of a matrix; odd sizes.
const std::vector<CodedTensor> tensors{{.offset = 1, .out = 5, .in = 7, .run = 1, .scale = ScaleOf::rows},
                                       {.offset = 40, .out = 3, .in = 11, .run = 1, .scale = ScaleOf::rows, .block = 4},
                                       {.offset = 80, .out = 4, .in = 3, .run = 9, .scale = ScaleOf::columns},
                                       {.offset = 200, .out = 6, .in = 9, .run = 1, .scale = ScaleOf::whole}};

// Which weights share a scale, said once more: a number for each element of the tensor.
std::size_t group_of(const CodedTensor &t, std::size_t element) {
  const std::size_t row = std::size_t(t.in * t.run), o = element / row, of_row = element % row;
  switch (t.scale) {
  case ScaleOf::rows:
    return t.block > 0 ? o * 100 + of_row / std::size_t(t.block) : o;
  case ScaleOf::columns:
    return of_row / std::size_t(t.run);
  default:
    return 0;
  }
}

std::vector<double> rounded(const std::vector<double> &theta, int most) {
  auto all = theta;
  for (int i = 0; i < networks; ++i)
    for (const CodedTensor &t : tensors) {
      const std::size_t base = std::size_t(i) * parameters + t.offset;
      for (std::size_t e = 0; e < t.elements(); ++e) {
        double sum = 0, largest = 0, n = 0;
        for (std::size_t f = 0; f < t.elements(); ++f)
          if (group_of(t, f) == group_of(t, e))
            sum += std::abs(theta[base + f]), largest = std::max(largest, std::abs(theta[base + f])), ++n;
        const double scale = most == 1 ? sum / n : largest / most;
        all[base + e] = std::clamp(std::round(theta[base + e] / scale), -double(most), double(most)) * scale;
      }
    }
  return all;
}

bool is_coded(std::size_t at) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const CodedTensor &t) {
    return at % parameters >= t.offset && at % parameters < t.offset + t.elements();
  });
}

} // namespace

TEST_CASE("codes: groups' weights become the nearest multiples of their scale; the rest stays; on every device") {
  const auto theta = random_values<double>(networks * parameters, 1);
  for (const int most : {1, 7, 127}) {
    CAPTURE(most);
    const auto wanted = rounded(theta, most);
    in_every_precision([&]<class T>(T, Stream &s) {
      const Buffer<T> from(s, narrowed<T>(theta)), to(s, theta.size());
      round_to_codes<T>(s, to, from, networks, parameters, tensors, most);
      CHECK(relative_error(to.host(), wanted) <= (sizeof(T) == 8 ? 1e-14 : 1e-6));
      const auto there = to.host();
      for (std::size_t i = 0; i < theta.size(); ++i)
        if (!is_coded(i) && there[i] != T(theta[i]))
          FAIL("what is no code has changed at ", i);
    });
  }
  in_every_precision([&]<class T>(T, Stream &s) { // of nothing nothing comes
    const Buffer<T> from(s, std::vector<T>(networks * parameters, T(0))), to(s, theta.size());
    round_to_codes<T>(s, to, from, networks, parameters, tensors, 1);
    CHECK(to.host() == std::vector<T>(networks * parameters, T(0)));
  });
}

TEST_CASE(
    "codes: the largest weights of all matrices stay, exactly so many; of equal ones the first; moments with them") {
  auto theta = random_values<double>(networks * parameters, 2);
  for (std::size_t i = 0; i < theta.size(); ++i) // many of the same magnitude
    if (i % 3 == 0)
      theta[i] = i % 2 ? 0.5 : -0.5;
  for (const std::size_t keep : {0, 1, 57, 120, 229, 230, 231, 1000}) {
    CAPTURE(keep);
    std::vector<double> wanted = theta;
    for (int i = 0; i < networks; ++i) {
      std::vector<std::size_t> order;
      for (std::size_t at = 0; at < parameters; ++at)
        if (is_coded(at))
          order.push_back(std::size_t(i) * parameters + at);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return std::abs(theta[a]) > std::abs(theta[b]); });
      for (std::size_t k = std::min(keep, order.size()); k < order.size(); ++k)
        wanted[order[k]] = 0;
    }
    in_every_precision([&]<class T>(T, Stream &s) {
      const Buffer<T> w(s, narrowed<T>(theta)), first(s, std::vector<T>(theta.size(), T(1))),
          second(s, std::vector<T>(theta.size(), T(2)));
      keep_largest<T>(s, w, first, second, networks, parameters, tensors, keep);
      CHECK(w.host() == narrowed<T>(wanted));
      const auto m = first.host(), v = second.host();
      for (std::size_t i = 0; i < theta.size(); ++i)
        if (const bool gone = wanted[i] == 0 && theta[i] != 0; m[i] != T(gone ? 0 : 1) || v[i] != T(gone ? 0 : 2))
          FAIL("a moment at ", i);
    });
  }
}

TEST_CASE("codes: of four neighbours along a row the two largest stay, and zeros get no gradient") {
  const auto theta = random_values<double>(networks * parameters, 3);
  std::vector<double> wanted = theta;
  for (int i = 0; i < networks; ++i)
    for (const CodedTensor &t : tensors)
      for (std::size_t row = 0; row < std::size_t(t.out); ++row)
        for (std::size_t first = 0; first < t.row(); first += 4) {
          std::vector<std::size_t> of;
          for (std::size_t k = first; k < std::min(first + 4, t.row()); ++k)
            of.push_back(std::size_t(i) * parameters + t.offset + row * t.row() + k);
          std::sort(of.begin(), of.end(),
                    [&](std::size_t a, std::size_t b) { return std::abs(theta[a]) > std::abs(theta[b]); });
          for (std::size_t k = 2; k < of.size(); ++k)
            wanted[of[k]] = 0;
        }
  auto held = std::vector<double>(theta.size(), 1.0);
  for (std::size_t i = 0; i < held.size(); ++i)
    held[i] = wanted[i] == 0 ? 0 : 1;
  in_every_precision([&]<class T>(T, Stream &s) {
    const Buffer<T> w(s, narrowed<T>(theta)), gradient(s, std::vector<T>(theta.size(), T(1)));
    keep_two_of_four<T>(s, w, nullptr, nullptr, networks, parameters, tensors);
    CHECK(w.host() == narrowed<T>(wanted));
    hold_zeros<T>(s, gradient, w, networks, parameters, tensors);
    CHECK(gradient.host() == narrowed<T>(held));
  });
}
