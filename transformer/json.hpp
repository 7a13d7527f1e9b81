#pragma once
/// JSON whose errors name the file, the field, what was expected and what was found.

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace metatt::transformer {

/// Parses one JSON value. `source_name` (a file name) begins every error. Throws tn::Error with the
/// byte of a syntax error, and on a key that an object has twice or on more than 64 levels.
nlohmann::json parse_json(std::string_view text, const std::string& source_name);

/// `object[field]` as a T: bool, std::int64_t, double, std::string, or a std::vector of one of the
/// last three. Throws tn::Error if the field is absent or of another type: an integer is a number,
/// but 12.0 is no integer.
template <class T>
T required(const nlohmann::json& object, const std::string& field, const std::string& source_name);

/// The same; `fallback` if the field is absent or null.
template <class T>
T optional_or(const nlohmann::json& object, const std::string& field, const T& fallback,
              const std::string& source_name);

/// Writes the value with two spaces of indentation and sorted keys, all or nothing.
void write_json(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace metatt::transformer
