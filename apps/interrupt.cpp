#include <metatt/apps/interrupt.hpp>

namespace metatt::apps {

namespace {

volatile std::sig_atomic_t received = 0;

extern "C" void remember_signal(int signal) {
  received = signal;
  // The next one, of either kind, ends the program.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
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
