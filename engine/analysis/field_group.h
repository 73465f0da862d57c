// Fields that are judged together.
#pragma once
#include "baselines.h"

namespace theta {

// The column of samples that were conditioned on a class.
inline constexpr const char *told_class = "told_class";

// A group, and the classes that its fields should show; none: empty.
struct FieldGroup {
  NetworkSet fields;
  std::vector<int> labels{};
  std::vector<std::size_t> signals{}; // that they were made for
};

} // namespace theta
