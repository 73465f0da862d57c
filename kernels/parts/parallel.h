// When a loop of the CPU reference is worth a second thread. Waking one costs some microseconds, about 65,536 simple
// steps; a smaller loop runs on the calling thread. Results never depend on it.
#pragma once

namespace theta {

inline bool worth_threads(double steps) { return steps > 65'536; }

} // namespace theta
