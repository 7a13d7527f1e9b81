#pragma once
/// One way to throw: a message put together from its parts.

#include <metatt/tn/backend/types.hpp>

#include <span>
#include <sstream>
#include <stdexcept>
#include <string>

namespace metatt::tn {

/// Wrong use or wrong input: the message names the function or file, what was expected and what was
/// found. Every exception that metatt throws on purpose is of this type.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

/// "a, b, c".
std::string joined(std::span<const std::string> words, std::string_view separator = ", ");

/// "2×3×4" for messages; "scalar" for no modes.
std::string shape_text(std::span<const Index> shape);

}  // namespace metatt::tn
