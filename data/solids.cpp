#include "solids.h"
#include "hash.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <cmath>
#include <numbers>

namespace theta {

namespace {

// Numbers in 0..1 that depend on a seed alone (SplitMix64: Steele, Lea & Flood, 2014).
class Draws {
public:
  explicit Draws(std::uint64_t seed) : state_(seed) { state_ = next(); } // far from its neighbours' sequences
  double operator()(double from, double to) { return from + (to - from) * double(next() >> 11) * 0x1p-53; }
  bool coin() { return (*this)(0, 1) < 0.5; }

private:
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u, z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  std::uint64_t state_;
};

// How far from what reaches `across` in one direction and `along` in another (both below 0 inside).
double corner(double across, double along) {
  return std::min(std::max(across, along), 0.0) + std::hypot(std::max(across, 0.0), std::max(along, 0.0));
}

SignedDistance box(Point3 centre, Point3 radius) {
  return [=](const Point3 &p) {
    double largest = -1e9, outside = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      const double beyond = std::abs(p[a] - centre[a]) - radius[a];
      largest = std::max(largest, beyond), outside += std::max(beyond, 0.0) * std::max(beyond, 0.0);
    }
    return std::min(largest, 0.0) + std::sqrt(outside);
  };
}

// Upright.
SignedDistance cylinder(Point3 centre, double radius, double half_height) {
  return [=](const Point3 &p) {
    return corner(std::hypot(p[0] - centre[0], p[2] - centre[2]) - radius, std::abs(p[1] - centre[1]) - half_height);
  };
}

// k·(k − 1)/|∇k²|·2 of k² = Σ(x/r)²: the distance to first order.
SignedDistance ellipsoid(Point3 centre, Point3 radius) {
  return [=](const Point3 &p) {
    double k = 0, slope = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      const double x = (p[a] - centre[a]) / radius[a];
      k += x * x, slope += x / radius[a] * (x / radius[a]);
    }
    k = std::sqrt(k), slope = std::sqrt(slope);
    return slope > 0 ? k * (k - 1) / slope : -*std::min_element(radius.begin(), radius.end());
  };
}

// g = ((|x/a|^(2/e) + |z/c|^(2/e))^(e/n) + |y/b|^(2/n))^(n/2) grows in proportion along rays: the distance along one.
SignedDistance superquadric(Point3 radius, double north, double east) {
  return [=](const Point3 &p) {
    const double x = std::pow(std::abs(p[0] / radius[0]), 2 / east),
                 y = std::pow(std::abs(p[1] / radius[1]), 2 / north),
                 z = std::pow(std::abs(p[2] / radius[2]), 2 / east);
    const double g = std::pow(std::pow(x + z, east / north) + y, north / 2);
    const double length = std::sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
    return g > 0 ? length * (1 - 1 / g) : -*std::min_element(radius.begin(), radius.end());
  };
}

// Around z: radius(angle) = middle + depth·clip(2·cos(teeth·angle)).
SignedDistance gear(double middle, double depth, int teeth, double phase, double hole, double half_width) {
  return [=](const Point3 &p) {
    const double r = std::hypot(p[0], p[1]), angle = teeth * std::atan2(p[1], p[0]) + phase;
    const double wave = 2 * std::cos(angle);
    const double slope = std::abs(wave) < 1 ? 2 * depth * teeth * std::sin(angle) / std::max(r, 0.05) : 0;
    const double rim = (r - middle - depth * std::clamp(wave, -1.0, 1.0)) / std::sqrt(1 + slope * slope);
    return corner(std::max(rim, hole - r), std::abs(p[2]) - half_width);
  };
}

