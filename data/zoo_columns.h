// The values of a zoo's columns, row by row, as another zoo takes them.
#pragma once
#include "zoo_reader.h"
#include "zoo_writer.h"

namespace theta {

class ZooColumns {
public:
  explicit ZooColumns(const ZooReader &zoo) {
    for (const Column &c : zoo.format().columns)
      if (c.dtype == Dtype::i64)
        all_.push_back({zoo.integers(c.name), {}});
      else
        all_.push_back({{}, zoo.floats(c.name)});
  }
  std::vector<ColumnValue> of(std::size_t row) const {
    std::vector<ColumnValue> values;
    for (const auto &[integers, floats] : all_)
      if (floats.empty())
        values.emplace_back(integers[row]);
      else
        values.emplace_back(double(floats[row]));
    return values;
  }

private:
  std::vector<std::pair<std::vector<std::int64_t>, std::vector<float>>> all_;
};

} // namespace theta
