/// encode-lines FOLDER < TEXT: the ids of every line, by the tokenizer of a folder, and on the
/// standard error how fast. For fixtures/compare_tokenizers.py.

#include <metatt/transformer/parallel.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

int main(int count, char** arguments) try {
  if (count != 2) {
    std::cerr << "usage: encode-lines FOLDER < TEXT\n";
    return 2;
  }
  const auto tokenizer = metatt::transformer::read_tokenizer(arguments[1]);
  const std::string text(std::istreambuf_iterator<char>(std::cin), {});
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::vector<metatt::transformer::TokenId>> ids(lines.size());
  metatt::transformer::for_each_in_parallel(
      lines.size(), [&](std::size_t i) { ids[i] = tokenizer->encode(lines[i]); });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  for (const auto& line : ids) {
    for (const auto id : line) std::cout << id << ' ';
    std::cout << '\n';
  }
  std::cerr << static_cast<double>(text.size()) / 1e6 / seconds.count() << " MB/s\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 2;
}
