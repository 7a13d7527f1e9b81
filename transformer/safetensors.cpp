#include <metatt/transformer/safetensors.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>
#include <system_error>

namespace metatt::transformer {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

namespace {

using nlohmann::json;
using tn::Index;

constexpr std::size_t prefix_size = 8;
constexpr std::uint64_t max_header_size = 100'000'000;
const std::string metadata_key = "__metadata__";

/// Bytes of an element.
const std::map<std::string, Index> element_sizes = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
    {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
    {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8},
};

float half_to_float(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
}

float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Elements of type Stored, which may lie unaligned, each brought to T by `convert`.
template <class T, class Stored, class Convert>
std::vector<T> convert_all(std::span<const std::byte> bytes, const Convert& convert) {
  std::vector<T> values(bytes.size() / sizeof(Stored));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = static_cast<T>(convert(stored));
  }
  return values;
}

/// Shape and byte range of one header entry; `where` (file and tensor) begins every error.
SafetensorsEntry read_entry(const json& description, std::span<const std::byte> data,
                            const std::string& where) {
  SafetensorsEntry entry;
  entry.dtype = required<std::string>(description, "dtype", where);
  for (const auto& field : description.items()) {
    const std::string& key = field.key();
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      tn::fail(where, ": expected the fields dtype, shape and data_offsets, found \"", key, "\"");
    }
  }
  const auto element_size = element_sizes.find(entry.dtype);
  if (element_size == element_sizes.end()) {
    tn::fail(where, ": expected a dtype such as F32, F16 or I64, found \"", entry.dtype, "\"");
  }
  entry.shape = required<std::vector<Index>>(description, "shape", where);
  Index size = element_size->second;
  for (const Index extent : entry.shape) {
    if (extent < 0) tn::fail(where, ": expected extents of at least 0, found ", extent);
    if (__builtin_mul_overflow(size, extent, &size)) {
      tn::fail(where, ": expected a size that fits 64 bits, found shape ",
               tn::shape_text(entry.shape));
    }
  }
  const auto offsets = required<std::vector<Index>>(description, "data_offsets", where);
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0] ||
      offsets[1] > static_cast<Index>(data.size())) {
    tn::fail(where, ": expected data_offsets [begin, end] inside the ", data.size(),
             " bytes of data, found ", description["data_offsets"].dump());
  }
  if (offsets[1] - offsets[0] != size) {
    tn::fail(where, ": expected ", size, " bytes for shape ", tn::shape_text(entry.shape), " of ",
             entry.dtype, ", found data_offsets of ", offsets[1] - offsets[0], " bytes");
  }
  entry.bytes = data.subspan(static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(size));
  return entry;
}

/// Every byte of data belongs to exactly one tensor.
void check_cover(const std::map<std::string, SafetensorsEntry>& entries,
                 std::span<const std::byte> data, const std::string& file) {
  struct Range {
    std::size_t begin, end;
    const std::string* name;
  };
  std::vector<Range> ranges;
  for (const auto& [name, entry] : entries) {
    const std::size_t begin = static_cast<std::size_t>(entry.bytes.data() - data.data());
    ranges.push_back({begin, begin + entry.bytes.size(), &name});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& left, const Range& right) {
    return std::pair(left.begin, left.end) < std::pair(right.begin, right.end);
  });
  std::size_t covered = 0;
  for (const Range& range : ranges) {
    if (range.begin != covered) {
      tn::fail(
          file, ": tensor \"", *range.name, "\": expected its data at byte ", covered,
          range.begin < covered ? ", found an overlap from byte " : ", found a hole up to byte ",
          range.begin);
    }
    covered = range.end;
  }
  if (covered != data.size()) {
    tn::fail(file, ": expected ", covered, " bytes of data as in the header, found ", data.size());
  }
}

/// "[1, 2]" for the row-major position `offset`.
std::string index_text(std::size_t offset, const tn::Shape& shape) {
  std::string text;
  for (std::size_t mode = shape.size(); mode-- > 0;) {
    const std::size_t extent = static_cast<std::size_t>(shape[mode]);
    text = std::to_string(offset % extent) + (text.empty() ? "" : ", ") + text;
    offset /= extent;
  }
  return "[" + text + "]";
}

}  // namespace

struct SafetensorsFile::Mapping {
  std::span<const std::byte> bytes;

  explicit Mapping(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0) {
      const int error = errno;
      if (descriptor >= 0) ::close(descriptor);
      tn::fail(path.string(),
               ": expected a safetensors file, found: ", std::generic_category().message(error));
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    if (!S_ISREG(status.st_mode) || size < prefix_size) {
      ::close(descriptor);
      tn::fail(path.string(), ": expected a safetensors file, found ",
               S_ISREG(status.st_mode) ? std::to_string(size) + " bytes" : "no regular file");
    }
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (address == MAP_FAILED) {
      tn::fail(path.string(), ": cannot be mapped: ", std::generic_category().message(error));
    }
    bytes = {static_cast<const std::byte*>(address), size};
  }
  ~Mapping() { ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size()); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), mapping_(std::make_unique<Mapping>(path)) {
  read_header();
}

