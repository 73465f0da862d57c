#include "kernels/operations/mesh_distance.h"
#include "kernels/operations/point_sets.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

namespace {

// The twelve triangles of the cube of half a side around the origin.
template <class T> std::vector<T> cube_corners(T half) {
  constexpr int faces[6][4] = {{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}};
  std::vector<T> corners;
  for (const auto &face : faces)
    for (const int k : {0, 1, 2, 0, 2, 3})
      for (int axis = 0; axis < 3; ++axis)
        corners.push_back((face[k] >> axis & 1) ? half : -half);
  return corners;
}

template <class T> double to_cube(const T *p, double half) {
  double outside = 0, largest = -1e9;
  for (int a = 0; a < 3; ++a) {
    const double beyond = std::abs(double(p[a])) - half;
    outside += std::pow(std::max(beyond, 0.0), 2), largest = std::max(largest, beyond);
  }
  return largest > 0 ? outside : largest * largest;
}

template <class T> void check_cube(Stream &s, double tolerance, std::vector<T> &winding, std::vector<T> &squared) {
  const int points = 333;
  const auto place = random_values<T>(3 * points, 1, 0.7);
  const auto corners = cube_corners<T>(T(0.5));
  const Buffer<T> point(s, place), corner(s, corners);
  const Buffer<T> turns(s, std::vector<T>(points, 0)), near(s, std::vector<T>(points, T(1e30)));
  // In two parts, as a large mesh comes.
  mesh_distance<T>(s, turns, near, point, corner, points, 5);
  mesh_distance<T>(s, turns, near, point, corner.get() + 9 * 5, points, 7);
  winding = turns.host(), squared = near.host();
  int inside = 0;
  for (int p = 0; p < points; ++p) {
    const T *at = place.data() + 3 * p;
    const bool is_inside = std::max({std::abs(at[0]), std::abs(at[1]), std::abs(at[2])}) < T(0.5);
    inside += is_inside;
    CHECK(double(winding[std::size_t(p)]) == doctest::Approx(is_inside ? 1 : 0).epsilon(tolerance).scale(1));
    CHECK(double(squared[std::size_t(p)]) == doctest::Approx(to_cube(at, 0.5)).epsilon(tolerance).scale(1));
  }
  CHECK(inside > 20);
  CHECK(inside < points - 20);
}

} // namespace

TEST_CASE("mesh distance: a cube's inside and how far it is, at every point, on every device") {
  Stream cpu(Device{});
  std::vector<double> winding, squared;
  check_cube<double>(cpu, 1e-12, winding, squared);
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    std::vector<float> turns, near;
    check_cube<float>(s, 2e-6, turns, near); // twelve angles of 1e-7 each
  }
}

TEST_CASE("mesh distance: an open mesh fills the angle that it is seen under") {
  for (const auto device : all_devices()) {
    CAPTURE(device.name());
    Stream s(device);
    const auto corners = cube_corners<float>(0.5f);
    const Buffer<float> corner(s, corners), point(s, std::vector<float>{0, 0, 0});
    const Buffer<float> winding(s, std::vector<float>{0}), squared(s, std::vector<float>{1e30f});
    for (int sides = 1; sides <= 6; ++sides) {
      mesh_distance<float>(s, winding, squared, point, corner.get() + 18 * (sides - 1), 1, 2);
      CHECK(winding.host()[0] == doctest::Approx(sides / 6.0).epsilon(1e-6));
      CHECK(squared.host()[0] == doctest::Approx(0.25));
    }
  }
}

TEST_CASE("mesh distance: to a triangle's face, sides and corners, by search") {
  Stream s(Device{});
  const auto corners = random_values<double>(9, 3);
  const auto place = random_values<double>(3 * 50, 4, 1.5);
  const Buffer<double> corner(s, corners), point(s, place);
  const Buffer<double> winding(s, std::vector<double>(50, 0)), squared(s, std::vector<double>(50, 1e30));
  mesh_distance<double>(s, winding, squared, point, corner, 50, 1);
  const auto found = squared.host();
  for (std::size_t p = 0; p < 50; ++p) {
    double best = 1e30; // of a fine net of the triangle's points
    const int net = 400;
    for (int i = 0; i <= net; ++i)
      for (int j = 0; i + j <= net; ++j) {
        double sum = 0;
        for (std::size_t a = 0; a < 3; ++a) {
          const double at =
              (corners[a] * i + corners[3 + a] * j + corners[6 + a] * (net - i - j)) / net - place[3 * p + a];
          sum += at * at;
        }
        best = std::min(best, sum);
      }
    CHECK(found[p] <= best + 1e-12);
    CHECK(std::sqrt(best) - std::sqrt(found[p]) < 0.01); // the net's width
  }
}

TEST_CASE("nearest points: Chamfer's distance as scipy has it, and the same on every device") {
  const Golden golden("point_sets");
  const auto a = golden.get<double>("generated"), b = golden.get<double>("reference");
  const int points = 33, na = 7, nb = 9;
  const auto planes = [&](const std::vector<double> &from) {
    std::vector<double> to(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      const std::size_t set = i / (3 * points), p = i / 3 % points;
      to[(set * 3 + i % 3) * points + p] = from[i];
    }
    return to;
  };
  const auto pa = planes(a), pb = planes(b);
  {
    Stream s(Device{});
    const Buffer<double> da(s, pa), db(s, pb), there(s, std::size_t(na * nb)), back(s, std::size_t(na * nb));
    nearest_points<double>(s, there, da, db, na, nb, points), nearest_points<double>(s, back, db, da, nb, na, points);
    const auto one = there.host(), other = back.host();
    const auto expected = golden.get<double>("chamfer.distances");
    for (int i = 0; i < na; ++i)
      for (int j = 0; j < nb; ++j)
        CHECK(one[std::size_t(i * nb + j)] + other[std::size_t(j * na + i)] ==
              doctest::Approx(expected[std::size_t(i * nb + j)]).epsilon(1e-12));
  }
  same_on_every_device(1e-6, [&](Stream &s) {
    const std::vector<float> fa(pa.begin(), pa.end()), fb(pb.begin(), pb.end());
    const Buffer<float> da(s, fa), db(s, fb), d(s, std::size_t(na * nb));
    nearest_points<float>(s, d, da, db, na, nb, points);
    return Results{d.host()};
  });
  same_on_every_device(1e-6, [&](Stream &s) { // more points than a block has threads
    const Buffer<float> many(s, random_values<float>(3 * 3 * 301, 5)), d(s, std::size_t(9));
    nearest_points<float>(s, d, many, many, 3, 3, 301);
    const auto found = d.host();
    CHECK(found[0] == 0);
    return Results{found};
  });
}
