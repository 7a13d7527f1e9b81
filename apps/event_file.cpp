#include <metatt/apps/event_file.hpp>

#include <metatt/tn/error.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <string_view>

namespace metatt::apps {

namespace {

// Protocol buffers: a field is its number and wire type, then its value.
enum class WireType { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

template <class Integer>
void append_little_endian(std::string& out, Integer value) {
  for (std::size_t i = 0; i < sizeof(Integer); ++i)
    out += static_cast<char>(value >> (8 * i) & 0xff);
}

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7f) | 0x80);
  out += static_cast<char>(value);
}

void append_key(std::string& out, int field, WireType type) {
  append_varint(out, static_cast<std::uint64_t>(field << 3 | static_cast<int>(type)));
}

void append_bytes(std::string& out, int field, std::string_view bytes) {
  append_key(out, field, WireType::bytes);
  append_varint(out, bytes.size());
  out += bytes;
}

/// An Event with its time and step; `what` goes behind them.
std::string event(tn::Index step, int field, std::string_view what) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  std::string out;
  append_key(out, 1, WireType::fixed64);  // wall_time
  append_little_endian(out, std::bit_cast<std::uint64_t>(now.count()));
  append_key(out, 2, WireType::varint);  // step
  append_varint(out, static_cast<std::uint64_t>(step));
  append_bytes(out, field, what);
  return out;
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
  write_record(event(0, 3, "brain.Event:2"));  // file_version
  std::string start;
  append_key(start, 1, WireType::varint);  // SessionLog.status: START
  append_varint(start, 1);
  write_record(event(first_step, 7, start));
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
  std::string summary;
  for (const auto& [name, value] : scalars) {
    std::string scalar;
    append_bytes(scalar, 1, name);             // tag
    append_key(scalar, 2, WireType::fixed32);  // simple_value
    append_little_endian(scalar, std::bit_cast<std::uint32_t>(static_cast<float>(value)));
    append_bytes(summary, 1, scalar);
  }
  write_record(event(step, 5, summary));
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
