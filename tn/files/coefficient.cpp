#include <metatt/tn/files/coefficient.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace metatt::tn {

namespace {

bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool digit(char c) {
  return c >= '0' && c <= '9';
}

/// Reads a product from left to right.
class Product {
 public:
  Product(std::string_view text, const std::map<std::string, double>& names)
      : rest_(text), names_(names) {}

  std::complex<double> value() {
    std::complex<double> result = sign();
    bool divide = false;
    while (true) {
      const std::complex<double> next = power();
      result = divide ? result / next : result * next;
      if (rest_.empty()) return result;
      if (!take('*') && !take('/')) fail("expected * or / before \"", rest_, "\"");
      divide = taken_ == '/';
    }
  }

 private:
  bool take(char symbol) {
    if (rest_.empty() || rest_.front() != symbol) return false;
    taken_ = symbol;
    rest_.remove_prefix(1);
    return true;
  }

  double sign() { return take('-') ? -1 : (take('+'), 1); }

  std::complex<double> power() {
    const std::complex<double> base = atom();
    if (!take('^')) return base;
    const double factor = sign();
    const std::complex<double> exponent = atom();
    if (base.imag() != 0 || exponent.imag() != 0) fail("the imaginary unit has no powers here");
    return std::pow(base.real(), factor * exponent.real());
  }

  std::complex<double> atom() {
    double number = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error == std::errc() && std::isfinite(number) && !letter(rest_.front())) {
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      return number;
    }
    std::size_t size = 0;
    while (size < rest_.size() && (letter(rest_[size]) || (size > 0 && digit(rest_[size])))) ++size;
    if (size == 0) fail("expected a number or a name, found \"", rest_, "\"");
    const std::string name(rest_.substr(0, size));
    rest_.remove_prefix(size);
    const auto found = names_.find(name);
    if (found != names_.end()) return found->second;
    if (name == "i") return {0, 1};
    std::string known;
    for (const auto& [other, ignored] : names_) known += other + " ";
    fail("no parameter ", name, "; there are: ", known, "and the imaginary unit i");
  }

  std::string_view rest_;
  char taken_ = ' ';
  const std::map<std::string, double>& names_;
};

}  // namespace

void check_name(const std::string& name) {
  const bool written = !name.empty() && letter(name[0]) &&
                       std::ranges::all_of(name, [](char c) { return letter(c) || digit(c); });
  if (!written || name == "i" || name == "r")
    fail("expected a name of letters, digits and _ other than i and r, found \"", name, "\"");
}

double read_number(const std::string& word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value))
    fail("expected a number, found \"", word, "\"");
  return value;
}

std::complex<double> coefficient(const std::string& text,
                                 const std::map<std::string, double>& names) {
  try {
    const std::complex<double> value = Product(text, names).value();
    if (!std::isfinite(value.real()) || !std::isfinite(value.imag())) fail("it is not finite");
    return value;
  } catch (const Error& error) {
    fail("coefficient \"", text, "\": ", error.what());
  }
}

}  // namespace metatt::tn
