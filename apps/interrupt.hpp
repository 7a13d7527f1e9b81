#pragma once
/// SIGINT and SIGTERM as a wish that a run can ask for between two steps.

#include <csignal>
#include <stdexcept>
#include <string>

namespace metatt::apps {

/// A run was stopped from outside and has saved what is needed to go on.
class Interrupted : public std::runtime_error {
 public:
  Interrupted(const std::string& message, int signal)
      : std::runtime_error(message), signal_(signal) {}
  /// As shells report a program that a signal ended.
  int exit_code() const { return 128 + signal_; }

 private:
  int signal_;
};

/// While one exists, SIGINT and SIGTERM have a handler; then what they had before.
class SignalHandlers {
 public:
  explicit SignalHandlers(void (*handler)(int));
  ~SignalHandlers();
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;

 private:
  struct sigaction interrupt_ {
  }, terminate_{};
};

/// For the parts of a training run that have nothing to save: while one exists, and no
/// InterruptWatch, either signal ends the program at once, with a line.
class OutsideTraining {
 public:
  OutsideTraining();

 private:
  SignalHandlers handlers_;
};

/// While one exists, the first SIGINT or SIGTERM is remembered; one that comes two seconds later or
/// more ends the program at once. At most one at a time.
class InterruptWatch {
 public:
  InterruptWatch();

  /// The signal that came, or 0.
  int signal() const;
  /// "SIGINT" or "SIGTERM".
  std::string name() const { return signal() == SIGINT ? "SIGINT" : "SIGTERM"; }

 private:
  SignalHandlers handlers_;
};

}  // namespace metatt::apps
