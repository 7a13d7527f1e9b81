#include <boost/test/unit_test.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/safetensors.hpp>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using boost::unit_test::precondition;
using metatt::testing::check_error;
using metatt::testing::TemporaryFolder;
using metatt::tn::Shape;
using metatt::tn::Tensor;

BOOST_AUTO_TEST_SUITE(safetensors)

/// A file with this header, unpadded, and these bytes of data.
std::string file_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string prefix(8, '\0');
  std::memcpy(prefix.data(), &size, 8);
  return prefix + header + data;
}

std::string little_endian(std::initializer_list<std::uint16_t> values) {
  std::string bytes;
  for (const std::uint16_t value : values) {
    bytes += {static_cast<char>(value & 255), static_cast<char>(value >> 8)};
  }
  return bytes;
}

/// One tensor "x" with this dtype, shape and data.
std::string one_tensor(const std::string& dtype, const std::string& shape,
                       const std::string& data) {
  return file_bytes(R"({"x":{"dtype":")" + dtype + R"(","shape":)" + shape +
                        R"(,"data_offsets":[0,)" + std::to_string(data.size()) + "]}}",
                    data);
}

std::vector<NamedTensor<float>> sample() {
  return {{"weight", Tensor<float>::from({2, 3}, {1, -2, 3.5f, 4, 5, 1e-30f})},
          {"bias", Tensor<float>::from({}, {0.25f})},
          {"empty", Tensor<float>::zeros({0, 4})}};
}

void write_sample(const std::filesystem::path& path) {
  write_safetensors<float>(path, sample(), {{"format", "pt"}});
}

