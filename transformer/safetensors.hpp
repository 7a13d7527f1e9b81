#pragma once
/// The safetensors format (https://github.com/huggingface/safetensors): an unsigned 64-bit
/// little-endian header length, a JSON header, the data. The reader refuses every file that breaks
/// a rule of the format; the message names the file and the rule.

#include <metatt/tn/tensor.hpp>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace metatt::transformer {

/// One tensor of a file, not yet converted.
struct SafetensorsEntry {
  std::string dtype;  ///< "F32", "BF16", "I64", …
  tn::Shape shape;
  std::span<const std::byte> bytes;  ///< in the mapped file; valid as long as the SafetensorsFile
};

/// A file mapped into memory, its header read and checked: length prefix (at most 100 MB of header,
/// inside the file), JSON with no key twice, known dtypes, extents ≥ 0 whose product fits 64 bits,
/// byte ranges that agree with the shapes and cover the data exactly, without overlap or hole,
/// metadata of strings only.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// In alphabetical order.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }
  /// Throws tn::Error naming file and tensor if there is none of this name.
  const SafetensorsEntry& entry(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The tensor converted from F16, BF16, F32 or F64 to T (float or double; F64 → float rounds).
  /// Throws tn::Error if it is missing, has another shape or dtype, or has an element that is not
  /// finite in T; the message names file, tensor and the first such index.
  template <class T>
  tn::Tensor<T> read(const std::string& name, const tn::Shape& expected_shape) const;

 private:
  struct Mapping;
  void read_header();

  std::filesystem::path path_;
  std::unique_ptr<Mapping> mapping_;
  std::map<std::string, SafetensorsEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor and the name it gets in a file.
template <class T>
struct NamedTensor {
  std::string name;
  tn::Tensor<T> tensor;
};

/// Throws tn::Error naming the first tensor with an element that is not finite: finite factors may
/// have a product that is none.
template <class T>
void check_finite(const char* function, std::span<const NamedTensor<T>> tensors);

/// Writes F32 (float) or F64 (double) tensors in alphabetical order of their names; the header is
/// padded with spaces to a multiple of 8 bytes. The file appears only when it is complete. Throws
/// tn::Error on a name that is given twice or reserved ("__metadata__"), and if writing fails.
template <class T>
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor<T>> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace metatt::transformer
