#include "features.h"
#include "engine/weights/dense.h"
#include "kernels/device/error.h"
#include "kernels/device/parallel.h"
#include <algorithm>
#include <cmath>
#include <set>

namespace theta {

namespace {

struct Gaussian {
  std::vector<double> mean, covariance; // [width], [width, width]
};

Gaussian gaussian_of(const Features &f) {
  if (f.count < 2)
    throw InputError("Fréchet distance: found ", f.count, " pictures, expected at least 2");
  const std::size_t w = f.width;
  Gaussian g{std::vector<double>(w, 0), {}};
  for (std::size_t i = 0; i < f.count; ++i)
    for (std::size_t c = 0; c < w; ++c)
      g.mean[c] += f.of(i)[c] / double(f.count);
  std::vector<double> centred = f.values;
  for (std::size_t e = 0; e < centred.size(); ++e)
    centred[e] -= g.mean[e % w];
  g.covariance = transposed_product(centred, centred, f.count);
  for (double &c : g.covariance)
    c /= double(f.count - 1);
  return g;
}

// Of a symmetric matrix without negative eigenvalues, but for rounding.
std::vector<double> root(const std::vector<double> &m, std::size_t n) {
  const Spectrum s = spectrum_of(m.data(), n);
  std::vector<double> scaled = s.vectors;
  for (std::size_t e = 0; e < scaled.size(); ++e)
    scaled[e] *= std::sqrt(std::max(0.0, s.values[e / n]));
  return transposed_product(s.vectors, scaled, n);
}

double squared_distance(const double *a, const double *b, std::size_t width) {
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i)
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

// The share of `those` within the reach of some of `these`.
double share_within(const Features &those, const Features &these, std::size_t k) {
  std::vector<double> reach(these.count);
  const double work = double(these.count) * double(these.count) * double(these.width);
  parallel_for(long(these.count), work, [&](long i) {
    std::vector<double> d;
    for (std::size_t j = 0; j < these.count; ++j)
      if (j != std::size_t(i))
        d.push_back(squared_distance(these.of(std::size_t(i)), these.of(j), these.width));
    const std::size_t at = std::min(k, d.size()) - 1;
    std::nth_element(d.begin(), d.begin() + std::ptrdiff_t(at), d.end());
    reach[std::size_t(i)] = d[at];
  });
  std::vector<char> within(those.count, 0);
  parallel_for(long(those.count), work, [&](long i) {
    for (std::size_t j = 0; j < these.count && !within[std::size_t(i)]; ++j)
      within[std::size_t(i)] = squared_distance(those.of(std::size_t(i)), these.of(j), these.width) <= reach[j];
  });
  return double(std::count(within.begin(), within.end(), 1)) / double(those.count);
}

} // namespace

double frechet_distance(const Features &a, const Features &b) {
  if (a.width != b.width)
    throw InputError("Fréchet distance: found features of ", a.width, " and ", b.width, " numbers, expected as many");
  const Gaussian p = gaussian_of(a), q = gaussian_of(b);
  // The eigenvalues of A·B are those of A^½·B·A^½, which is symmetric.
  const std::size_t n = a.width;
  const auto half = root(p.covariance, n);
  double distance = squared_distance(p.mean.data(), q.mean.data(), n);
  for (std::size_t i = 0; i < n; ++i)
    distance += p.covariance[i * n + i] + q.covariance[i * n + i];
  for (const double value : eigenvalues_of(product(product(half, q.covariance, n), half, n).data(), n))
    distance -= 2 * std::sqrt(std::max(0.0, value));
  return distance;
}

PrecisionRecall precision_recall(const Features &generated, const Features &references, std::size_t k) {
  if (generated.width != references.width || generated.count < 2 || references.count < 2)
    throw InputError("precision and recall: found ", generated.count, " and ", references.count, " pictures with ",
                     generated.width, " and ", references.width, " features, expected at least 2 with as many");
  return {share_within(generated, references, k), share_within(references, generated, k)};
}

WithinClasses within_classes(const Features &group, const std::vector<int> &labels, const Features &references,
                             const std::vector<int> &reference_labels, std::size_t k) {
  const auto of_class = [](const Features &all, const std::vector<int> &of, int label) {
    Features some{0, all.width};
    for (std::size_t i = 0; i < all.count; ++i)
      if (of[i] == label)
        some.values.insert(some.values.end(), all.of(i), all.of(i) + all.width), ++some.count;
    return some;
  };
  WithinClasses sum{0, 0};
  for (const int label : std::set<int>(labels.begin(), labels.end())) {
    const Features mine = of_class(group, labels, label), theirs = of_class(references, reference_labels, label);
    if (mine.count <= k || theirs.count <= k)
      continue;
    const Gaussian fitted = gaussian_of(mine);
    for (std::size_t c = 0; c < mine.width; ++c)
      sum.variance += fitted.covariance[c * mine.width + c];
    sum.recall += precision_recall(mine, theirs, k).recall;
    ++sum.classes;
  }
  return {sum.variance / double(sum.classes), sum.recall / double(sum.classes), sum.classes};
}

} // namespace theta
