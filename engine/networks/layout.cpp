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
  size_ = (size_ + alignment_ - 1) / alignment_ * alignment_;
  places_.push_back({std::move(name), std::move(shape), size_});
  starts_.push_back(start), first_draws_.push_back(draws_);
  size_ += elements_of(places_.back()), draws_ += elements_of(places_.back());
  return places_.back().offset;
}

std::size_t Layout::add_state(std::string name, Shape shape, Start start) {
  const std::size_t before = size_, at = add(std::move(name), std::move(shape), start);
  state_ += size_ - before;
  return at;
}

void Layout::add_outside(std::string name, Shape shape, Start start) {
  outside_.push_back({std::move(name), std::move(shape), start, draws_, places_.size()});
  draws_ += outside_.back().elements();
}

std::size_t OutsideTensor::elements() const { return elements_of(TensorPlace{name, shape, 0}); }

float initial_value(const Start &start, std::uint64_t seed, std::uint32_t stream, std::uint64_t index) {
  float value = float(start.constant);
  value += float(start.bound) * (2 * uniform01(philox(seed, Purpose::initialisation, stream, index).word[0]) - 1);
  return value;
}

const TensorPlace &Layout::operator[](std::string_view name) const {
  const auto found = std::find_if(places_.begin(), places_.end(), [&](const auto &p) { return p.name == name; });
  if (found == places_.end())
    throw Error("layout: has no tensor '", name, "'");
  return *found;
}

std::vector<float> Layout::constants() const {
  std::vector<float> all(size_);
  for (std::size_t i = 0; i < places_.size(); ++i)
    std::fill_n(all.begin() + std::ptrdiff_t(places_[i].offset), elements_of(places_[i]), float(starts_[i].constant));
  return all;
}

std::vector<float> Layout::packed(const std::vector<float> &values) const {
  std::vector<float> all;
  all.reserve(packed_size());
  for (const TensorPlace &place : places_) {
    const auto from = values.begin() + std::ptrdiff_t(place.offset);
    all.insert(all.end(), from, from + std::ptrdiff_t(elements_of(place)));
  }
  return all;
}

std::vector<float> Layout::spread(const std::vector<float> &values) const {
  if (values.size() != packed_size())
    throw Error("layout: found ", values.size(), " values, expected ", packed_size());
  std::vector<float> all(size_);
  auto from = values.begin();
  for (const TensorPlace &place : places_) {
    const auto n = std::ptrdiff_t(elements_of(place));
    std::copy_n(from, n, all.begin() + std::ptrdiff_t(place.offset));
    from += n;
  }
  return all;
}

std::size_t Layout::packed_size() const {
  std::size_t n = 0;
  for (const TensorPlace &place : places_)
    n += elements_of(place);
  return n;
}

void Layout::initial_values(std::uint64_t seed, std::uint32_t stream, const Put &put) const {
  constexpr std::size_t most = std::size_t(1) << 18;
  std::vector<float> part;
  for (std::size_t t = 0; t < places_.size(); ++t)
    for (std::size_t first = 0, n = elements_of(places_[t]); first < n; first += part.size()) {
      part.resize(std::min(most, n - first));
      for (std::size_t i = 0; i < part.size(); ++i)
        part[i] = initial_value(starts_[t], seed, stream, first_draws_[t] + first + i);
      put(places_[t].offset + first, part.data(), part.size());
    }
}

std::vector<float> Layout::initial_values(std::uint64_t seed, std::uint32_t stream) const {
  std::vector<float> all(size_);
  initial_values(seed, stream, [&](std::size_t at, const float *values, std::size_t n) {
    std::copy_n(values, n, all.begin() + std::ptrdiff_t(at));
  });
  return all;
}

} // namespace theta
