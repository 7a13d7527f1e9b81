#include <metatt/apps/event_file.hpp>

#include <metatt/tn/error.hpp>

#include <array>
#include <chrono>
#include <string_view>

#include <event.pb.h>

namespace metatt::apps {

namespace {

template <class Integer>
void append_little_endian(std::string& out, Integer value) {
  for (std::size_t i = 0; i < sizeof(Integer); ++i)
    out += static_cast<char>(value >> (8 * i) & 0xff);
}

events::Event event_now() {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  events::Event event;
  event.set_wall_time(now.count());
  return event;
}

/// CRC-32C (Castagnoli).
std::uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
      entries[i] = crc;
    }
    return entries;
  }();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes)
    crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

std::uint32_t masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

}  // namespace

EventFile::EventFile(const std::filesystem::path& folder, tn::Index first_step) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  file_ = folder / ("events.out.tfevents." + std::to_string(now.count()) + ".metatt");
  stream_.open(file_, std::ios::binary | std::ios::app);
  if (!stream_) tn::fail(file_.string(), ": cannot be written");
  events::Event version = event_now(), start = event_now();
  version.set_file_version("brain.Event:2");
  start.set_step(first_step);
  start.mutable_session_log()->set_status(events::SessionLog::START);
  write_record(version.SerializeAsString());
  write_record(start.SerializeAsString());
}

void remove_event_files(const std::filesystem::path& folder) {
  std::error_code ignored;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("events.out.tfevents.") && name.ends_with(".metatt"))
      files.push_back(entry.path());
  }
  for (const auto& file : files) std::filesystem::remove(file, ignored);
  std::filesystem::remove(folder, ignored);  // fails if it is not empty
}

void EventFile::write(tn::Index step, const std::vector<std::pair<std::string, double>>& scalars) {
  events::Event event = event_now();
  event.set_step(step);
  for (const auto& [name, value] : scalars) {
    events::Summary::Value& scalar = *event.mutable_summary()->add_value();
    scalar.set_tag(name);
    scalar.set_simple_value(static_cast<float>(value));
  }
  write_record(event.SerializeAsString());
}

void EventFile::write_record(const std::string& event) {
  std::string record;
  append_little_endian(record, static_cast<std::uint64_t>(event.size()));
  append_little_endian(record, masked_crc(record));
  record += event;
  append_little_endian(record, masked_crc(event));
  stream_.write(record.data(), static_cast<std::streamsize>(record.size())).flush();
  if (!stream_) tn::fail(file_.string(), ": writing failed");
}

}  // namespace metatt::apps
