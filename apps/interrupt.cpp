#include <metatt/apps/interrupt.hpp>

#include <unistd.h>

#include <ctime>
#include <string_view>

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

/// Only calls that a handler may make.
extern "C" void leave_at_once(int signal) {
  for (const std::string_view part :
       {"metatt: stopped by ", signal == SIGINT ? "SIGINT" : "SIGTERM",
        " outside the training steps; --resume goes on from the newest checkpoint, or anew\n"})
    if (::write(STDERR_FILENO, part.data(), part.size()) < 0) break;
  ::_exit(128 + signal);
}

/// Leaves a signal alone that whoever started the program had it ignore.
void watch(int signal, void (*handler)(int), struct sigaction& before) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // calls that were under way go on
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, &before);
  if (before.sa_handler == SIG_IGN) ::sigaction(signal, &before, nullptr);
}

}  // namespace

SignalHandlers::SignalHandlers(void (*handler)(int)) {
  watch(SIGINT, handler, interrupt_);
  watch(SIGTERM, handler, terminate_);
}

SignalHandlers::~SignalHandlers() {
  ::sigaction(SIGINT, &interrupt_, nullptr);
  ::sigaction(SIGTERM, &terminate_, nullptr);
}

OutsideTraining::OutsideTraining() : handlers_(leave_at_once) {}

InterruptWatch::InterruptWatch() : handlers_((received = 0, remember_signal)) {}

int InterruptWatch::signal() const {
  return received;
}

}  // namespace metatt::apps