SignedDistance joined(std::vector<SignedDistance> parts) {
  return [parts = std::move(parts)](const Point3 &p) {
    double least = 1e9;
    for (const auto &part : parts)
      least = std::min(least, part(p));
    return least;
  };
}
SignedDistance cut(SignedDistance from, SignedDistance what) {
  return [=](const Point3 &p) { return std::max(from(p), -what(p)); };
}
SignedDistance shared_by(SignedDistance a, SignedDistance b) {
  return [=](const Point3 &p) { return std::max(a(p), b(p)); };
}

SignedDistance draw_union(Draws &draw) {
  std::vector<SignedDistance> parts(std::size_t(draw(2, 5)));
  for (auto &part : parts) {
    const bool is_box = draw.coin();
    Point3 centre, radius;
    for (std::size_t a = 0; a < 3; ++a)
      centre[a] = draw(-0.45, 0.45), radius[a] = draw(0.15, 0.5);
    part = is_box ? box(centre, radius) : ellipsoid(centre, radius);
  }
  return joined(std::move(parts));
}

SignedDistance draw_superquadric(Draws &draw) {
  const Point3 radius{draw(0.35, 0.85), draw(0.35, 0.85), draw(0.35, 0.85)};
  const double north = draw(0.25, 1.9);
  return superquadric(radius, north, draw(0.25, 1.9));
}

SignedDistance draw_gear(Draws &draw) {
  const double middle = draw(0.5, 0.7), depth = draw(0.08, 0.15);
  const int teeth = int(draw(6, 13));
  const double phase = draw(0, 2 * std::numbers::pi), hole = draw(0.12, 0.3);
  return gear(middle, depth, teeth, phase, hole, draw(0.1, 0.3));
}

// Four legs under what is `half` wide and deep, from the floor to `top`.
void add_legs(std::vector<SignedDistance> &parts, Draws &draw, double half_width, double half_depth, double top) {
  const double thick = draw(0.08, 0.13), floor = -0.85, middle = (floor + top) / 2, half = (top - floor) / 2;
  const bool round = draw.coin();
  for (const double x : {-1.0, 1.0})
    for (const double z : {-1.0, 1.0}) {
      const Point3 at{x * (half_width - thick), middle, z * (half_depth - thick)};
      parts.push_back(round ? cylinder(at, thick, half) : box(at, {thick, half, thick}));
    }
}

SignedDistance draw_chair(Draws &draw) {
  const double width = draw(0.35, 0.55), depth = draw(0.35, 0.55), seat = draw(-0.25, 0.05), thick = draw(0.08, 0.12),
               back = draw(0.55, 0.9), back_thick = draw(0.08, 0.12);
  std::vector<SignedDistance> parts{box({0, seat, 0}, {width, thick, depth})};
  parts.push_back(box({0, (seat + back) / 2, -depth + back_thick}, {width, (back - seat) / 2, back_thick}));
  add_legs(parts, draw, width, depth, seat);
  if (draw.coin()) { // arms
    const double high = seat + draw(0.25, 0.4), arm = draw(0.07, 0.1);
    for (const double x : {-1.0, 1.0}) {
      parts.push_back(box({x * (width - arm), high, 0}, {arm, arm, depth}));
      parts.push_back(box({x * (width - arm), (seat + high) / 2, depth - arm}, {arm, (high - seat) / 2, arm}));
    }
  }
  return joined(std::move(parts));
}

SignedDistance draw_table(Draws &draw) {
  const double width = draw(0.5, 0.85), depth = draw(0.4, 0.7), top = draw(0, 0.5), thick = draw(0.08, 0.12);
  std::vector<SignedDistance> parts;
  if (draw.coin()) { // round, on one leg
    const double radius = (width + depth) / 2, leg = draw(0.1, 0.18), foot = radius * draw(0.5, 0.8);
    parts.push_back(cylinder({0, top, 0}, radius, thick));
    parts.push_back(cylinder({0, (top - 0.85) / 2, 0}, leg, (top + 0.85) / 2));
    parts.push_back(cylinder({0, -0.85 + thick, 0}, foot, thick));
  } else {
    parts.push_back(box({0, top, 0}, {width, thick, depth}));
    add_legs(parts, draw, width, depth, top);
  }
  return joined(std::move(parts));
}

