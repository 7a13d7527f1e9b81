#include <metatt/transformer/weight_files.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <nlohmann/json.hpp>

namespace metatt::transformer {

WeightFiles::WeightFiles(const std::filesystem::path& folder)
    : path_(folder / "model.safetensors") {
  const auto index = folder / "model.safetensors.index.json";
  if (!std::filesystem::exists(path_) && std::filesystem::exists(index)) {
    path_ = index;
    read_index();
    return;
  }
  for (const char* other : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (!std::filesystem::exists(path_) && std::filesystem::exists(folder / other))
      tn::fail((folder / other).string(), ": files of PyTorch (.bin) are not read: expected ",
               "model.safetensors, which transformers' save_pretrained writes");
  const auto file = std::make_shared<const SafetensorsFile>(path_);
  for (const std::string& name : file->names()) files_[name] = file;
}

void WeightFiles::read_index() {
  const std::string source = path_.string();
  const nlohmann::json index = parse_json(tn::read_file(path_), source);
  if (!index.contains("weight_map") || !index["weight_map"].is_object())
    tn::fail(source, ": field \"weight_map\": expected an object of tensor and file names");
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> shards;
  for (const auto& [name, value] : index["weight_map"].items()) {
    const std::string file = required<std::string>(index["weight_map"], name, source);
    if (std::filesystem::path(file).filename() != file)
      tn::fail(source, ": tensor \"", name, "\": expected a file of the same folder, found \"",
               file, "\"");
    auto& shard = shards[file];
    if (!shard) shard = std::make_shared<const SafetensorsFile>(path_.parent_path() / file);
    if (!shard->contains(name))
      tn::fail(source, ": tensor \"", name, "\" should be in ", file, ", which does not have it");
    files_[name] = shard;
  }
}

std::vector<std::string> WeightFiles::names() const {
  std::vector<std::string> result;
  for (const auto& [name, file] : files_) result.push_back(name);
  return result;
}

template <class T>
tn::Tensor<T> WeightFiles::read(const std::string& name, const tn::Shape& expected_shape) const {
  const auto found = files_.find(name);
  if (found == files_.end())
    tn::fail(path_.string(), ": expected a tensor \"", name, "\" of shape ",
             tn::shape_text(expected_shape), ", found none of this name");
  return found->second->read<T>(name, expected_shape);
}

template tn::Tensor<float> WeightFiles::read(const std::string&, const tn::Shape&) const;
template tn::Tensor<double> WeightFiles::read(const std::string&, const tn::Shape&) const;

}  // namespace metatt::transformer
