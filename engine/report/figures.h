// What the names of a GroupReport mean: one table for pages and for people.
#pragma once
#include <span>

namespace theta {

struct FigureText {
  const char *name;                      // in values, figures or series
  const char *theme;                     // quality, novelty, diversity, landscape or agreement
  const char *title, *x_label, *y_label; // labels of a series; else x_label is the figure's unit
  const char *meaning;
  bool percent = false;
};

std::span<const FigureText> figures_of_each(); // numbers that every network has, shown by their means
std::span<const FigureText> figures_of_group();
std::span<const FigureText> series_of_group(); // singular.* are told of by the tensor's name

} // namespace theta
