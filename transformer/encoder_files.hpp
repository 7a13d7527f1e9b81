#pragma once
/// Encoders to and from Hugging Face's model.safetensors.

#include <metatt/transformer/encoder.hpp>

#include <filesystem>
#include <functional>

namespace metatt::transformer {

/// Gives encoder weights from a model file under our names (queries, keys and values joined).
/// Accepts the file's names with or without "bert." before them. Its errors name file, tensor,
/// expected and found.
template <class T>
class EncoderReader {
 public:
  explicit EncoderReader(const std::filesystem::path& file);
  /// For the constructor of Encoder.
  Tensor<T> operator()(const std::string& name, const Shape& shape) const;
  /// Whether the file has a tensor of this name (as "bert.NAME" or "NAME").
  bool contains(const std::string& name) const;

 private:
  std::string stored_name(const std::string& name) const;
  std::shared_ptr<SafetensorsFile> file_;
};

/// The encoder's weights under Hugging Face's names, "bert." before each, queries, keys and values
/// apart. `change(layer, type, weight)` may alter a matrix on its way (merging an adapter); may be
/// empty.
template <class T>
using MatrixChange = std::function<Tensor<T>(Index layer, MatrixType type, Tensor<T> weight)>;
template <class T>
std::vector<NamedTensor<T>> encoder_tensors(const Encoder<T>& encoder,
                                            const MatrixChange<T>& change = {});

}  // namespace metatt::transformer
