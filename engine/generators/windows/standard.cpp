#include "standard.h"
#include "engine/networks/layout.h"
#include <algorithm>

namespace theta {

StandardParts::StandardParts(NormalizerKind kind, std::vector<TensorPlace> layout, Read read)
    : kind_(kind), layout_(std::move(layout)), read_(std::move(read)) {
  if (kind == NormalizerKind::coordinate)
    return;
  mean_.resize(kind == NormalizerKind::tensor ? layout_.size() : 1), std_.resize(mean_.size());
  read_(false, 0, mean_.size(), mean_.data()), read_(true, 0, std_.size(), std_.data());
}

void StandardParts::read(std::size_t first, std::size_t count, float *mean, float *std) const {
  if (kind_ == NormalizerKind::coordinate)
    return read_(false, first, count, mean), read_(true, first, count, std);
  for (std::size_t done = 0; done < count;) {
    std::size_t tensor = 0, n = count - done;
    if (kind_ == NormalizerKind::tensor) {
      const TensorPlace &place = tensor_at(layout_, first + done);
      tensor = std::size_t(&place - layout_.data());
      n = std::min(n, place.offset + elements_of(place) - first - done);
    }
    std::fill_n(mean + done, n, mean_[tensor]), std::fill_n(std + done, n, std_[tensor]);
    done += n;
  }
}

void StandardParts::standardise(float *theta, std::size_t first, std::size_t count, float *statistics) const {
  read(first, count, statistics, statistics + count);
  for (std::size_t i = 0; i < count; ++i)
    theta[i] = (theta[i] - statistics[i]) / statistics[count + i];
}

void StandardParts::unstandardise(float *theta, std::size_t first, std::size_t count, float *statistics) const {
  read(first, count, statistics, statistics + count);
  for (std::size_t i = 0; i < count; ++i)
    theta[i] = statistics[i] + theta[i] * statistics[count + i];
}

} // namespace theta
