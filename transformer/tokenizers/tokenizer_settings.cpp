#include <metatt/transformer/tokenizers/tokenizer_settings.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

namespace metatt::transformer {

namespace {

using nlohmann::json;

/// The object in a file; an empty one if there is no such file.
json object_in(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return json::object();
  json value = parse_json(tn::read_file(path), path.string());
  if (!value.is_object()) tn::fail(path.string(), ": expected a JSON object");
  return value;
}

/// What transformers calls special, in its order.
constexpr std::array special_fields{
    "bos_token", "eos_token", "unk_token",  "sep_token",
    "pad_token", "cls_token", "mask_token", "additional_special_tokens"};

/// A token may be given as its text or as an object with field "content"; "" for anything else.
std::string content_of(const json& token) {
  const json& content = token.is_object() && token.contains("content") ? token["content"] : token;
  return content.is_string() ? content.get<std::string>() : "";
}

/// The new entry of an added token, or the one that it has.
void add_entry(std::vector<std::string>& entries, const Vocabulary& old, const AddedToken& token,
               const std::string& source) {
  const auto known = old.find(token.content);
  const auto next = static_cast<TokenId>(entries.size());
  if (token.id != known.value_or(next))
    tn::fail(source, ": added token \"", token.content, "\": expected the id ",
             known.value_or(next), ", ",
             known ? "which its entry has" : "the first one behind all entries", ", found ",
             token.id);
  if (!known) entries.push_back(token.content);
}

}  // namespace

AddedToken read_added_token(const json& fields, TokenId id, bool special,
                            const std::string& source) {
  AddedToken token;
  token.content = required<std::string>(fields, "content", source);
  token.id = id;
  if (optional_or<bool>(fields, "single_word", false, source))
    tn::fail(source, ": added token \"", token.content,
             "\": field \"single_word\": expected false, found true");
  token.special = optional_or<bool>(fields, "special", special, source);
  token.strip_left = optional_or<bool>(fields, "lstrip", false, source);
  token.strip_right = optional_or<bool>(fields, "rstrip", false, source);
  token.normalised = optional_or<bool>(fields, "normalized", !token.special, source);
  return token;
}

void add_unless_there(std::vector<AddedToken>& added, AddedToken token) {
  if (std::ranges::find(added, token.content, &AddedToken::content) == added.end())
    added.push_back(std::move(token));
}

TokenizerSettings::TokenizerSettings(const std::filesystem::path& folder)
    : source_((folder / "tokenizer_config.json").string()),
      added_source_((folder / "added_tokens.json").string()),
      settings_(object_in(source_)),
      special_(object_in(folder / "special_tokens_map.json")),
      added_(object_in(added_source_)) {}

std::vector<json> TokenizerSettings::named(const char* field) const {
  for (const json* all : {&settings_, &special_})
    if (const auto place = all->find(field); place != all->end() && !place->is_null())
      return place->is_array() ? place->get<std::vector<json>>() : std::vector<json>{*place};
  return {};
}

bool TokenizerSettings::names_special(const std::string& token) const {
  return std::ranges::any_of(special_fields, [&](const char* field) {
    return std::ranges::any_of(named(field),
                               [&](const json& one) { return content_of(one) == token; });
  });
}

std::vector<AddedToken> TokenizerSettings::tokens_to_add() const {
  std::vector<AddedToken> tokens;
  if (const json fields = settings_.value("added_tokens_decoder", json()); !fields.is_null()) {
    if (!fields.is_object())
      tn::fail(source_, ": field \"added_tokens_decoder\": expected an object, found ",
               fields.dump());
    for (const auto& [key, token] : fields.items()) {
      TokenId id = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || end != key.data() + key.size() || id < 0)
        tn::fail(source_, ": field \"added_tokens_decoder\": expected ids, found \"", key, "\"");
      tokens.push_back(read_added_token(token, id, false, source_));
    }
    return tokens;
  }
  for (const auto& [content, id] : added_.items()) {
    const auto number = required<std::int64_t>(added_, content, added_source_);
    if (number < 0 || number > 1 << 24)
      tn::fail(added_source_, ": \"", content, "\": expected an id of 0 … 2^24, found ", number);
    const bool special = names_special(content);
    tokens.push_back({.content = content,
                      .id = static_cast<TokenId>(number),
                      .special = special,
                      .normalised = !special});
  }
  return tokens;
}

