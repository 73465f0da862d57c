// Ctrl-C, noticed at the next step: the work saves what it has and throws Interrupted.
#pragma once

namespace theta {

// From here on SIGINT and SIGTERM ask the work to stop; a second one ends the process at once.
void watch_for_interrupts();
bool interrupted();
void stop_if_interrupted(const char *stage); // throws Interrupted, of work that has nothing to save

} // namespace theta
