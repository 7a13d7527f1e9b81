/// TensorBoard's event files. The messages are those of TensorBoard 2.21's event_pb2, the
/// head of the first record is that of every file TensorFlow writes, and the check sum of
/// "123456789" that of TensorBoard's RecordWriter.

#include <boost/test/unit_test.hpp>

#include <metatt/apps/event_file.hpp>
#include <metatt/tn/files/file.hpp>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::apps;
using metatt::testing::check_error;
using metatt::testing::TemporaryFolder;

/// CRC-32C bit by bit, rotated and shifted as records have it.
std::uint32_t masked_check_sum(const std::string& bytes) {
  std::uint32_t sum = ~0u;
  for (const char byte : bytes) {
    sum ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ ((sum & 1) != 0 ? 0x82f63b78u : 0u);
  }
  sum = ~sum;
  return (sum >> 15 | sum << 17) + 0xa282ead8u;
}

template <class Number>
Number take(std::string& bytes) {
  Number number;
  BOOST_REQUIRE(bytes.size() >= sizeof number);
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.erase(0, sizeof number);
  return number;
}

std::string contents(const std::filesystem::path& folder) {
  std::string all;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    all += metatt::tn::read_file(file.path());
  return all;
}

/// The events of a file without their times: a field of nine bytes that comes first.
std::vector<std::string> events(std::string bytes) {
  std::vector<std::string> result;
  while (!bytes.empty()) {
    const std::string length_field = bytes.substr(0, 8);
    const auto length = take<std::uint64_t>(bytes);
    BOOST_TEST(take<std::uint32_t>(bytes) == masked_check_sum(length_field));
    BOOST_REQUIRE(bytes.size() >= length);
    const std::string event = bytes.substr(0, length);
    bytes.erase(0, length);
    BOOST_TEST(take<std::uint32_t>(bytes) == masked_check_sum(event));
    BOOST_TEST(event.front() == '\x09');
    result.push_back(event.substr(9));
  }
  return result;
}

BOOST_AUTO_TEST_SUITE(event_file)

BOOST_AUTO_TEST_CASE(the_check_sum_is_that_of_tensorboard) {
  BOOST_TEST(masked_check_sum("123456789") == 0xc78ab0e5u);
}

BOOST_AUTO_TEST_CASE(a_file_has_its_version_its_start_and_the_scalars_of_steps) {
  const TemporaryFolder folder;
  EventFile(folder / "runs", 3).write(7, {{"train/loss", 1.5}, {"x", 0.0}});
  const std::string bytes = contents(folder / "runs");
  BOOST_TEST(bytes.substr(0, 12) == std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22", 12));
  const std::vector<std::string> expected{
      "\x1a\x0d"
      "brain.Event:2",
      "\x10\x03\x3a\x02\x08\x01",
      std::string("\x10\x07\x2a\x1d\x0a\x11\x0a\x0atrain/loss\x15\x00\x00\xc0\x3f"
                  "\x0a\x08\x0a\x01x\x15\x00\x00\x00\x00",
                  33)};
  BOOST_TEST(events(bytes) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(files_of_earlier_runs_are_removed_and_nothing_else) {
  const TemporaryFolder folder;
  EventFile(folder / "runs", 0);
  folder.write("runs/notes.txt", "kept");
  remove_event_files(folder / "runs");
  BOOST_TEST(contents(folder / "runs") == "kept");
  std::filesystem::remove(folder / "runs/notes.txt");
  remove_event_files(folder / "runs");
  BOOST_TEST(!std::filesystem::exists(folder / "runs"));
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_made_is_an_error) {
  const TemporaryFolder folder;
  folder.write("runs", "a file");
  check_error([&] { EventFile(folder / "runs", 0); }, {"events.out.tfevents", "cannot be written"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
