#pragma once
/// Tables with commas.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace metatt::apps {

/// A text: between quotes where it needs them.
std::string csv_field(const std::string& text);
/// A number, as short as reads back to the same one; empty if it is not finite.
std::string csv_number(double value);

/// The lines of a file by the names in its first line. Throws Error naming the file on one that
/// cannot be read, one without lines or a line with another number of fields.
std::vector<std::map<std::string, std::string>> read_csv(const std::filesystem::path& file);

}  // namespace metatt::apps
