#pragma once
/// Checks of option values, whose messages say what was expected and what was found. CLI11 puts the
/// option's name before them.

#include <metatt/tn/error.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace metatt::apps {

/// A finite number.
CLI::Validator any_number();
/// A finite number above 0.
CLI::Validator positive_number();
/// A finite number, 0 or above.
CLI::Validator non_negative_number();
/// A number from `low` to `high`, both included.
CLI::Validator number_between(double low, double high);

/// A whole number within these bounds, both included; 3.0 and 1e3 are whole numbers too. It goes
/// into Option::transform, not check: the option's integer type cannot read those forms itself.
CLI::Validator whole_number(std::uint64_t minimum,
                            std::uint64_t maximum = std::numeric_limits<std::int64_t>::max());

/// A whole number from 0 to the largest that 64 bits hold; for Option::transform.
CLI::Validator seed_number();

/// One of these words.
CLI::Validator one_of(const std::vector<std::string>& words);

/// For a flag that is given a value: true or false, in any case.
CLI::Validator true_or_false();

/// Anything but the empty string; `expected` is what the message asks for ("a folder").
CLI::Validator not_empty(const std::string& expected);

/// A file that can be written as far as its folder goes, before hours of work end in it.
CLI::Validator in_a_folder();

/// Whether two texts are the same value: the same text, or numbers of one value (0.001, 1e-3).
bool same_value(const std::string& a, const std::string& b);

/// Throws Error naming the flag and what its values are if one is there twice.
template <class Value>
void refuse_repeated(const char* flag, const char* what, const std::vector<Value>& values) {
  for (const Value& value : values)
    if (std::ranges::count(values, value) > 1)
      tn::fail(flag, ": expected each ", what, " once, found ", value, " twice or more");
}

}  // namespace metatt::apps
