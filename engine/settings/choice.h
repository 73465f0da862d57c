// What a hyper-parameter of a zoo is chosen from, run by run: one number, a list of them, or a range.
#pragma once
#include <optional>
#include <vector>

namespace theta {

struct Range {
  double from, to;
  bool log = false; // uniform in the logarithm
  int points = 0;   // of a grid, ends included; 0 where runs are drawn
};

struct Choice {
  Choice(double value = 0) : values{value} {}
  Choice(std::vector<double> list) : values(std::move(list)) {}
  Choice(Range r) : range(r) {}

  std::vector<double> values;
  std::optional<Range> range; // instead of the values

  bool is_fixed() const { return !range && values.size() == 1; }
  // The number where it is the same for every run. Throws InputError, naming `key`, where it is not.
  double fixed(const char *key) const;

  std::size_t grid_size() const;
  double on_grid(std::size_t i) const; // i < grid_size()
  double drawn(double uniform) const;  // by a uniform number in (0, 1)
};

} // namespace theta
