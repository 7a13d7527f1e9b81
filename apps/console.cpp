#include <metatt/apps/console.hpp>
#include <metatt/tn/backend/backend.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace metatt::apps {

namespace {

bool is_control(unsigned char byte) {
  return byte < 0x20 || byte == 0x7f;
}

std::string escaped(unsigned char byte) {
  constexpr char digits[] = "0123456789abcdef";
  return {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
}

/// Bytes of the UTF-8 character that begins at `place`; 0 if none does.
std::size_t utf8_length(const std::string& text, std::size_t place) {
  const auto byte = static_cast<unsigned char>(text[place]);
  const std::size_t length = byte < 0x80                   ? 1
                             : byte >= 0xc2 && byte < 0xe0 ? 2
                             : byte >= 0xe0 && byte < 0xf0 ? 3
                             : byte >= 0xf0 && byte < 0xf5 ? 4
                                                           : 0;
  if (place + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[place + i]) & 0xc0) != 0x80) return 0;
  return length;
}

}  // namespace

std::string printable(const std::string& text) {
  constexpr std::size_t longest = 2000;
  std::string line;
  for (std::size_t i = 0; i < text.size();) {
    if (line.size() > longest) return line + "…";
    const std::size_t length = utf8_length(text, i);
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F, c2 80 to c2 9f in UTF-8, control a terminal as well.
    const bool control = length < 2
                             ? is_control(byte) || byte >= 0x80
                             : byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    for (std::size_t end = i + std::max<std::size_t>(1, length); i < end; ++i) {
      if (text[i] == '\n')
        line += ' ';
      else
        line += control ? escaped(static_cast<unsigned char>(text[i])) : std::string(1, text[i]);
    }
  }
  return line;
}

void print_error(const std::string& message) {
  std::cerr << "metatt: " << printable(message) << std::endl;
}

void print_warning(const std::string& text) {
  if (!text.empty()) std::cerr << "warning: " << printable(text) << std::endl;
}

void print_backend() {
  const auto about = tn::backend::describe();
  std::cout << "metatt " METATT_VERSION << ", backend " << about.backend << ": " << about.blas
            << ", core " << about.core;
  if (!about.thread_layer.empty()) std::cout << ", thread layer " << about.thread_layer;
  std::cout << ", " << about.threads << " threads";
  if (!about.vector_set.empty()) std::cout << ", own kernels " << about.vector_set;
  std::cout << std::endl;
  print_warning(about.warning);
}

void print_cut(std::int64_t texts, std::int64_t max_length) {
  if (texts > 0)
    std::cerr << texts << " texts were longer than " << max_length << " tokens and lost their end"
              << std::endl;
}

void print_blank(std::int64_t lines) {
  if (lines > 0) std::cerr << lines << " blank lines were left out" << std::endl;
}

void Progress::update(std::int64_t done, const std::string& text) {
  const auto now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double left = elapsed * static_cast<double>(total_ - done) /
                      static_cast<double>(std::max<std::int64_t>(1, done));
  std::ostringstream line;
  constexpr int width = 24;
  const int filled = static_cast<int>(width * done / std::max<std::int64_t>(1, total_));
  line << "[" << std::string(static_cast<std::size_t>(filled), '#')
       << std::string(static_cast<std::size_t>(width - filled), '.') << "] " << done << "/"
       << total_ << "  " << text << "  ETA " << static_cast<int>(left) / 60 << ":" << std::setw(2)
       << std::setfill('0') << static_cast<int>(left) % 60;
  if (isatty(STDERR_FILENO)) {
    if (visible_ && done < total_ && now - drawn_ < std::chrono::milliseconds(100)) return;
    std::cerr << "\r\x1b[K" << line.str() << std::flush;
    visible_ = true;
    drawn_ = now;
  } else if (done >= next_line_) {
    std::cerr << line.str() << std::endl;
    next_line_ = done + std::max<std::int64_t>(1, total_ / 10);
  }
}

void Progress::clear() {
  if (visible_) std::cerr << "\r\x1b[K" << std::flush;
  visible_ = false;
}

std::string fixed(double value, int digits) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

std::string scientific(double value) {
  std::ostringstream out;
  out << std::scientific << std::setprecision(1) << value;
  return std::isnan(value) ? "" : out.str();
}

double peak_memory_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

}  // namespace metatt::apps
