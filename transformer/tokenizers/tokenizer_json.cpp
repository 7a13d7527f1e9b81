#include <metatt/transformer/tokenizers/tokenizer_json.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/tokenizers/byte_level.hpp>
#include <metatt/transformer/tokenizers/sentence_piece.hpp>
#include <metatt/transformer/tokenizers/tokenizer_settings.hpp>
#include <metatt/transformer/tokenizers/wordpiece.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace metatt::transformer {

namespace {

using nlohmann::json;

/// Reads one tokenizer.json.
class TokenizerJson {
 public:
  explicit TokenizerJson(const std::filesystem::path& path)
      : path_(path),
        source_(path.string()),
        settings_(path.parent_path()),
        root_(parse_json(tn::read_file(path), source_)) {
    if (!root_.is_object()) tn::fail(source_, ": expected a JSON object");
    model_ = &object(root_, "model");
  }

  std::unique_ptr<Tokenizer> read() const {
    const auto type = required<std::string>(*model_, "type", source_);
    if (type == "WordPiece") return word_piece();
    if (type != "BPE")
      tn::fail(source_, ": field \"model.type\": expected WordPiece or BPE, found \"", type, "\"");
    for (const char* field : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"})
      if (const json value = model_->value(field, json()); !value.is_null() && value != "")
        tn::fail(source_, ": field \"model.", field, "\": expected none, found ", value.dump());
    return step(root_.value("pre_tokenizer", json()), "ByteLevel").is_null() ? sentence_piece()
                                                                             : byte_level();
  }

 private:
  const json& object(const json& parent, const std::string& field) const {
    const auto place = parent.find(field);
    if (place == parent.end() || !place->is_object())
      tn::fail(source_, ": field \"", field, "\": expected an object, found ",
               place == parent.end() ? "nothing" : place->dump());
    return *place;
  }

  [[noreturn]] void refuse(const std::string& field, const json& found) const {
    std::string text = found.dump();
    if (text.size() > 200) text = text.substr(0, 200) + "…";
    tn::fail(source_, ": field \"", field, "\": not supported: ", text);
  }

  /// The steps of a sequence, or the one that stands alone, or none.
  static std::vector<json> steps(const json& value) {
    if (value.is_null()) return {};
    if (value.value("type", "") != "Sequence") return {value};
    for (const char* list : {"normalizers", "pretokenizers", "processors", "decoders"})
      if (value.contains(list)) return value[list].get<std::vector<json>>();
    return {};
  }
  static json step(const json& value, const std::string& type) {
    for (const json& one : steps(value))
      if (one.is_object() && one.value("type", "") == type) return one;
    return {};
  }

  /// Refuses a step back to text that is none of those with which ids become text here.
  void check_decoder(std::initializer_list<std::string_view> known) const {
    for (const json& one : steps(root_.value("decoder", json())))
      if (std::ranges::find(known, one.value("type", "")) == known.end()) refuse("decoder", one);
  }

  std::vector<std::string> entries() const {
    std::map<TokenId, std::string> by_id;
    const auto add = [&](const std::string& entry, const json& id) {
      if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() > 1 << 24)
        tn::fail(source_, ": \"", entry, "\": expected an id of 0 … 2^24, found ", id.dump());
      const auto [place, is_new] = by_id.emplace(id.get<TokenId>(), entry);
      if (!is_new && place->second != entry)
        tn::fail(source_, ": id ", id.dump(), ": stands for \"", place->second, "\" and for \"",
                 entry, "\"");
    };
    for (const auto& [entry, id] : object(*model_, "vocab").items()) add(entry, id);
    for (const json& token : root_.value("added_tokens", json::array()))
      add(required<std::string>(token, "content", source_), token.value("id", json()));
    // Some files skip a few ids; a huge one would only cost memory.
    if (!by_id.empty() && static_cast<std::size_t>(by_id.rbegin()->first) > 2 * by_id.size() + 1000)
      tn::fail(source_, ": expected ids near 0 … ", by_id.size() - 1, ", found ",
               by_id.rbegin()->first);
    std::vector<std::string> result(
        by_id.empty() ? 0 : static_cast<std::size_t>(by_id.rbegin()->first) + 1);
    for (auto& [id, entry] : by_id) result[static_cast<std::size_t>(id)] = entry;
    return result;
  }

