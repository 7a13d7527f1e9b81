#include <metatt/transformer/text_data.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/causal_model_files.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/parallel.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

/// Makes the texts of a file; lines may be read by several threads.
class Reader {
 public:
  Reader(std::string file, const Tokenizer& tokenizer, const ModelConfig& config,
         std::int64_t max_length)
      : file_(std::move(file)), tokenizer_(tokenizer), config_(config), max_length_(max_length) {}

  /// Of one line of a JSONL file.
  TokenText of_line(const std::string& line, std::size_t number) const {
    const std::string where = file_ + ":" + std::to_string(number);
    if (line.find_first_not_of(" \t") == std::string::npos)
      tn::fail(where, ": expected a JSON object, found an empty line");
    const auto json = parse_json(line, where);
    const bool whole = json.is_object() && json.size() == 1 && json.contains("text");
    const bool split = json.is_object() && json.size() == 2 && json.contains("prompt") &&
                       json.contains("completion");
    if (!whole && !split)
      tn::fail(where, ": expected an object with \"text\", or with \"prompt\" and \"completion\"");
    if (whole) {
      const auto text = required<std::string>(json, "text", where);
      if (text.empty()) tn::fail(where, ": field \"text\": expected a text, found none");
      return made(text, {}, where);
    }
    const auto prompt = required<std::string>(json, "prompt", where);
    const auto completion = required<std::string>(json, "completion", where);
    if (completion.empty()) tn::fail(where, ": field \"completion\": expected a text, found none");
    return made(prompt + completion, encode_prompt(tokenizer_, config_, prompt), where);
  }

  /// Pieces of a stream, each but the last as long as it may be.
  std::vector<TokenText> of_stream(const std::string& text) const {
    std::vector<TokenText> texts;
    std::vector<TokenId> ids = tokenizer_.encode(text);
    if (ids.size() < 2)
      tn::fail(file_, ": expected a text of at least two tokens, found ", ids.size());
    const auto length = static_cast<std::size_t>(max_length_);
    // The first token of a piece is not predicted in it, so it is the last one of the one before.
    for (std::size_t begin = 0; begin + 1 < ids.size(); begin += length - 1) {
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto count = std::min(length, ids.size() - begin);
      texts.push_back({{first, first + static_cast<std::ptrdiff_t>(count)}, 1});
    }
    return texts;
  }

 private:
  TokenText made(const std::string& text, const std::vector<TokenId>& prompt,
                 const std::string& where) const {
    std::vector<TokenId> ids = encode_prompt(tokenizer_, config_, text);
    // A token that prompt and completion share is none of the prompt's, and is predicted.
    const auto common = std::ranges::mismatch(ids, prompt).in1 - ids.begin();
    if (!config_.eos_token_id.empty())
      ids.push_back(static_cast<TokenId>(config_.eos_token_id.front()));
    if (ids.size() < 2)
      tn::fail(where, ": expected a text of at least two tokens, found ", ids.size());
    const auto given = static_cast<std::size_t>(std::max<std::ptrdiff_t>(1, common));
    if (static_cast<std::int64_t>(given) >= max_length_)
      tn::fail(where, ": a prompt of ", given, " tokens leaves no room for a completion in ",
               max_length_);
    const bool cut = static_cast<std::int64_t>(ids.size()) > max_length_;
    if (cut) ids.resize(static_cast<std::size_t>(max_length_));
    return {std::move(ids), static_cast<std::int64_t>(given), cut};
  }

  std::string file_;
  const Tokenizer& tokenizer_;
  const ModelConfig& config_;
  std::int64_t max_length_;
};

}  // namespace

std::string read_utf8(const std::filesystem::path& file) {
  std::string text = tn::read_file(file);
  if (!is_valid_utf8(text)) {
    const auto place = std::ranges::mismatch(valid_utf8(text), text).in2;
    tn::fail(file.string(), ":", 1 + std::count(text.begin(), place, '\n'),
             ": expected UTF-8, found something else at byte ", place - text.begin());
  }
  return text;
}

std::vector<TokenText> read_texts(const std::filesystem::path& file, const Tokenizer& tokenizer,
                                  const ModelConfig& config, std::int64_t max_length) {
  if (max_length < 2) tn::fail("max_seq_length: expected at least 2, found ", max_length);
  const std::string text = read_utf8(file);
  const Reader reader(file.string(), tokenizer, config, max_length);
  if (file.extension() != ".jsonl") return reader.of_stream(text);
  const auto lines = tn::split_lines(text);
  if (lines.empty()) tn::fail(file.string(), ": expected a JSON object a line, found no line");
  std::vector<TokenText> texts(lines.size());
  for_each_in_parallel(lines.size(),
                       [&](std::size_t i) { texts[i] = reader.of_line(lines[i], i + 1); });
  return texts;
}

}  // namespace metatt::transformer
