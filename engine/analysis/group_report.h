// What is measured of a group of networks, by name; figures.h says what each is.
#pragma once
#include "statistics.h"
#include <map>
#include <string>

namespace theta {

struct Series {
  std::vector<double> x, y, low, high; // an interval of each, or none
};

struct GroupReport {
  std::string name, role; // role: training, held_out, generated or baseline
  std::size_t networks = 0;
  std::size_t broken = 0;                           // of them: weights or logits that are not finite
  std::map<std::string, std::vector<float>> values; // a number for each network that is not broken, or for the first
  std::map<std::string, Estimate> figures;          // of the group
  std::map<std::string, Series> series;
  std::string verdict{};              // one word (verdict.h)
  std::vector<std::string> reasons{}; // for it, and what is not known

  const std::vector<float> &of(const std::string &name) const {
    static const std::vector<float> none;
    const auto found = values.find(name);
    return found == values.end() ? none : found->second;
  }
  Estimate figure(const std::string &name) const {
    const auto found = figures.find(name);
    return found == figures.end() ? Estimate{} : found->second;
  }
};

} // namespace theta
