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

/// A line of a table by the names of its columns.
using CsvRow = std::map<std::string, std::string>;

/// The lines of a file by the names in its first line. Throws Error naming the file on one that
/// cannot be read, one without lines or a line with another number of fields.
std::vector<CsvRow> read_csv(const std::filesystem::path& file);

/// A field of a line of that file, as text and as a number, which is NaN where the field is empty.
/// Throws Error naming the file if there is no such column, or no number in it.
const std::string& csv_text(const CsvRow& row, const std::string& column,
                            const std::filesystem::path& file);
double csv_value(const CsvRow& row, const std::string& column, const std::filesystem::path& file);

}  // namespace metatt::apps
