#include "point_sets.h"
#include "engine/memory/arena.h"
#include "engine/weights/assignment.h"
#include "kernels/device/parallel.h"
#include "kernels/operations/point_sets.h"
#include <algorithm>
#include <cmath>

namespace theta {

ChamferDistances::ChamferDistances(int sets, int points, const std::string &stage)
    : sets_(sets), plan_(stage, "eval.networks") {
  const auto reserve = [&](const char *name, Shape shape) {
    return plan_.reserve<float>(name, MemoryClass::data, std::move(shape), "eval.networks");
  };
  a_ = reserve("chamfer.a", {sets, 3, points}), b_ = reserve("chamfer.b", {sets, 3, points});
  there_ = reserve("chamfer.there", {sets, sets}), back_ = reserve("chamfer.back", {sets, sets});
  plan_.place();
}

std::vector<double> ChamferDistances::run(Device device, const PointSets &a, const PointSets &b) const {
  Stream s(device);
  const Arena arena(device, plan_);
  const std::size_t m = std::size_t(b.count), size = 3 * std::size_t(a.points);
  std::vector<double> distance(std::size_t(a.count) * m);
  const auto upload = [&](float *to, const PointSets &from, int first, int count) {
    copy(s, to, from.values.data() + std::size_t(first) * size, std::size_t(count) * size * sizeof(float));
  };
  for (int i = 0; i < a.count; i += sets_) {
    const int rows = std::min(sets_, a.count - i);
    upload(a_, a, i, rows);
    for (int j = 0; j < b.count; j += sets_) {
      const int columns = std::min(sets_, b.count - j);
      upload(b_, b, j, columns);
      nearest_points<float>(s, there_, a_, b_, rows, columns, a.points);
      nearest_points<float>(s, back_, b_, a_, columns, rows, a.points);
      const std::size_t block = std::size_t(rows) * std::size_t(columns);
      const auto there = to_host(s, there_.get(), block), back = to_host(s, back_.get(), block);
      for (std::size_t r = 0; r < std::size_t(rows); ++r)
        for (std::size_t c = 0; c < std::size_t(columns); ++c)
          distance[(std::size_t(i) + r) * m + std::size_t(j) + c] =
              double(there[r * std::size_t(columns) + c]) + double(back[c * std::size_t(rows) + r]);
    }
  }
  return distance;
}

std::vector<double> earth_mover(const PointSets &a, const PointSets &b, int points) {
  const auto n = std::size_t(points);
  std::vector<double> distance(std::size_t(a.count) * std::size_t(b.count));
  const auto at = [](const PointSets &of, long set, std::size_t axis, std::size_t p) {
    return double(of.values[(std::size_t(set) * 3 + axis) * std::size_t(of.points) + p]);
  };
  parallel_each(a.count, [&](long i) {
    std::vector<double> cost(n * n);
    for (long j = 0; j < b.count; ++j) {
      for (std::size_t p = 0; p < n; ++p)
        for (std::size_t q = 0; q < n; ++q)
          cost[p * n + q] = std::hypot(at(a, i, 0, p) - at(b, j, 0, q), at(a, i, 1, p) - at(b, j, 1, q),
                                       at(a, i, 2, p) - at(b, j, 2, q));
      const auto partner = assign(cost, points);
      double sum = 0;
      for (std::size_t p = 0; p < n; ++p)
        sum += cost[p * n + std::size_t(partner[p])];
      distance[std::size_t(i) * std::size_t(b.count) + std::size_t(j)] = sum / points;
    }
  });
  return distance;
}

SetAgreement agreement(const std::vector<double> &within, const std::vector<double> &between,
                       const std::vector<double> &references, int n, int m) {
  const auto gg = [&](int i, int j) { return within[std::size_t(i) * std::size_t(n) + std::size_t(j)]; };
  const auto gr = [&](int i, int j) { return between[std::size_t(i) * std::size_t(m) + std::size_t(j)]; };
  const auto rr = [&](int i, int j) { return references[std::size_t(i) * std::size_t(m) + std::size_t(j)]; };
  constexpr double far = 1e300;
  SetAgreement found;
  std::vector<char> covered(std::size_t(m), 0);
  double own = 0; // ties are nobody's: one half
  const auto nearer = [](double kin, double other) { return kin < other ? 1.0 : kin == other ? 0.5 : 0.0; };
  for (int i = 0; i < n; ++i) {
    int nearest = 0;
    double kin = far;
    for (int j = 0; j < m; ++j)
      nearest = gr(i, j) < gr(i, nearest) ? j : nearest;
    for (int j = 0; j < n; ++j)
      kin = j == i ? kin : std::min(kin, gg(i, j));
    covered[std::size_t(nearest)] = 1;
    own += nearer(kin, gr(i, nearest));
  }
  for (int j = 0; j < m; ++j) {
    double other = far, kin = far;
    for (int i = 0; i < n; ++i)
      other = std::min(other, gr(i, j));
    for (int i = 0; i < m; ++i)
      kin = i == j ? kin : std::min(kin, rr(i, j));
    found.mmd += other / m;
    own += nearer(kin, other);
  }
  found.coverage = double(std::count(covered.begin(), covered.end(), 1)) / m;
  found.one_nna = share_of(own, std::size_t(n + m));
  return found;
}

} // namespace theta
