// DejaVu Sans, which the program carries: how wide text is, and how much of each pixel it covers.
#pragma once
#include <functional>
#include <string>

namespace theta {

// UTF-8 text in a line of `pixels` (from the top of the tallest letter to the bottom of the lowest), rounded up.
int width_of_text(const std::string &text, int pixels);
// cover(x, y, share) for every pixel that the text touches, from its upper left corner.
void rasterise(const std::string &text, int pixels, const std::function<void(int x, int y, double share)> &cover);

} // namespace theta
