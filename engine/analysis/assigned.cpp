#include "assigned.h"
#include "engine/training/interrupt.h"
#include "engine/weights/assignment.h"
#include "engine/weights/symmetry.h"
#include "kernels/device/parallel.h"
#include "kernels/parts/simd.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace theta {

namespace {

// Deep networks take minutes to match.
void go_on() { stop_if_interrupted("eval"); }

using simd::Floats;
constexpr int lanes = simd::lanes<float>;
constexpr std::size_t references_at_once = 512;

double squared(const float *x, const float *y, std::size_t n) {
  return double(simd::row_sum<float>(int(n), [&](int e, int count) {
    const Floats apart = simd::load_some<Floats>(x + e, count) - simd::load_some<Floats>(y + e, count);
    return apart * apart;
  }));
}

std::vector<float> read(const NetworkSet &set, std::size_t first, std::size_t count, std::size_t v) {
  std::vector<float> theta(count * v);
  for (std::size_t i = 0; i < count; ++i)
    set.network(first + i, theta.data() + i * v);
  return theta;
}

} // namespace

// A network's row: of every group its units' own elements, then the elements that nobody moves and, sorted tensor by
// tensor, those that several groups move.
struct AssignedDistance::Prepared {
  std::vector<float> theta, row; // [networks, V] each
  std::vector<char> finite;      // [networks]
};

struct AssignedDistance::Lanes {
  std::size_t networks;
  std::vector<float> value; // [⌈networks/lanes⌉, V, lanes]
};

struct AssignedDistance::Candidate {
  float bound; // of its distance
  std::size_t index;
  bool operator<(const Candidate &other) const { return bound < other.bound; }
};

AssignedDistance::AssignedDistance(const NetworkShape &shape, int starts, std::size_t shortlist)
    : shape_(shape), parameters_(layout_of(shape).size()), balances_(can_balance(shape)), matcher_(shape, starts),
      shortlist_(shortlist) {}

bool AssignedDistance::is_exact() const {
  const UnitBalance balance = unit_balance(shape_);
  return matcher_.is_exact() && (balance == UnitBalance::norms || balance == UnitBalance::none);
}

auto AssignedDistance::prepared(std::vector<float> networks) const -> Prepared {
  const std::size_t v = parameters_, n = networks.size() / v;
  Prepared all{std::move(networks), std::vector<float>(n * v), std::vector<char>(n)};
  const ElementOwners &owners = matcher_.owners();
  parallel_each(long(n), [&](long i) {
    float *theta = all.theta.data() + std::size_t(i) * v, *row = all.row.data() + std::size_t(i) * v;
    if (balances_)
      balance(theta, shape_);
    all.finite[std::size_t(i)] = std::all_of(theta, theta + v, [](float x) { return std::isfinite(x); });
    const auto take = [&](const std::vector<std::uint32_t> &places) {
      for (const std::uint32_t place : places)
        *row++ = theta[place];
    };
    for (const auto &own : owners.groups)
      take(own.place);
    take(owners.fixed);
    for (const auto &shared : owners.shared) {
      take(shared);
      if (all.finite[std::size_t(i)])
        std::sort(row - shared.size(), row);
    }
  });
  return all;
}

auto AssignedDistance::lanes_of(const Prepared &p) const -> Lanes {
  const std::size_t v = parameters_, n = p.finite.size(), chunks = (n + lanes - 1) / lanes;
  Lanes all{n, std::vector<float>(chunks * v * lanes)};
  parallel_each(long(chunks), [&](long chunk) {
    for (std::size_t lane = 0; lane < lanes && std::size_t(chunk) * lanes + lane < n; ++lane)
      for (std::size_t e = 0; e < v; ++e)
        all.value[(std::size_t(chunk) * v + e) * lanes + lane] = p.row[(std::size_t(chunk) * lanes + lane) * v + e];
  });
  return all;
}

