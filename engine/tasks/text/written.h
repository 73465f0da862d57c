// What language models write, drawn: of every class that networks were told alone, a line by a trained network, and below
// it one by a generated network.
#pragma once
#include "engine/report/canvas.h"
#include "text_rows.h"

namespace theta {

// Nothing where no sample was told one class alone. Throws Interrupted.
std::optional<Canvas> written_by(const EvalWork &);

} // namespace theta
