#pragma once
/// The tensors of a model folder, in one safetensors file or in several with an index.

#include <metatt/transformer/safetensors.hpp>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace metatt::transformer {

/// model.safetensors of a folder, or the shards that model.safetensors.index.json names. Throws
/// tn::Error naming the file on a folder without either (or with PyTorch's own files instead), an
/// index that is none or that names a file outside the folder, and a shard without the tensors it
/// should have.
class WeightFiles {
 public:
  explicit WeightFiles(const std::filesystem::path& folder);

  /// The file or index that an error about a missing tensor names.
  const std::filesystem::path& path() const { return path_; }
  bool contains(const std::string& name) const { return files_.contains(name); }
  /// In alphabetical order.
  std::vector<std::string> names() const;
  /// As SafetensorsFile::read.
  template <class T>
  tn::Tensor<T> read(const std::string& name, const tn::Shape& expected_shape) const;

 private:
  void read_index();

  std::filesystem::path path_;
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> files_;  ///< by tensor
};

}  // namespace metatt::transformer
