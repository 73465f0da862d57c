#include "solids.h"
#include "hash.h"
#include <array>
#include <cmath>

namespace theta {

namespace {

// Numbers in 0..1 that depend on a seed alone (SplitMix64: Steele, Lea & Flood, 2014).
class Draws {
public:
  explicit Draws(std::uint64_t seed) : state_(seed) { state_ = next(); } // far from its neighbours' sequences
  double operator()(double from, double to) { return from + (to - from) * double(next() >> 11) * 0x1p-53; }

private:
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u, z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  std::uint64_t state_;
};

struct Part {
  bool box;
  std::array<double, 3> centre, radius;

  bool holds(const float *point) const {
    double sum = 0, largest = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      const double at = std::abs(double(point[a]) - centre[a]) / radius[a];
      sum += at * at, largest = std::max(largest, at);
    }
    return box ? largest <= 1 : sum <= 1;
  }
};

} // namespace

Dataset make_solids(int count, int points) {
  Dataset set{.name = "solids", .classes = 1};
  const double ratio = 1.2207440846057596; // x⁴ = x + 1
  for (int p = 0; p < points; ++p)
    for (int a = 1; a <= 3; ++a) {
      const double at = 0.5 + (p + 1) * std::pow(ratio, -a);
      set.points.push_back(float(2 * (at - std::floor(at)) - 1));
    }
  Hasher hash;
  for (int i = 0; i < count; ++i) {
    Draws draw{std::uint64_t(i)};
    std::vector<Part> parts(std::size_t(draw(2, 5)));
    for (Part &part : parts) {
      part.box = draw(0, 1) < 0.5;
      for (std::size_t a = 0; a < 3; ++a)
        part.centre[a] = draw(-0.45, 0.45), part.radius[a] = draw(0.15, 0.5);
    }
    for (int p = 0; p < points; ++p) {
      bool inside = false;
      for (const Part &part : parts)
        inside = inside || part.holds(set.points.data() + 3 * p);
      set.train.pixels.push_back(inside ? 255 : 0);
    }
    set.train.labels.push_back(0);
  }
  hash.add(set.train.pixels.data(), set.train.pixels.size());
  set.fingerprint = hex(hash.value());
  return set;
}

} // namespace theta
