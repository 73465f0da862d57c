// Ways through weight space, drawn in their plane over the loss of its networks.
#pragma once
#include "canvas.h"
#include "engine/analysis/trajectories.h"

namespace theta {

Canvas plane_chart(const Plane &);

} // namespace theta
