#pragma once
/// The files beside a tokenizer's own, as far as they change ids.

#include <metatt/transformer/tokenizers/sentence_piece.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace metatt::transformer {

/// What an error about a tokenizer.model can tell its user to do.
inline constexpr const char* tokenizer_json_hint =
    "; transformers may make a tokenizer.json of it: "
    "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";

/// The added token that fields of JSON describe, as tokenizer.json and tokenizer_config.json have
/// them. `special`: whether it is if they do not say so. Throws tn::Error naming `source` and
/// field.
AddedToken read_added_token(const nlohmann::json& fields, TokenId id, bool special,
                            const std::string& source);

/// Appends the token unless one of its content is there already.
void add_unless_there(std::vector<AddedToken>& added, AddedToken token);

/// tokenizer_config.json, special_tokens_map.json and added_tokens.json of a folder, which may all
/// be missing, read as transformers' fast tokenizers read them. Functions throw tn::Error naming
/// file and field.
class TokenizerSettings {
 public:
  explicit TokenizerSettings(const std::filesystem::path& folder);

  /// Adds the tokens of "added_tokens_decoder" or, where there is no such field, of
  /// added_tokens.json, but for those that are there already.
  void add_tokens(TokenizerParts& parts) const;
  /// Adds the entries that fields like "pad_token" and "additional_special_tokens" name, but for
  /// those that are there already.
  void add_named_tokens(TokenizerParts& parts) const;
  /// Replaces the template by llama_template() if the class is LlamaTokenizer, whatever the
  /// tokenizer's file says.
  void change_template(TokenizerParts& parts) const;
  /// The template that LlamaTokenizer makes by "add_bos_token" and "add_eos_token".
  void llama_template(TokenizerParts& parts) const;
  /// Where LlamaTokenizer puts marks of blanks beside a tokenizer.model, by "legacy" and
  /// "add_prefix_space". Another class is refused, since it would do other things.
  SentencePieceOptions llama_options() const;
  /// "add_prefix_space" of a tokenizer in older files.
  bool add_prefix_space() const;
  /// The same where a file says `in_file` and its step is `replaced` by GPT2Tokenizer's and
  /// RobertaTokenizer's own. A setting that contradicts the file is refused for classes that
  /// rebuild the tokenizer by it, or if no class is named.
  bool add_prefix_space(bool in_file, bool replaced) const;

 private:
  bool is_class(const std::string& name) const;
  std::optional<bool> flag(const char* field) const;
  TokenId token(const TokenizerParts& parts, const char* field, const char* otherwise) const;
  std::vector<AddedToken> tokens_to_add() const;
  /// The tokens that a field names, in tokenizer_config.json or else in special_tokens_map.json.
  std::vector<nlohmann::json> named(const char* field) const;
  bool names_special(const std::string& token) const;

  std::string source_, added_source_;
  nlohmann::json settings_, special_, added_;
};

}  // namespace metatt::transformer