BOOST_AUTO_TEST_CASE(written_tensors_read_back_the_same) {
  const TemporaryFolder folder;
  write_sample(folder / "a.safetensors");
  const SafetensorsFile file(folder / "a.safetensors");
  BOOST_TEST(file.names() == (std::vector<std::string>{"bias", "empty", "weight"}),
             boost::test_tools::per_element());
  BOOST_TEST(file.metadata().at("format") == "pt");
  for (const auto& [name, tensor] : sample()) {
    const Tensor<float> read = file.read<float>(name, tensor.shape());
    BOOST_TEST(read.to_vector() == tensor.to_vector(), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(double_tensors_keep_all_digits) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor<double>> tensors = {
      {"x", Tensor<double>::from({2}, {1.0 / 3.0, 1e300})}};
  write_safetensors<double>(folder / "a", tensors, {});
  const SafetensorsFile file(folder / "a");
  BOOST_TEST(file.entry("x").dtype == "F64");
  BOOST_TEST(file.read<double>("x", {2}).to_vector() == tensors[0].tensor.to_vector(),
             boost::test_tools::per_element());
  check_error([&] { file.read<float>("x", {2}); }, {"\"x\"", "finite", "inf", "[1]"});
}

BOOST_AUTO_TEST_CASE(the_written_bytes_are_those_of_the_format) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor<float>> tensors = {{"b", Tensor<float>::from({1}, {1.0f})},
                                                   {"a", Tensor<float>::from({1}, {-2.0f})}};
  write_safetensors<float>(folder / "a", tensors, {});
  const std::string header = R"({"a":{"data_offsets":[0,4],"dtype":"F32","shape":[1]},)"
                             R"("b":{"data_offsets":[4,8],"dtype":"F32","shape":[1]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  const std::string data("\x00\x00\x00\xC0\x00\x00\x80\x3F", 8);
  BOOST_TEST(metatt::tn::read_file(folder / "a") == file_bytes(padded, data));
}

// Golden bits: numpy float16 and ml_dtypes bfloat16.
BOOST_AUTO_TEST_CASE(half_precision_is_converted_exactly) {
  const TemporaryFolder folder;
  const SafetensorsFile half(folder.write(
      "half",
      one_tensor("F16", "[2,3]", little_endian({0x3c00, 0xc100, 0x7bff, 0x0400, 0x0001, 0x3555}))));
  BOOST_TEST(half.read<double>("x", {2, 3}).to_vector() ==
                 (std::vector<double>{1, -2.5, 65504, 6.103515625e-05, 5.960464477539063e-08,
                                      0.333251953125}),
             boost::test_tools::per_element());
  const SafetensorsFile brain(folder.write(
      "brain", one_tensor("BF16", "[5]", little_endian({0x3f80, 0xc020, 0x4049, 0x0001, 0x7f62}))));
  BOOST_TEST(
      brain.read<double>("x", {5}).to_vector() ==
          (std::vector<double>{1, -2.5, 3.140625, 9.183549615799121e-41, 3.00405527047391e+38}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(numbers_that_are_not_finite_are_refused_with_their_index) {
  const TemporaryFolder folder;
  const SafetensorsFile half(folder.write(
      "half", one_tensor("F16", "[2,2]", little_endian({0x3c00, 0x3c00, 0xfc00, 0x7e00}))));
  check_error([&] { half.read<float>("x", {2, 2}); }, {"half", "\"x\"", "-inf", "[1, 0]"});
  const std::vector<NamedTensor<float>> tensors = {
      {"weight", Tensor<float>::from({3}, {0, 1, std::numeric_limits<float>::quiet_NaN()})}};
  write_safetensors<float>(folder / "nan", tensors, {});
  const SafetensorsFile file(folder / "nan");
  check_error([&] { file.read<float>("weight", {3}); }, {"weight", "nan", "[2]"});
}

BOOST_AUTO_TEST_CASE(missing_tensors_and_wrong_shapes_are_refused) {
  const TemporaryFolder folder;
  write_sample(folder / "a.safetensors");
  const SafetensorsFile file(folder / "a.safetensors");
  check_error(
      [&] {
        file.read<float>("wieght", {2, 3});
      },
      {"a.safetensors", "\"wieght\"", "3 tensors"});
  check_error(
      [&] {
        file.read<float>("weight", {3, 2});
      },
      {"a.safetensors", "\"weight\"", "expected shape 3×2", "found 2×3"});
  const SafetensorsFile integers(folder.write("b", one_tensor("I64", "[1]", std::string(8, '\1'))));
  check_error([&] { integers.read<float>("x", {1}); }, {"\"x\"", "F32", "found I64"});
}

BOOST_AUTO_TEST_CASE(names_that_would_clash_are_not_written) {
  const TemporaryFolder folder;
  const Tensor<float> one = Tensor<float>::zeros({1});
  const std::vector<NamedTensor<float>> twice = {{"x", one}, {"x", one}};
  check_error([&] { write_safetensors<float>(folder / "a", twice, {}); }, {"\"x\" twice"});
  const std::vector<NamedTensor<float>> reserved = {{"__metadata__", one}};
  check_error([&] { write_safetensors<float>(folder / "a", reserved, {}); }, {"reserved"});
  BOOST_TEST(std::filesystem::is_empty(folder.path()));
}

void check_refused(const std::string& bytes, std::initializer_list<std::string_view> fragments) {
  const TemporaryFolder folder;
  const auto path = folder.write("bad.safetensors", bytes);
  check_error([&] { const SafetensorsFile file(path); }, {path.string()});
  check_error([&] { const SafetensorsFile file(path); }, fragments);
}

/// A header of one tensor "x", with these values, before `data_size` bytes of data.
std::string entry_file(const std::string& entry, std::size_t data_size) {
  return file_bytes("{\"x\":" + entry + "}", std::string(data_size, '\0'));
}

BOOST_AUTO_TEST_CASE(broken_prefixes_and_headers_are_refused) {
  check_refused("", {"found 0 bytes"});
  check_refused("1234567", {"found 7 bytes"});
  check_refused(std::string(8, '\xFF') + "{}", {"at most 2 bytes", "18446744073709551615"});
  check_refused(file_bytes("", ""), {"begins with {"});
  check_refused(file_bytes("[]", ""), {"begins with {"});
  check_refused(file_bytes("{\"x\":", ""), {"header", "byte"});
  check_refused(file_bytes("{\"\xFF\":1}", ""), {"header", "byte"});
  check_refused(file_bytes("{} x", ""), {"header", "byte"});
  check_refused(file_bytes(R"({"__metadata__":{"a":1}})", ""),
                {"__metadata__", "a string", "found 1"});
  check_refused(file_bytes(R"({"__metadata__":null})", ""), {"__metadata__", "object"});
  check_refused(file_bytes("{}", "x"), {"expected 0 bytes of data", "found 1"});
}

BOOST_AUTO_TEST_CASE(broken_entries_are_refused) {
  check_refused(entry_file("1", 0), {"\"x\"", "expected an object"});
  check_refused(entry_file(R"({"dtype":"F31","shape":[1],"data_offsets":[0,4]})", 4),
                {"\"x\"", "found \"F31\""});
  check_refused(entry_file(R"({"dtype":"F32","shape":[1]})", 4), {"\"x\"", "data_offsets"});
  check_refused(entry_file(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})", 4),
                {"\"x\"", "shape", "found an array"});
  check_refused(entry_file(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", 4),
                {"\"x\"", "found -1"});
  check_refused(
      entry_file(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0),
      {"\"x\"", "fits 64 bits"});
  check_refused(entry_file(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", 4),
                {"\"x\"", "expected 8 bytes", "of 4 bytes"});
  check_refused(entry_file(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 4),
                {"\"x\"", "inside the 4 bytes", "[0,8]"});
  check_refused(entry_file(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4),
                {"\"x\"", "[4,0]"});
  check_refused(entry_file(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1})", 4),
                {"\"x\"", "\"extra\""});
}

BOOST_AUTO_TEST_CASE(overlaps_holes_and_repeated_names_are_refused) {
  const auto entry = [](const std::string& name, int begin, int end) {
    return "\"" + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
           R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  const auto two = [&](const std::string& first, const std::string& second, std::size_t size) {
    return file_bytes("{" + first + "," + second + "}", std::string(size, '\0'));
  };
  check_refused(two(entry("a", 0, 4), entry("b", 3, 8), 8), {"\"b\"", "overlap", "3"});
  check_refused(two(entry("a", 0, 4), entry("b", 0, 4), 4), {"\"b\"", "overlap"});
  check_refused(two(entry("a", 0, 4), entry("b", 5, 8), 8), {"\"b\"", "hole", "5"});
  check_refused(two(entry("a", 0, 4), entry("b", 4, 8), 9), {"expected 8 bytes", "found 9"});
  check_refused(two(entry("a", 0, 4), entry("a", 4, 8), 8), {"\"a\" twice"});
}

/// Reads everything; true if it equals the sample, false on a tn::Error. Any other exception or
/// another content under the same names fails the test.
bool equals_sample_or_error(const std::filesystem::path& path) {
  try {
    const SafetensorsFile file(path);
    for (const auto& [name, tensor] : sample()) {
      BOOST_CHECK_MESSAGE(file.read<float>(name, tensor.shape()).to_vector() == tensor.to_vector(),
                          "\"" << name << "\" was read with other values");
    }
    return true;
  } catch (const metatt::tn::Error&) {
    return false;
  }
}

BOOST_AUTO_TEST_CASE(a_file_cut_short_anywhere_is_refused) {
  const TemporaryFolder folder;
  write_sample(folder / "whole");
  const std::string bytes = metatt::tn::read_file(folder / "whole");
  BOOST_TEST(equals_sample_or_error(folder / "whole"));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto path = folder.write("cut", bytes.substr(0, size));
    BOOST_CHECK_THROW(const SafetensorsFile file(path), metatt::tn::Error);
  }
  const auto path = folder.write("cut", bytes + '\0');
  BOOST_CHECK_THROW(const SafetensorsFile file(path), metatt::tn::Error);
}

BOOST_AUTO_TEST_CASE(a_changed_header_byte_is_refused_or_harmless) {
  const TemporaryFolder folder;
  write_sample(folder / "whole");
  const std::string bytes = metatt::tn::read_file(folder / "whole");
  const std::size_t header_end = bytes.find('}', bytes.find("weight")) + 2;
  int refused = 0, harmless = 0;
  for (std::size_t i = 0; i < header_end; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      // Only tn::Error is caught there: another exception or a crash fails this test.
      ++(equals_sample_or_error(folder.write("changed", changed)) ? harmless : refused);
    }
  }
  // What can change without notice is the metadata ("format": "pt") and white space.
  BOOST_TEST(harmless < 8 * 30);
  BOOST_TEST(refused > 8 * 100);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
