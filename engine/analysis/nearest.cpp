#include "nearest.h"
#include "engine/memory/arena.h"
#include "kernels/operations/row_l2.h"
#include <algorithm>
#include <limits>

namespace theta {

Share share_nearer(const std::vector<Nearest> &to_one, const std::vector<Nearest> &to_another) {
  double count = 0;
  for (std::size_t i = 0; i < to_one.size(); ++i)
    count += to_one[i].distance < to_another[i].distance ? 1 : to_one[i].distance == to_another[i].distance ? 0.5 : 0;
  return share_of(count, to_one.size());
}

NearestSearch::NearestSearch(std::size_t length, const std::string &stage) : length_(length), plan_(stage) {
  const auto n = std::int64_t(at_once), v = std::int64_t(length);
  staging_ = plan_.reserve<float>("nearest.staging", MemoryClass::staging, {2, v});
  const auto reserve = [&](const char *name, std::int64_t rows, std::int64_t width) {
    return plan_.reserve<float>(name, MemoryClass::data, {rows, width});
  };
  group_ = reserve("nearest.group", n, v), reference_ = reserve("nearest.references", n, v);
  distance_ = reserve("nearest.distance", n, n), workspace_ = reserve("nearest.workspace", 2, n);
  plan_.place();
}

std::vector<Nearest> NearestSearch::run(Device device, const NetworkSet &group, const NetworkSet &references) const {
  Stream s(device);
  const Arena arena(device, plan_);
  float *staging = staging_, *centre = staging_ + length_; // distances do not change with it, their rounding does
  const std::size_t looked_at = std::min(at_once, references.count);
  std::fill_n(centre, length_, 0.0f);
  for (std::size_t i = 0; i < looked_at; ++i) {
    references.network(i, staging);
    for (std::size_t c = 0; c < length_; ++c)
      centre[c] += staging[c] / float(looked_at);
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
  std::vector<Nearest> nearest(group.count, {std::numeric_limits<float>::infinity(), references.count});
  for (std::size_t g = 0; g < group.count; g += at_once) {
    const std::size_t rows = std::min(at_once, group.count - g);
    load(group_, group, g, rows);
    for (std::size_t r = 0; r < references.count; r += at_once) {
      const std::size_t columns = std::min(at_once, references.count - r);
      load(reference_, references, r, columns);
      row_l2(s, distance_, group_, reference_, int(rows), int(columns), length_, workspace_);
      const auto distance = to_host(s, distance_.get(), rows * columns);
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) {
          const bool itself =
              !group.source.empty() && !references.source.empty() && group.source[g + i] == references.source[r + j];
          if (Nearest &best = nearest[g + i]; !itself && distance[i * columns + j] < best.distance)
            best = {distance[i * columns + j], r + j};
        }
    }
  }
  for (const Nearest &each : nearest)
    if (each.index == references.count)
      throw Error("nearest: found no finite distance to any of ", references.count, " references");
  return nearest;
}

NetworkSet vectors_of(const std::vector<float> &values, std::size_t length) {
  return {values.size() / length,
          [&values, length](std::size_t i, float *to) { std::copy_n(values.data() + i * length, length, to); }};
}

} // namespace theta
