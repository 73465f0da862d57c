#include "nearest.h"
#include "engine/memory/arena.h"
#include "kernels/operations/row_l2.h"
#include <algorithm>
#include <limits>

namespace theta {

namespace {
constexpr int usually_at_once = 512, seen_for_centre = 512;
}

Nearest no_nearest(const NetworkSet &references) { return {std::numeric_limits<float>::infinity(), references.count}; }

void keep_nearest(Nearest *nearest, std::size_t k, Nearest another) {
  std::size_t at = k;
  for (; at > 0 && another.distance < nearest[at - 1].distance; --at)
    if (at < k)
      nearest[at] = nearest[at - 1];
  if (at < k)
    nearest[at] = another;
}

Share share_nearer(const std::vector<Nearest> &to_one, const std::vector<Nearest> &to_another) {
  double count = 0;
  for (std::size_t i = 0; i < to_one.size(); ++i)
    count += to_one[i].distance < to_another[i].distance ? 1 : to_one[i].distance == to_another[i].distance ? 0.5 : 0;
  return share_of(count, to_one.size());
}

Skip and_itself(const Skip &skip, const NetworkSet &group, const NetworkSet &references) {
  if (group.source.empty() || references.source.empty())
    return skip;
  return [skip, a = group.source, b = references.source](std::size_t i, std::size_t j) {
    return a[i] == b[j] || (skip && skip(i, j));
  };
}

NearestSearch::NearestSearch(std::size_t length, const std::string &stage, Budget budget, Backend backend)
    : NearestSearch(length, stage, AtOnce{most_within(budget, usually_at_once, [&](int n) {
                      return NearestSearch(length, stage, AtOnce{n}).plan().bytes_on(backend);
                    })}) {}

NearestSearch::NearestSearch(std::size_t length, const std::string &stage, AtOnce at_once)
    : length_(length), at_once_(std::size_t(at_once.vectors)), plan_(stage) {
  const auto n = std::int64_t(at_once_), v = std::int64_t(length);
  staging_ = plan_.reserve<float>("nearest.staging", MemoryClass::staging, {2, v});
  const auto reserve = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::data, {rows, width});
  };
  group_ = reserve("nearest.group", n, v), reference_ = reserve("nearest.references", n, v);
  distance_ = reserve("nearest.distance", n, n), workspace_ = reserve("nearest.workspace", 2, n);
  plan_.place();
}

std::vector<Nearest> NearestSearch::run(Device device, const NetworkSet &group, const NetworkSet &references,
                                        std::size_t k, const Skip &skip) const {
  Stream s(device);
  const Arena arena(device, plan_);
  float *staging = staging_, *centre = staging_ + length_; // distances do not change with it, their rounding does
  const std::size_t looked_at = std::min<std::size_t>(seen_for_centre, references.count);
  std::fill_n(centre, length_, 0.0f);
  float finite = 0;
  for (std::size_t i = 0; i < looked_at; ++i) {
    references.network(i, staging);
    if (!all_finite({staging, length_}))
      continue;
    ++finite;
    for (std::size_t c = 0; c < length_; ++c)
      centre[c] += (staging[c] - centre[c]) / finite;
  }
  const auto load = [&](float *to, const NetworkSet &set, std::size_t first, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      set.network(first + i, staging);
      for (std::size_t c = 0; c < length_; ++c)
        staging[c] -= centre[c];
      copy(s, to + i * length_, staging, length_ * sizeof(float));
      s.synchronize();
    }
  };
  const Skip left_out = and_itself(skip, group, references);
  std::vector<Nearest> nearest(group.count * k, no_nearest(references));
  for (std::size_t g = 0; g < group.count; g += at_once_) {
    const std::size_t rows = std::min(at_once_, group.count - g);
    load(group_, group, g, rows);
    for (std::size_t r = 0; r < references.count; r += at_once_) {
      const std::size_t columns = std::min(at_once_, references.count - r);
      load(reference_, references, r, columns);
      row_l2(s, distance_, group_, reference_, int(rows), int(columns), length_, workspace_);
      const auto distance = to_host(s, distance_.get(), rows * columns);
      for (std::size_t i = 0; i < rows; ++i) {
        Nearest *best = nearest.data() + (g + i) * k;
        for (std::size_t j = 0; j < columns; ++j)
          if (distance[i * columns + j] < best[k - 1].distance && !(left_out && left_out(g + i, r + j)))
            keep_nearest(best, k, {distance[i * columns + j], r + j});
      }
    }
  }
  for (std::size_t g = 0; !skip && g < group.count; ++g)
    if (nearest[g * k].index == references.count)
      throw Error("nearest: found no finite distance to any of ", references.count, " references");
  return nearest;
}

NetworkSet vectors_of(const std::vector<float> &values, std::size_t length) {
  return {values.size() / length,
          [&values, length](std::size_t i, float *to) { std::copy_n(values.data() + i * length, length, to); }};
}

} // namespace theta