// Lower bounds of a network's squared distances to all of `to`, a pack of references at a time. Of a group's costs
// c[u, w] the rows are reduced by their least, then the columns, and the other way round; what has been taken off is
// less than any assignment costs.
void AssignedDistance::bounds(float *to_bounds, const Prepared &p, std::size_t network, const Lanes &to) const {
  const std::size_t v = parameters_;
  const float *row = p.row.data() + network * v;
  std::vector<float> costs, columns;
  for (std::size_t chunk = 0; chunk * lanes < to.networks; ++chunk) {
    const float *a = row, *b = to.value.data() + chunk * v * lanes;
    Floats sum{};
    for (const auto &own : matcher_.owners().groups) {
      const std::size_t n = own.units, width = own.width;
      costs.resize(n * n * lanes), columns.resize(n * lanes);
      for (std::size_t w = 0; w < n; ++w) {
        const float *unit = b + w * width * lanes;
        std::size_t u = 0;
        for (; u + 4 <= n; u += 4) { // four units of the network against one of each reference
          Floats c[4]{};
          for (std::size_t e = 0; e < width; ++e) {
            const Floats y = simd::load<Floats>(unit + e * lanes);
            for (std::size_t i = 0; i < 4; ++i) {
              const Floats d = y - a[(u + i) * width + e];
              c[i] = simd::multiply_add(d, d, c[i]);
            }
          }
          for (std::size_t i = 0; i < 4; ++i)
            simd::store(costs.data() + ((u + i) * n + w) * lanes, c[i]);
        }
        for (; u < n; ++u) {
          Floats c{};
          for (std::size_t e = 0; e < width; ++e) {
            const Floats d = simd::load<Floats>(unit + e * lanes) - a[u * width + e];
            c = simd::multiply_add(d, d, c);
          }
          simd::store(costs.data() + (u * n + w) * lanes, c);
        }
      }
      Floats best{};
      for (const bool by_rows : {true, false}) {
        const auto cost = [&](std::size_t i, std::size_t j) {
          return simd::load<Floats>(costs.data() + (by_rows ? i * n + j : j * n + i) * lanes);
        };
        const Floats far = simd::broadcast<Floats>(std::numeric_limits<float>::max());
        for (std::size_t j = 0; j < n; ++j)
          simd::store(columns.data() + j * lanes, far);
        Floats taken{};
        for (std::size_t i = 0; i < n; ++i) {
          Floats least = far;
          for (std::size_t j = 0; j < n; ++j) {
            const Floats c = cost(i, j);
            least = c < least ? c : least;
          }
          taken += least;
          for (std::size_t j = 0; j < n; ++j) {
            const Floats rest = cost(i, j) - least, before = simd::load<Floats>(columns.data() + j * lanes);
            simd::store(columns.data() + j * lanes, rest < before ? rest : before);
          }
        }
        for (std::size_t j = 0; j < n; ++j)
          taken += simd::load<Floats>(columns.data() + j * lanes);
        best = taken > best ? taken : best;
      }
      sum += best;
      a += n * width, b += n * width * lanes;
    }
    for (; a < row + v; ++a, b += lanes) {
      const Floats d = simd::load<Floats>(b) - *a;
      sum = simd::multiply_add(d, d, sum);
    }
    for (std::size_t lane = 0; lane < lanes && chunk * lanes + lane < to.networks; ++lane)
      to_bounds[chunk * lanes + lane] = sum[lane];
  }
}

double AssignedDistance::squared_distance(const Prepared &p, std::size_t i, const Prepared &q, std::size_t j) const {
  const std::size_t v = parameters_;
  if (!p.finite[i] || !q.finite[j])
    return std::numeric_limits<double>::infinity();
  if (!matcher_.is_exact()) {
    if (!std::isfinite(squared(p.row.data() + i * v, q.row.data() + j * v, v)))
      return std::numeric_limits<double>::infinity();
    std::vector<float> theta(p.theta.begin() + std::ptrdiff_t(i * v), p.theta.begin() + std::ptrdiff_t((i + 1) * v));
    const float *reference = q.theta.data() + j * v;
    matcher_.match(theta.data(), reference);
    return squared(theta.data(), reference, v);
  }
  const float *a = p.row.data() + i * v, *b = q.row.data() + j * v, *const end = a + v;
  double sum = 0;
  thread_local std::vector<double> cost;
  for (const auto &own : matcher_.owners().groups) {
    const std::size_t n = own.units, width = own.width;
    cost.clear();
    for (std::size_t u = 0; u < n; ++u)
      for (std::size_t w = 0; w < n; ++w)
        cost.push_back(squared(a + u * width, b + w * width, width));
    if (!std::all_of(cost.begin(), cost.end(), [](double c) { return std::isfinite(c); }))
      return std::numeric_limits<double>::infinity();
    const auto column = assign(cost, int(n));
    for (std::size_t u = 0; u < n; ++u)
      sum += cost[u * n + std::size_t(column[u])];
    a += n * width, b += n * width;
  }
  return sum + squared(a, b, std::size_t(end - a));
}

