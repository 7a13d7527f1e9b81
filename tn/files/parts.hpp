#pragma once
/// Internal to this folder: how the parts of what is saved are named, in files and in messages.

#include <metatt/tn/files/hdf5_file.hpp>

#include <string>

namespace metatt::tn {

inline std::string core_name(const std::string& name, Index k) {
  return name + "/core_" + std::to_string(k);
}

/// make(), whose errors get the file and the part in front if they do not name them yet.
template <class Make>
auto naming(const Hdf5Reader& file, const std::string& name, const Make& make) {
  const std::string start = file.path().string() + ": ";
  try {
    return make();
  } catch (const Error& error) {
    if (std::string(error.what()).starts_with(start)) throw;
    fail(start, name, ": ", error.what());
  }
}

}  // namespace metatt::tn
