#include <metatt/apps/validators.hpp>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <optional>
#include <sstream>

namespace metatt::apps {

namespace {

std::string mismatch(const std::string& expected, const std::string& found) {
  return "expected " + expected + ", found \"" + found + "\"";
}

std::string text_of(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// The number that the whole text is.
template <class T>
std::optional<T> read_number(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<double> read_finite(const std::string& text) {
  const auto value = read_number<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

/// Also from forms such as 3.0, as long as a double holds the whole number exactly.
std::optional<std::uint64_t> read_whole(const std::string& text) {
  if (const auto value = read_number<std::uint64_t>(text)) return value;
  constexpr double exact_below = 9007199254740992;  // 2^53
  const auto value = read_finite(text);
  if (!value || *value < 0 || *value >= exact_below || std::trunc(*value) != *value)
    return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

bool all_digits(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

CLI::Validator number(const std::string& expected, const std::string& in_help,
                      const std::function<bool(double)>& accepts) {
  const auto check = [expected, accepts](std::string& text) {
    const auto value = read_finite(text);
    return value && accepts(*value) ? "" : mismatch(expected, text);
  };
  return CLI::Validator(check, in_help);
}

}  // namespace

CLI::Validator any_number() {
  return number("a number", "", [](double) { return true; });
}

CLI::Validator positive_number() {
  return number("a number above 0", "POSITIVE", [](double value) { return value > 0; });
}

CLI::Validator non_negative_number() {
  return number("a number of at least 0", "NONNEGATIVE", [](double value) { return value >= 0; });
}

CLI::Validator number_between(double low, double high) {
  const std::string bounds = text_of(low) + " to " + text_of(high);
  return number("a number from " + bounds, "[" + bounds + "]",
                [low, high](double value) { return low <= value && value <= high; });
}

CLI::Validator whole_number(std::uint64_t minimum, std::uint64_t maximum) {
  const std::string lowest = std::to_string(minimum), highest = std::to_string(maximum);
  const auto check = [=](std::string& text) {
    const auto value = read_whole(text);
    if (value ? *value > maximum : all_digits(text))  // digits that were not read are too many
      return mismatch("a whole number of at most " + highest, text);
    if (!value || *value < minimum) return mismatch("a whole number of at least " + lowest, text);
    text = std::to_string(*value);
    return std::string();
  };
  const std::string one_sided = minimum > 0 ? "POSITIVE" : "NONNEGATIVE";
  const bool bounded = maximum < std::numeric_limits<std::int64_t>::max();
  return CLI::Validator(check, bounded ? "[" + lowest + " to " + highest + "]" : one_sided);
}

CLI::Validator seed_number() {
  return whole_number(0, std::numeric_limits<std::uint64_t>::max());
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  std::string expected = words.front();
  for (std::size_t i = 1; i < words.size(); ++i)
    expected += (i + 1 < words.size() ? ", " : " or ") + words[i];
  const auto check = [words, expected](std::string& text) {
    for (const auto& word : words)
      if (text == word) return std::string();
    return mismatch(expected, text);
  };
  return CLI::Validator(check, "");
}

CLI::Validator true_or_false() {
  const auto check = [](std::string& text) {
    const std::string lower = CLI::detail::to_lower(text);
    return lower == "true" || lower == "false" ? "" : mismatch("true or false", text);
  };
  return CLI::Validator(check, "");
}

CLI::Validator not_empty(const std::string& expected) {
  const auto check = [expected](std::string& text) {
    return text.empty() ? mismatch(expected, text) : "";
  };
  return CLI::Validator(check, "");
}

bool same_value(const std::string& a, const std::string& b) {
  if (a == b) return true;
  if (const auto first = read_whole(a), second = read_whole(b); first && second)
    return *first == *second;
  const auto first = read_finite(a), second = read_finite(b);
  return first && second && *first == *second;
}

CLI::Validator in_a_folder() {
  const auto check = [](std::string& text) -> std::string {
    const std::filesystem::path file = text;
    std::error_code ignored;
    if (file.has_filename() && !std::filesystem::is_directory(file, ignored) &&
        (!file.has_parent_path() || std::filesystem::is_directory(file.parent_path(), ignored)))
      return "";
    return mismatch("a file in a folder that is there", text);
  };
  return CLI::Validator(check, "");
}

}  // namespace metatt::apps
