#pragma once
/// What the program says on the terminal: the settings at start, a progress bar, errors.

#include <chrono>
#include <cstdint>
#include <string>

namespace metatt::apps {

/// The text on one line of at most about 2000 bytes: line feeds become spaces, and other control
/// characters and bytes that are no UTF-8, which a broken file may hold, are written as \x1b and
/// the like so that they do not reach the terminal.
std::string printable(const std::string& text);

/// "metatt: MESSAGE" on standard error, printable.
void print_error(const std::string& message);

/// "warning: TEXT" on standard error, printable; nothing for an empty text.
void print_warning(const std::string& text);

/// The lines about version, backend, BLAS, core type and threads, with a warning if a setting costs
/// speed.
void print_backend();

/// What stands behind the numbers of texts: there is nothing between those of a batch.
constexpr const char* padding_text = "0 % padding (packed)";

/// Says on standard error how many texts lost their end, if some did.
void print_cut(std::int64_t texts, std::int64_t max_length);

/// Says on standard error how many blank lines of a corpus were left out, if there were some.
void print_blank(std::int64_t lines);

/// A bar with text behind it on standard error: redrawn in place on a terminal, otherwise one line
/// a tenth of the way.
class Progress {
 public:
  explicit Progress(std::int64_t total) : total_(total), start_(Clock::now()) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total`; `text` follows the bar, the time left follows the text.
  void update(std::int64_t done, const std::string& text);
  /// Removes the bar so that a line can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t total_;
  Clock::time_point start_;
  Clock::time_point drawn_{};
  std::int64_t next_line_ = 0;
  bool visible_ = false;
};

/// A number in fixed notation: fixed(0.12345, 2) is "0.12".
std::string fixed(double value, int digits);

/// A number with one digit behind the point and a power of ten; "" for NaN, which is no number yet.
std::string scientific(double value);

/// The largest memory the process has had, in MB (10^6 bytes).
double peak_memory_megabytes();

}  // namespace metatt::apps
