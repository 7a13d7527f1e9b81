#include <metatt/transformer/json.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <set>
#include <vector>

namespace metatt::transformer {

namespace {

using nlohmann::json;

// Deeper values would only serve to exhaust the stack of recursive readers.
constexpr int max_depth = 64;

/// What was found, in words: scalars with their value, the others by their type.
std::string description(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  return value.dump();
}

/// How one type is recognised and called.
template <class T>
struct Reader;

template <>
struct Reader<bool> {
  static constexpr const char* name = "true or false";
  static bool matches(const json& value) { return value.is_boolean(); }
};

template <>
struct Reader<std::int64_t> {
  static constexpr const char* name = "an integer of 64 bits";
  static bool matches(const json& value) {
    return value.is_number_integer() &&
           (!value.is_number_unsigned() ||
            value.get<std::uint64_t>() <=
                static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  }
};

template <>
struct Reader<double> {
  static constexpr const char* name = "a number";
  static bool matches(const json& value) { return value.is_number(); }
};

template <>
struct Reader<std::string> {
  static constexpr const char* name = "a string";
  static bool matches(const json& value) { return value.is_string(); }
};

template <class T>
struct Reader<std::vector<T>> {
  static inline const std::string name = std::string("an array, each entry ") + Reader<T>::name;
  static bool matches(const json& value) {
    if (!value.is_array()) return false;
    for (const json& entry : value) {
      if (!Reader<T>::matches(entry)) return false;
    }
    return true;
  }
};

/// Null if absent.
const json* find(const json& object, const std::string& field, const std::string& source_name) {
  if (!object.is_object()) {
    tn::fail(source_name, ": expected an object with field \"", field, "\", found ",
             description(object));
  }
  const auto place = object.find(field);
  return place == object.end() ? nullptr : &*place;
}

template <class T>
T convert(const json& value, const std::string& field, const std::string& source_name) {
  if (!Reader<T>::matches(value)) {
    tn::fail(source_name, ": field \"", field, "\": expected ", Reader<T>::name, ", found ",
             description(value));
  }
  return value.get<T>();
}

}  // namespace

json parse_json(std::string_view text, const std::string& source_name) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > max_depth) {
      tn::fail(source_name, ": expected JSON of at most ", max_depth, " levels, found more");
    }
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) {
        tn::fail(source_name, ": expected each key once in an object, found \"", key, "\" twice");
      }
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& error) {
    tn::fail(source_name, ": expected JSON, found an error at byte ", error.byte, ": ",
             error.what());
  } catch (const json::exception& error) {
    tn::fail(source_name, ": expected JSON, found an error: ", error.what());
  }
}

template <class T>
T required(const json& object, const std::string& field, const std::string& source_name) {
  const json* value = find(object, field, source_name);
  if (!value) {
    tn::fail(source_name, ": field \"", field, "\": expected ", Reader<T>::name,
             ", found no such field");
  }
  return convert<T>(*value, field, source_name);
}

template <class T>
T optional_or(const json& object, const std::string& field, const T& fallback,
              const std::string& source_name) {
  const json* value = find(object, field, source_name);
  if (!value || value->is_null()) return fallback;
  return convert<T>(*value, field, source_name);
}

#define METATT_INSTANTIATE(...)                                                         \
  template __VA_ARGS__ required(const json&, const std::string&, const std::string&);   \
  template __VA_ARGS__ optional_or(const json&, const std::string&, const __VA_ARGS__&, \
                                   const std::string&)
METATT_INSTANTIATE(bool);
METATT_INSTANTIATE(std::int64_t);
METATT_INSTANTIATE(double);
METATT_INSTANTIATE(std::string);
METATT_INSTANTIATE(std::vector<std::int64_t>);
METATT_INSTANTIATE(std::vector<double>);
METATT_INSTANTIATE(std::vector<std::string>);
#undef METATT_INSTANTIATE

void write_json(const std::filesystem::path& path, const json& value) {
  try {
    tn::write_file_atomically(path, value.dump(2) + "\n");
  } catch (const json::type_error& error) {  // text that is no UTF-8, such as an odd path
    tn::fail(path.string(), ": ", error.what());
  }
}

}  // namespace metatt::transformer
