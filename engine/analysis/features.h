// Sets of pictures compared by the features that a network has of them.
#pragma once
#include <cstddef>
#include <vector>

namespace theta {

struct Features {
  std::size_t count = 0, width = 0;
  std::vector<double> values{}; // [count, width]
  const double *of(std::size_t i) const { return values.data() + i * width; }
};

// |μa − μb|² + tr(A + B − 2(A·B)^½), with means and covariances (divided by n − 1) of the two: the squared distance of
// the Gaussians that fit them (Fréchet, 1957; Heusel et al., "GANs trained by a two time-scale update rule", 2017). It
// falls with the number of pictures: compare only equal numbers. Throws InputError for fewer than two, or other widths.
double frechet_distance(const Features &a, const Features &b);

// Improved precision and recall (Kynkäänniemi et al., 2019): the share of generated pictures within the reach of some
// reference, that is no farther from it than its k-th nearest reference, and the other way round.
struct PrecisionRecall {
  double precision = 0, recall = 0;
};
PrecisionRecall precision_recall(const Features &generated, const Features &references, std::size_t k = 3);

// Whether classes are as wide as they should be: within each, the trace of the covariance of the group's features, and
// the recall of references of that class; both in the mean over classes of which both have more than k. 0 classes: NaN.
struct WithinClasses {
  double variance, recall;
  std::size_t classes = 0;
};
WithinClasses within_classes(const Features &group, const std::vector<int> &labels, const Features &references,
                             const std::vector<int> &reference_labels, std::size_t k = 3);

} // namespace theta