  std::vector<MergedEntries> merges() const {
    std::vector<MergedEntries> result;
    for (const json& merge : model_->value("merges", json::array())) {
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        result.emplace_back(merge[0], merge[1]);
        continue;
      }
      const std::string text = merge.is_string() ? merge.get<std::string>() : "";
      const std::size_t blank = text.find(' ');
      if (blank == std::string::npos || text.find(' ', blank + 1) != std::string::npos)
        tn::fail(source_, ": field \"model.merges\": expected two entries, found ", merge.dump());
      result.emplace_back(text.substr(0, blank), text.substr(blank + 1));
    }
    return result;
  }

  TokenizerParts parts() const {
    TokenizerParts parts{Vocabulary(entries(), source_), {}, {}};
    for (const json& token : root_.value("added_tokens", json::array()))
      parts.added.push_back(read_added_token(token, token["id"], true, source_));
    settings_.add_tokens(parts);
    settings_.add_named_tokens(parts);
    for (const json& one : steps(root_.value("post_processor", json()))) read_template(one, parts);
    settings_.change_template(parts);
    return parts;
  }

  void read_template(const json& processor, TokenizerParts& parts) const {
    using Source = TokenTemplate::Source;
    const std::string type = processor.value("type", "");
    if (type == "ByteLevel") return;  // only moves offsets
    if (type == "TemplateProcessing") {
      parts.around.single = pieces(processor, "single");
      parts.around.pair = pieces(processor, "pair");
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      const TokenId begin = pair_id(processor, "cls"), end = pair_id(processor, "sep");
      const TokenId second = type == "BertProcessing" ? 1 : 0;
      parts.around.single = {{Source::token, begin}, {Source::first}, {Source::token, end}};
      parts.around.pair = parts.around.single;
      if (second == 0) parts.around.pair.push_back({Source::token, end});
      parts.around.pair.push_back({Source::second, 0, second});
      parts.around.pair.push_back({Source::token, end, second});
    } else {
      refuse("post_processor", processor);
    }
  }

  /// ["</s>", 2]
  TokenId pair_id(const json& processor, const char* field) const {
    const json value = processor.value(field, json());
    if (!value.is_array() || value.size() != 2 || !value[1].is_number_integer())
      tn::fail(source_, ": field \"post_processor.", field,
               "\": expected a token and its id, found ", value.dump());
    return value[1].get<TokenId>();
  }

  std::vector<TokenTemplate::Piece> pieces(const json& processor, const char* field) const {
    using Source = TokenTemplate::Source;
    std::vector<TokenTemplate::Piece> result;
    for (const json& piece : processor.value(field, json::array())) {
      if (piece.contains("Sequence")) {
        const json& text = piece["Sequence"];
        result.push_back({text.value("id", "A") == "A" ? Source::first : Source::second, 0,
                          text.value("type_id", 0)});
      } else if (piece.contains("SpecialToken")) {
        const json& token = piece["SpecialToken"];
        const json known = processor.value("special_tokens", json::object());
        const std::string name = token.value("id", "");
        if (!known.contains(name) || !known[name].contains("ids"))
          tn::fail(source_, ": field \"post_processor.special_tokens\": expected \"", name, "\"");
        for (const json& id : known[name]["ids"])
          result.push_back({Source::token, id.get<TokenId>(), token.value("type_id", 0)});
      } else {
        refuse(std::string("post_processor.") + field, piece);
      }
    }
    return result;
  }

  std::unique_ptr<Tokenizer> word_piece() const {
    check_decoder({"WordPiece"});
    const json normaliser = root_.value("normalizer", json());
    if (normaliser.is_null() || normaliser.value("type", "") != "BertNormalizer" ||
        !normaliser.value("clean_text", true))
      refuse("normalizer", normaliser);
    if (const json before = root_.value("pre_tokenizer", json());
        before.is_null() || before.value("type", "") != "BertPreTokenizer")
      refuse("pre_tokenizer", before);
    if (const json unknown = model_->value("unk_token", json("[UNK]")); unknown != "[UNK]")
      refuse("model.unk_token", unknown);
    WordPieceOptions options;
    options.continuing_subword_prefix = model_->value("continuing_subword_prefix", "##");
    options.max_input_chars_per_word = model_->value("max_input_chars_per_word", std::int64_t{100});
    options.do_lower_case = normaliser.value("lowercase", true);
    options.tokenize_chinese_chars = normaliser.value("handle_chinese_chars", true);
    if (const json strip = normaliser.value("strip_accents", json()); strip.is_boolean())
      options.strip_accents = strip.get<bool>();
    return std::make_unique<WordPiece>(parts(),
                                       read_word_piece_options(path_.parent_path(), options));
  }