void TokenizerSettings::add_tokens(TokenizerParts& parts) const {
  std::vector<AddedToken> tokens = tokens_to_add();
  std::ranges::sort(tokens, {}, &AddedToken::id);
  const std::string& source = settings_.contains("added_tokens_decoder") ? source_ : added_source_;
  std::vector<std::string> entries = parts.vocabulary.entries();
  const std::size_t before = entries.size();
  for (const AddedToken& token : tokens) {
    add_entry(entries, parts.vocabulary, token, source);
    add_unless_there(parts.added, token);
  }
  if (entries.size() > before)
    parts.vocabulary = Vocabulary(std::move(entries), parts.vocabulary.source_name());
}

void TokenizerSettings::add_named_tokens(TokenizerParts& parts) const {
  for (const char* field : special_fields)
    for (const json& one : named(field))
      if (const auto id = parts.vocabulary.find(content_of(one)))
        add_unless_there(parts.added, one.is_object()
                                          ? read_added_token(one, *id, true, source_)
                                          : AddedToken{.content = content_of(one), .id = *id});
}

bool TokenizerSettings::is_class(const std::string& name) const {
  const auto found = optional_or<std::string>(settings_, "tokenizer_class", "", source_);
  return found == name || found == name + "Fast";
}

std::optional<bool> TokenizerSettings::flag(const char* field) const {
  if (!settings_.contains(field) || settings_[field].is_null()) return std::nullopt;
  return required<bool>(settings_, field, source_);
}

TokenId TokenizerSettings::token(const TokenizerParts& parts, const char* field,
                                 const char* otherwise) const {
  const std::vector<json> given = named(field);
  const std::string content = given.empty() ? otherwise : content_of(given.front());
  const auto id = parts.vocabulary.find(content);
  if (!id)
    tn::fail(source_, ": field \"", field, "\": expected an entry of ",
             parts.vocabulary.source_name(), ", found \"", content, "\"");
  return *id;
}

void TokenizerSettings::change_template(TokenizerParts& parts) const {
  if (is_class("LlamaTokenizer")) llama_template(parts);
}

SentencePieceOptions TokenizerSettings::llama_options() const {
  using Prefix = SentencePieceOptions::Prefix;
  if (const json name = settings_.value("tokenizer_class", json());
      !name.is_null() && !is_class("LlamaTokenizer"))
    tn::fail(
        source_,
        ": field \"tokenizer_class\": expected LlamaTokenizer beside a tokenizer.model, found ",
        name.dump(), tokenizer_json_hint);
  const bool prefix = flag("add_prefix_space").value_or(true);
  SentencePieceOptions options;
  options.marks_normalised = flag("legacy").value_or(true);
  options.prepend = prefix && options.marks_normalised;
  options.prefix = prefix && !options.marks_normalised ? Prefix::first : Prefix::never;
  return options;
}

void TokenizerSettings::llama_template(TokenizerParts& parts) const {
  using Source = TokenTemplate::Source;
  const auto pieces = [&](Source text, TokenId type) {
    std::vector<TokenTemplate::Piece> result;
    if (flag("add_bos_token").value_or(true))
      result.push_back({Source::token, token(parts, "bos_token", "<s>"), type});
    result.push_back({text, 0, type});
    if (flag("add_eos_token").value_or(false))
      result.push_back({Source::token, token(parts, "eos_token", "</s>"), type});
    return result;
  };
  parts.around.single = parts.around.pair = pieces(Source::first, 0);
  const auto second = pieces(Source::second, 1);
  parts.around.pair.insert(parts.around.pair.end(), second.begin(), second.end());
}

bool TokenizerSettings::add_prefix_space() const {
  return flag("add_prefix_space").value_or(false);
}

bool TokenizerSettings::add_prefix_space(bool in_file, bool replaced) const {
  if (is_class("PreTrainedTokenizer")) return in_file;  // PreTrainedTokenizerFast
  if (is_class("GPT2Tokenizer") || is_class("RobertaTokenizer"))
    return replaced ? add_prefix_space() : in_file;
  if (const auto wanted = flag("add_prefix_space"); wanted && *wanted != in_file)
    tn::fail(source_, ": field \"add_prefix_space\": expected what tokenizer.json says, ",
             in_file ? "true" : "false", ", found ", *wanted ? "true" : "false");
  return in_file;
}

}  // namespace metatt::transformer
