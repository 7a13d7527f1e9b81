#pragma once
/// A log of JSON lines.

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <fstream>

namespace metatt::apps {

/// One object a line; each is on its way to the disk when the call returns.
class RunLog {
 public:
  /// Empties the file unless the log `goes_on`. Throws Error naming it.
  explicit RunLog(const std::filesystem::path& file, bool goes_on = false);
  void write(const nlohmann::json& line);

 private:
  std::filesystem::path file_;
  std::ofstream stream_;
};

}  // namespace metatt::apps