  std::unique_ptr<Tokenizer> byte_level() const {
    check_decoder({"ByteLevel"});
    ByteLevelOptions options;
    for (const json& one : steps(root_.value("normalizer", json()))) {
      if (one.value("type", "") != "NFC") refuse("normalizer", one);
      options.compose = true;
    }
    options.whole_words_first = model_->value("ignore_merges", false);
    const json before = root_.value("pre_tokenizer", json());
    options.pattern = pattern(before);
    options.add_prefix_space = settings_.add_prefix_space(
        step(before, "ByteLevel").value("add_prefix_space", true), before["type"] == "ByteLevel");
    return std::make_unique<ByteLevelTokenizer>(parts(), merges(), options);
  }

  SplitPattern pattern(const json& before) const {
    const std::vector<json> all = steps(before);
    const bool own =
        all.back().value("type", "") == "ByteLevel" && all.back().value("use_regex", true);
    if (all.size() == 1 && own) return SplitPattern::gpt2;
    if (all.size() == 2 && own && all[0].value("type", "") == "Digits" &&
        all[0].value("individual_digits", false))
      return SplitPattern::gpt2_digits;
    const bool split = all.size() == 2 && !own && all[0].value("type", "") == "Split" &&
                       all[0].value("behavior", "") == "Isolated" && !all[0].value("invert", false);
    const std::string head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})",
                      tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    const json expression =
        split ? all[0].value("pattern", json::object()).value("Regex", json()) : json();
    if (expression == head + "{1,3}" + tail) return SplitPattern::llama3;
    if (expression == head + tail) return SplitPattern::qwen2;
    refuse("pre_tokenizer", before);
  }

  std::unique_ptr<Tokenizer> sentence_piece() const {
    check_decoder({"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"});
    using Prefix = SentencePieceOptions::Prefix;
    SentencePieceOptions options;
    options.byte_fallback = model_->value("byte_fallback", false);
    options.fuse_unknown = model_->value("fuse_unk", false);
    TokenizerParts all = parts();
    if (const json unknown = model_->value("unk_token", json()); unknown.is_string())
      options.unknown = all.vocabulary.required(unknown.get<std::string>());
    const json before = root_.value("pre_tokenizer", json());
    options.prefix = Prefix::never;
    for (const json& one : steps(root_.value("normalizer", json()))) {
      const std::string type = one.value("type", "");
      if (type == "Prepend" && one.value("prepend", "") == blank_mark)
        options.prepend = true;
      else if (type == "Replace" && one.value("content", "") == blank_mark &&
               one.value("pattern", json()) == json{{"String", " "}})
        options.marks_normalised = true;
      else
        refuse("normalizer", one);
    }
    if (!before.is_null()) options.prefix = metaspace_prefix(before);
    if (before.is_null() && !options.marks_normalised) refuse("pre_tokenizer", before);
    settings_.add_prefix_space(options.prepend || options.prefix != Prefix::never, false);
    return std::make_unique<SentencePieceTokenizer>(std::move(all), merges(), options);
  }

  SentencePieceOptions::Prefix metaspace_prefix(const json& before) const {
    using Prefix = SentencePieceOptions::Prefix;
    if (before.value("type", "") != "Metaspace" || before.value("replacement", "") != blank_mark ||
        before.value("split", true))
      refuse("pre_tokenizer", before);
    const std::string scheme = before.value("prepend_scheme", "always");
    // What older files have; Hugging Face's tokenizers refuse false without "never" too.
    if (!before.value("add_prefix_space", true) && scheme != "never")
      refuse("pre_tokenizer", before);
    if (scheme == "always") return Prefix::always;
    if (scheme == "first") return Prefix::first;
    if (scheme != "never") refuse("pre_tokenizer", before);
    return Prefix::never;
  }

  std::filesystem::path path_;
  std::string source_;
  TokenizerSettings settings_;
  json root_;
  const json* model_;
};

}  // namespace

std::unique_ptr<Tokenizer> read_tokenizer_json(const std::filesystem::path& path) try {
  return TokenizerJson(path).read();
} catch (const json::exception& error) {  // a field of another type
  tn::fail(path.string(), ": ", error.what());
}

}  // namespace metatt::transformer
