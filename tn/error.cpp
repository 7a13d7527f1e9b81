#include <metatt/tn/error.hpp>

namespace metatt::tn {

std::string joined(std::span<const std::string> words, std::string_view separator) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}

std::string shape_text(std::span<const Index> shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const Index extent : shape) {
    if (!text.empty()) text += "×";
    text += std::to_string(extent);
  }
  return text;
}

}  // namespace metatt::tn