std::vector<float> AssignedDistance::pairs(const std::vector<float> &networks,
                                           const std::vector<float> &references) const {
  const Prepared p = prepared(networks), q = prepared(references);
  const std::size_t rows = p.finite.size(), columns = q.finite.size();
  std::vector<float> distances(rows * columns);
  parallel_each(long(rows), [&](long i) {
    for (std::size_t j = 0; j < columns && !interrupted(); ++j)
      distances[std::size_t(i) * columns + j] = float(std::sqrt(squared_distance(p, std::size_t(i), q, j)));
  });
  go_on();
  return distances;
}

std::vector<Nearest> AssignedDistance::nearest(const NetworkSet &group, const NetworkSet &references, std::size_t k,
                                               const Skip &skip) const {
  constexpr float bound_rounding = 1e-5f; // a bound's sums of V squares in single precision, relative
  const Prepared p = prepared(read(group, 0, group.count, parameters_));
  const Skip left_out = and_itself(skip, group, references);
  const std::size_t listed = matcher_.is_exact() || shortlist_ == 0 ? references.count : shortlist_ + k;
  std::vector<Nearest> best(group.count * k, no_nearest(references));
  std::vector<Candidates> candidates(group.count);
  for (std::size_t first = 0; first < references.count; first += references_at_once) {
    const std::size_t columns = std::min(references_at_once, references.count - first);
    const Prepared q = prepared(read(references, first, columns, parameters_));
    const Lanes lanes = lanes_of(q);
    parallel_each(long(group.count), [&](long i) {
      if (!p.finite[std::size_t(i)])
        return;
      float bound[references_at_once];
      bounds(bound, p, std::size_t(i), lanes);
      Nearest *mine = best.data() + std::size_t(i) * k;
      const auto farthest = [&] { return mine[k - 1].distance; };
      Candidates &near = candidates[std::size_t(i)];
      for (std::size_t j = 0; j < columns; ++j) {
        const Candidate it{std::sqrt(bound[j]) * (1 - bound_rounding), first + j};
        if (!(it.bound < (near.size() < listed ? farthest() : near.front().bound)))
          continue;
        if (left_out && left_out(std::size_t(i), it.index))
          continue;
        if (near.size() == listed)
          std::pop_heap(near.begin(), near.end()), near.pop_back();
        near.push_back(it);
        std::push_heap(near.begin(), near.end());
      }
      if (listed < references.count)
        return;
      std::sort(near.begin(), near.end());
      for (std::size_t c = 0; c < near.size() && near[c].bound < farthest() && !interrupted(); ++c)
        keep_nearest(mine, k,
                     {float(std::sqrt(squared_distance(p, std::size_t(i), q, near[c].index - first))), near[c].index});
      near.clear();
    });
    go_on();
  }
  if (listed < references.count)
    nearest_of(best, p, candidates, references);
  return best;
}

// The nearest of each network's candidates, in blocks of those that anyone has.
void AssignedDistance::nearest_of(std::vector<Nearest> &best, const Prepared &p,
                                  const std::vector<Candidates> &candidates, const NetworkSet &references) const {
  struct Pair {
    std::size_t reference, network;
  };
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    for (const Candidate &c : candidates[i])
      pairs.push_back({c.index, i});
  if (pairs.empty())
    return;
  std::sort(pairs.begin(), pairs.end(), [](const Pair &a, const Pair &b) {
    return std::pair(a.reference, a.network) < std::pair(b.reference, b.network);
  });
  const std::size_t k = best.size() / candidates.size();
  std::vector<float> distance(pairs.size());
  for (std::size_t first = 0; first < pairs.size(); first += references_at_once) {
    const std::size_t count = std::min(references_at_once, pairs.size() - first);
    std::vector<float> theta(count * parameters_);
    for (std::size_t c = 0; c < count; ++c)
      references.network(pairs[first + c].reference, theta.data() + c * parameters_);
    const Prepared q = prepared(std::move(theta));
    parallel_each(long(count), [&](long c) {
      if (!interrupted())
        distance[first + std::size_t(c)] =
            float(std::sqrt(squared_distance(p, pairs[first + std::size_t(c)].network, q, std::size_t(c))));
    });
    go_on();
  }
  for (std::size_t c = 0; c < pairs.size(); ++c)
    keep_nearest(best.data() + pairs[c].network * k, k, {distance[c], pairs[c].reference});
}

void AssignedDistance::align(float *theta, float *reference) const {
  if (balances_)
    balance(theta, shape_), balance(reference, shape_);
  matcher_.match(theta, reference);
}

} // namespace theta
