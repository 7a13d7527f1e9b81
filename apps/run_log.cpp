#include <metatt/apps/run_log.hpp>
#include <metatt/tn/error.hpp>

#include <nlohmann/json.hpp>

namespace metatt::apps {

using nlohmann::json;

RunLog::RunLog(const std::filesystem::path& file, bool goes_on)
    : file_(file), stream_(file, goes_on ? std::ios::app : std::ios::trunc) {
  if (!stream_) tn::fail(file_.string(), ": cannot be written");
}

void RunLog::write(const json& line) {
  try {
    stream_ << line.dump() << std::endl;
  } catch (const json::type_error& error) {  // text that is no UTF-8, such as an odd path
    tn::fail(file_.string(), ": ", error.what());
  }
  if (!stream_) tn::fail(file_.string(), ": writing failed");
}

}  // namespace metatt::apps
