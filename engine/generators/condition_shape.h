// What a model is conditioned on beside the time: a number, as sines and cosines, or one of `classes` labels.
#pragma once
#include <string>

namespace theta {

struct ConditionShape {
  std::string name;
  int classes = 0; // 0: a number
};

} // namespace theta
