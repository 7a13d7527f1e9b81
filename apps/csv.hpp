#pragma once
/// Fields of tables with commas.

#include <string>

namespace metatt::apps {

/// A text: between quotes where it needs them.
std::string csv_field(const std::string& text);
/// A number, as short as reads back to the same one; empty if it is not finite.
std::string csv_number(double value);

}  // namespace metatt::apps