SafetensorsFile::~SafetensorsFile() = default;

void SafetensorsFile::read_header() {
  const std::string file = path_.string();
  const std::span<const std::byte> bytes = mapping_->bytes;
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), prefix_size);
  const std::uint64_t limit = std::min<std::uint64_t>(max_header_size, bytes.size() - prefix_size);
  if (header_size > limit) {
    tn::fail(file, ": expected a header of at most ", limit, " bytes, found a header length of ",
             header_size);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + prefix_size,
                              static_cast<std::size_t>(header_size));
  if (!text.starts_with('{')) tn::fail(file, ": expected a header that begins with {");
  const json header = parse_json(text, file + ": header");
  const std::span<const std::byte> data = bytes.subspan(prefix_size + text.size());
  for (const auto& field : header.items()) {
    if (field.key() != metadata_key) {
      entries_[field.key()] =
          read_entry(field.value(), data, file + ": tensor \"" + field.key() + "\"");
      continue;
    }
    if (!field.value().is_object()) {
      tn::fail(file, ": ", metadata_key, ": expected an object of strings, found ",
               field.value().type_name());
    }
    for (const auto& note : field.value().items()) {
      metadata_[note.key()] =
          required<std::string>(field.value(), note.key(), file + ": " + metadata_key);
    }
  }
  check_cover(entries_, data, file);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const SafetensorsEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto place = entries_.find(name);
  if (place == entries_.end()) {
    tn::fail(path_.string(), ": expected a tensor \"", name, "\", found ", entries_.size(),
             " tensors, none of this name");
  }
  return place->second;
}

template <class T>
tn::Tensor<T> SafetensorsFile::read(const std::string& name,
                                    const tn::Shape& expected_shape) const {
  const SafetensorsEntry& stored = entry(name);
  const std::string where = path_.string() + ": tensor \"" + name + "\"";
  if (stored.shape != expected_shape) {
    tn::fail(where, ": expected shape ", tn::shape_text(expected_shape), ", found ",
             tn::shape_text(stored.shape));
  }
  std::vector<T> values;
  if (stored.dtype == "F32") {
    values = convert_all<T, float>(stored.bytes, std::identity());
  } else if (stored.dtype == "F64") {
    values = convert_all<T, double>(stored.bytes, std::identity());
  } else if (stored.dtype == "F16") {
    values = convert_all<T, std::uint16_t>(stored.bytes, half_to_float);
  } else if (stored.dtype == "BF16") {
    values = convert_all<T, std::uint16_t>(stored.bytes, bfloat_to_float);
  } else {
    tn::fail(where, ": expected dtype F16, BF16, F32 or F64, found ", stored.dtype);
  }
  const auto bad =
      std::find_if(values.begin(), values.end(), [](T value) { return !std::isfinite(value); });
  if (bad != values.end()) {
    tn::fail(where, ": expected finite numbers, found ", *bad, " at index ",
             index_text(static_cast<std::size_t>(bad - values.begin()), stored.shape));
  }
  return tn::Tensor<T>::from(stored.shape, std::span<const T>(values));
}

template <class T>
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor<T>> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::map<std::string, const tn::Tensor<T>*> sorted;
  for (const NamedTensor<T>& named : tensors) {
    if (named.name == metadata_key || !sorted.emplace(named.name, &named.tensor).second) {
      tn::fail(path.string(), ": expected a name of its own for each tensor, found \"", named.name,
               named.name == metadata_key ? "\", which is reserved" : "\" twice");
    }
  }
  json header = json::object();
  if (!metadata.empty()) header[metadata_key] = metadata;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : sorted) {
    if (tensor->empty()) tn::fail(path.string(), ": tensor \"", name, "\" has no memory");
    const std::size_t end = offset + static_cast<std::size_t>(tensor->size()) * sizeof(T);
    header[name] = {{"dtype", sizeof(T) == 4 ? "F32" : "F64"},
                    {"shape", tensor->shape()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception& error) {
    tn::fail(path.string(), ": expected names and metadata in UTF-8, found: ", error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t header_size = text.size();

  tn::AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&header_size), prefix_size});
  file.write(text);
  for (const auto& [name, tensor] : sorted) {
    const std::vector<T> values = tensor->to_vector();
    file.write({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
  }
  file.commit();
}

template <class T>
void check_finite(const char* function, std::span<const NamedTensor<T>> tensors) {
  for (const auto& [name, tensor] : tensors)
    if (!tn::backend::all_finite(tn::backend::queue(), tensor.size(), tensor.data()))
      tn::fail(function, ": \"", name, "\" would have infinite elements");
}

#define METATT_INSTANTIATE(T)                                                                    \
  template void check_finite(const char*, std::span<const NamedTensor<T>>);                      \
  template tn::Tensor<T> SafetensorsFile::read(const std::string&, const tn::Shape&) const;      \
  template void write_safetensors(const std::filesystem::path&, std::span<const NamedTensor<T>>, \
                                  const std::map<std::string, std::string>&)
METATT_INSTANTIATE(float);
METATT_INSTANTIATE(double);
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
