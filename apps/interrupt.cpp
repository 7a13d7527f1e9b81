#include <metatt/apps/interrupt.hpp>

#include <ctime>

namespace metatt::apps {

namespace {

volatile std::sig_atomic_t received = 0;
timespec received_at{};

/// A second signal, of either kind, ends the program; but some send the same one to the process and
/// to its group (coreutils' timeout), microseconds apart.
extern "C" void remember_signal(int signal) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (received == 0) {
    received_at = now;
    received = signal;
  } else if (now.tv_sec > received_at.tv_sec + 1) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

/// Leaves a signal alone that whoever started the program had it ignore.
void watch(int signal, struct sigaction& before) {
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART;  // calls that were under way go on
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, &before);
  if (before.sa_handler == SIG_IGN) ::sigaction(signal, &before, nullptr);
}

}  // namespace

InterruptWatch::InterruptWatch() {
  received = 0;
  watch(SIGINT, interrupt_);
  watch(SIGTERM, terminate_);
}

InterruptWatch::~InterruptWatch() {
  ::sigaction(SIGINT, &interrupt_, nullptr);
  ::sigaction(SIGTERM, &terminate_, nullptr);
}

int InterruptWatch::signal() const {
  return received;
}

}  // namespace metatt::apps
