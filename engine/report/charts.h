// Charts: curves, points, bars, histograms and pictures of weights.
#pragma once
#include "canvas.h"
#include <span>

namespace theta {

struct Axes {
  std::string title, x_label, y_label;
  bool log_x = false; // where all are positive
};

struct Curve {
  std::string name; // in the legend, unless it is empty
  std::vector<double> x, y;
  bool joined = true;
};

// Curves over a common x, with y on a logarithmic scale where all values are positive and they span more than a decade.
// What is not finite is left out, and a curve is broken there.
Canvas line_chart(const Axes &, const std::vector<Curve> &);

// Charts of their own, below one another.
Canvas stacked(const std::vector<Canvas> &);

struct Sample {
  std::string name;
  std::vector<float> values;
};

// One histogram a sample, above one another, on a common axis; bars begin at none.
Canvas histograms(const std::string &title, const std::vector<Sample> &);

// A bar from zero for each, with its interval; what is not finite is left out.
struct Bar {
  std::string name;
  double value, low, high;
};
Canvas bar_chart(const std::string &title, const std::vector<Bar> &);

// Square pictures of `side` x `side` numbers in rows of `columns`, blue below zero and red above, each row of pictures
// on the scale of its own largest number. `labels` names each row.
struct Picture {
  std::vector<float> values;
};
Canvas picture_grid(const std::string &title, const std::vector<std::string> &labels,
                    const std::vector<std::vector<Picture>> &rows, int side);

// Where an axis from low to high has its marks, and what they say: 1, 2 or 5 times a power of ten apart; on a
// logarithmic one, 1 (2, 5) times one.
struct Tick {
  double at;
  std::string text;
};
std::vector<Tick> ticks_of(double low, double high, bool logarithmic);

} // namespace theta
