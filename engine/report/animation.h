// Canvases one after another, as a GIF.
#pragma once
#include "canvas.h"

namespace theta {

// Frames of one size, shown for so long each, again and again; each with up to 256 colours of its own. Atomic. Throws
// InputError where sizes differ or there is none.
void save_gif(const std::filesystem::path &, const std::vector<Canvas> &frames, double seconds);

} // namespace theta
