#include <metatt/transformer/tokenizers/sentence_piece_file.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/tokenizers/sentence_piece.hpp>
#include <metatt/transformer/tokenizers/tokenizer_settings.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <algorithm>
#include <tuple>

#include <sentence_piece_model.pb.h>

namespace metatt::transformer {

namespace {

using sentence_piece::Model;
using Piece = Model::Piece;

Model read_model(const std::filesystem::path& path) {
  Model model;
  if (!model.ParseFromString(tn::read_file(path)) || model.pieces().empty())
    tn::fail(path.string(), ": expected a SentencePiece model with its pieces, found ",
             model.pieces().empty() ? "none" : "a damaged one");
  return model;
}

/// Refuses what LlamaTokenizer would take for something else.
void check_model(const Model& model, const std::string& source) {
  if (const auto kind = model.trainer_spec().model_type(); kind != Model::Trainer::BPE)
    tn::fail(source, ": field \"trainer_spec.model_type\": expected BPE (2), found ", int{kind},
             kind == Model::Trainer::UNIGRAM ? " (unigram)" : "");
  const auto check = [&](const char* field, bool expected, bool found) {
    if (found != expected)
      tn::fail(source, ": field \"", field, "\": expected ", expected ? "true" : "false",
               ", found ", found ? "true" : "false");
  };
  check("trainer_spec.treat_whitespace_as_suffix", false,
        model.trainer_spec().treat_whitespace_as_suffix());
  const Model::Normalizer& normaliser = model.normalizer_spec();
  check("normalizer_spec.add_dummy_prefix", true, normaliser.add_dummy_prefix());
  check("normalizer_spec.remove_extra_whitespaces", false, normaliser.remove_extra_whitespaces());
  check("normalizer_spec.escape_whitespaces", true, normaliser.escape_whitespaces());
  if (!normaliser.precompiled_charsmap().empty())
    tn::fail(source, ": field \"normalizer_spec.precompiled_charsmap\": expected none, found ",
             normaliser.precompiled_charsmap().size(), " bytes");
}

/// Of every two pieces that make a third one, by descending score of that; SentencePiece joins
/// them in this order. Equals stand in the order of their ids.
std::vector<MergedEntries> merges_by_score(const Model& model, const Vocabulary& vocabulary) {
  struct Merge {
    float score;
    TokenId result, left, right;
  };
  const auto piece_id = [&](std::string_view text) {
    const auto id = vocabulary.find(text);
    return id && model.pieces(*id).type() == Piece::NORMAL ? id : std::nullopt;
  };
  std::vector<Merge> found;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view whole = vocabulary.entry(id);
    if (model.pieces(id).type() != Piece::NORMAL || whole.empty()) continue;
    for (std::size_t cut = first_character(whole).bytes; cut < whole.size();
         cut += first_character(whole.substr(cut)).bytes)
      if (const auto left = piece_id(whole.substr(0, cut)), right = piece_id(whole.substr(cut));
          left && right)
        found.push_back({model.pieces(id).score(), id, *left, *right});
  }
  std::ranges::sort(found, {}, [](const Merge& merge) {
    return std::tuple(-merge.score, merge.result, merge.left, merge.right);
  });
  std::vector<MergedEntries> merges;
  for (const Merge& merge : found)
    merges.emplace_back(vocabulary.entry(merge.left), vocabulary.entry(merge.right));
  return merges;
}

}  // namespace

std::unique_ptr<Tokenizer> read_sentence_piece_file(const std::filesystem::path& path) {
  const std::string source = path.string();
  const TokenizerSettings settings(path.parent_path());
  const Model model = read_model(path);
  check_model(model, source);
  std::vector<std::string> entries;
  for (const Piece& piece : model.pieces()) entries.push_back(piece.piece());
  TokenizerParts parts{Vocabulary(std::move(entries), source), {}, {}};
  const std::vector<MergedEntries> merges = merges_by_score(model, parts.vocabulary);
  SentencePieceOptions options = settings.llama_options();
  options.byte_fallback = model.trainer_spec().byte_fallback();
  options.fuse_unknown = true;
  for (TokenId id = 0; id < parts.vocabulary.size(); ++id) {
    const auto type = model.pieces(id).type();
    if (type == Piece::UNKNOWN) options.unknown = id;
    if (type == Piece::UNKNOWN || type == Piece::CONTROL || type == Piece::USER_DEFINED)
      parts.added.push_back({.content = parts.vocabulary.entry(id),
                             .id = id,
                             .special = type != Piece::USER_DEFINED});
  }
  settings.add_tokens(parts);
  settings.llama_template(parts);
  return std::make_unique<SentencePieceTokenizer>(std::move(parts), merges, options);
}

}  // namespace metatt::transformer
