#include "interrupt.h"
#include "kernels/device/error.h"
#include <csignal>

namespace theta {

namespace {

volatile std::sig_atomic_t asked = 0; // written by the signal handler, which can reach nothing else

void on_signal(int signal) {
  asked = 1;
  std::signal(signal, SIG_DFL);
}

} // namespace

void watch_for_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupted() { return asked != 0; }

void stop_if_interrupted(const char *stage) {
  if (interrupted())
    throw Interrupted(stage, ": stopped; the same command starts it again");
}

} // namespace theta
