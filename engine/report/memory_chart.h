// The memory of stages as a picture: every entry of a plan a rectangle, from where it is born to where it dies, at the
// bytes that it has in the device's block; a panel a stage, a colour a class.
#pragma once
#include "canvas.h"
#include "engine/memory/plan.h"

namespace theta {

Canvas memory_chart(const std::string &title, const std::vector<MemoryPlan> &);

} // namespace theta