SignedDistance draw_csg(Draws &draw) {
  const auto simple = [&](double small, double large, double away) -> SignedDistance {
    Point3 centre, radius;
    for (std::size_t a = 0; a < 3; ++a)
      centre[a] = draw(-away, away), radius[a] = draw(small, large);
    const double kind = draw(0, 3);
    return kind < 1   ? box(centre, radius)
           : kind < 2 ? ellipsoid(centre, radius)
                      : cylinder(centre, radius[0], radius[1]);
  };
  const double how = draw(0, 3);
  const auto first = simple(0.45, 0.7, 0.1);
  if (how < 1)
    return joined({first, simple(0.3, 0.5, 0.4)});
  if (how < 2)
    return cut(first, simple(0.25, 0.45, 0.45));
  return shared_by(first, simple(0.45, 0.7, 0.2));
}

const std::vector<std::pair<std::string, SignedDistance (*)(Draws &)>> &families() {
  static const std::vector<std::pair<std::string, SignedDistance (*)(Draws &)>> all{
      {"union", draw_union}, {"superquadric", draw_superquadric},
      {"gear", draw_gear},   {"chair", draw_chair},
      {"table", draw_table}, {"csg", draw_csg}};
  return all;
}

} // namespace

std::vector<std::string> solid_families() {
  std::vector<std::string> names;
  for (const auto &[name, draw] : families())
    names.push_back(name);
  return names;
}

SignedDistance solid(const std::string &family, int index) {
  std::string known;
  for (const auto &[name, draw] : families()) {
    if (name == family) {
      Draws draws{std::uint64_t(index)};
      return draw(draws);
    }
    known += (known.empty() ? "" : name == families().back().first ? " or " : ", ") + name;
  }
  throw InputError("data.families: found '", family, "', expected ", known);
}

std::vector<float> even_points(int points) {
  const double ratio = 1.2207440846057596; // x⁴ = x + 1
  std::vector<float> all;
  for (int p = 0; p < points; ++p)
    for (int a = 1; a <= 3; ++a) {
      const double at = 0.5 + (p + 1) * std::pow(ratio, -a);
      all.push_back(float(2 * (at - std::floor(at)) - 1));
    }
  return all;
}

void check_signal(const DatasetOptions &o) {
  if (o.signal != "occupancy" && o.signal != "distance")
    throw InputError("data.signal: found '", o.signal, "', expected occupancy or distance");
  if (o.families.empty())
    throw InputError("data.families: found none, expected one or more of what there is");
  for (const std::string &family : o.families)
    solid(family, 0);
}

std::uint8_t signal_byte(double d, const DatasetOptions &o) {
  if (o.signal == "occupancy")
    return d <= 0 ? 255 : 0;
  return std::uint8_t(std::lround(std::clamp(127.5 - 127.5 * d / o.band, 0.0, 255.0)));
}

Dataset make_solids(const DatasetOptions &o) {
  check_signal(o);
  Dataset set{.name = "solids", .classes = int(o.families.size()), .points = even_points(o.points)};
  for (int i = 0; i < o.solids; ++i) {
    const auto label = std::size_t(Draws(~std::uint64_t(i))(0, double(o.families.size()))); // independent of the solid
    const SignedDistance distance = solid(o.families[label], i);
    for (std::size_t p = 0; p < set.points.size(); p += 3)
      set.train.pixels.push_back(signal_byte(distance({set.points[p], set.points[p + 1], set.points[p + 2]}), o));
    set.train.labels.push_back(std::uint8_t(label));
  }
  Hasher hash;
  for (const auto *bytes : {&set.train.pixels, &set.train.labels})
    hash.add(bytes->data(), bytes->size());
  set.fingerprint = hex(hash.value());
  return set;
}

} // namespace theta
