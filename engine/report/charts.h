// Charts: curves, histograms and pictures of weights.
#pragma once
#include "canvas.h"
#include <span>

namespace theta {

struct Curve {
  std::string name; // in the legend, unless it is empty
  std::vector<double> x, y;
};

// Curves over a common x, with y on a logarithmic scale where all values are positive and they span more than a decade.
Canvas line_chart(const std::string &title, const std::string &x_label, const std::vector<Curve> &);

struct Sample {
  std::string name;
  std::vector<float> values;
};

// One histogram a sample, above one another, on a common axis.
Canvas histograms(const std::string &title, const std::vector<Sample> &);

// Square pictures of `side` x `side` numbers in rows of `columns`, blue below zero and red above, each row of pictures
// on the scale of its own largest number. `labels` names each row.
struct Picture {
  std::vector<float> values;
};
Canvas picture_grid(const std::string &title, const std::vector<std::string> &labels,
                    const std::vector<std::vector<Picture>> &rows, int side);

} // namespace theta
