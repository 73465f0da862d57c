#include "layout.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace theta {

std::size_t elements_of(const TensorPlace &place) {
  return std::size_t(std::accumulate(place.shape.begin(), place.shape.end(), std::int64_t(1), std::multiplies<>()));
}

Start default_start(int fan_in) { return {.bound = 1 / std::sqrt(double(fan_in))}; }

std::size_t Layout::add(std::string name, Shape shape, Start start) {
  if (std::any_of(places_.begin(), places_.end(), [&](const auto &p) { return p.name == name; }))
    throw Error("layout: tensor '", name, "' is there already");
  places_.push_back({std::move(name), std::move(shape), size_});
  starts_.push_back(start);
  size_ += elements_of(places_.back());
  return places_.back().offset;
}

const TensorPlace &Layout::operator[](std::string_view name) const {
  const auto found = std::find_if(places_.begin(), places_.end(), [&](const auto &p) { return p.name == name; });
  if (found == places_.end())
    throw Error("layout: has no tensor '", name, "'");
  return *found;
}

std::vector<float> Layout::bounds() const {
  std::vector<float> all;
  for (std::size_t i = 0; i < places_.size(); ++i)
    all.insert(all.end(), elements_of(places_[i]), float(starts_[i].bound));
  return all;
}

std::vector<float> Layout::constants() const {
  std::vector<float> all;
  for (std::size_t i = 0; i < places_.size(); ++i)
    all.insert(all.end(), elements_of(places_[i]), float(starts_[i].constant));
  return all;
}

std::vector<float> Layout::initial_values(std::uint64_t seed, std::uint32_t stream) const {
  auto values = constants();
  const auto bound = bounds();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] += bound[i] * (2 * uniform01(philox(seed, Purpose::initialisation, stream, i).word[0]) - 1);
  return values;
}

} // namespace theta
