#include <metatt/transformer/tokenizers/sentence_piece_file.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/tokenizers/sentence_piece.hpp>
#include <metatt/transformer/tokenizers/tokenizer_settings.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <algorithm>
#include <cmath>
#include <tuple>

#include <sentence_piece_model.pb.h>

namespace metatt::transformer {

namespace {

using sentence_piece::Model;
using Piece = Model::Piece;

/// In bytes; cutting a piece at every place takes the square of it.
constexpr std::size_t longest_piece = 1 << 12;
/// Those for what is unknown, for the begin and for the end, whatever their type.
constexpr int special_pieces = 3;

[[noreturn]] void refuse(const std::string& source, const std::string& field,
                         const std::string& expected, const std::string& found) {
  tn::fail(source, ": field \"", field, "\": expected ", expected, ", found ", found,
           tokenizer_json_hint);
}

Model read_model(const std::filesystem::path& path) {
  Model model;
  const bool whole = model.ParseFromString(tn::read_file(path));
  if (!whole || model.pieces().empty())
    tn::fail(path.string(), ": expected a SentencePiece model, found ",
             whole ? "one without pieces" : "a damaged one or another format");
  return model;
}

void check_pieces(const Model& model, const std::string& source) {
  int unknown = 0;
  for (int id = 0; id < model.pieces_size(); ++id) {
    const Piece& piece = model.pieces(id);
    const std::string field = "pieces[" + std::to_string(id) + "].";
    if (piece.piece().empty() || piece.piece().size() > longest_piece)
      refuse(source, field + "piece", "1 … " + std::to_string(longest_piece) + " bytes",
             std::to_string(piece.piece().size()));
    if (!std::isfinite(piece.score()))
      refuse(source, field + "score", "a finite number", std::to_string(piece.score()));
    unknown += piece.type() == Piece::UNKNOWN;
  }
  if (unknown != 1) refuse(source, "pieces", "one of type UNKNOWN", std::to_string(unknown));
}

/// Refuses models that SentencePiece reads in another way than LlamaTokenizer.
void check_settings(const Model& model, const std::string& source) {
  const Model::Trainer& trainer = model.trainer_spec();
  if (trainer.model_type() != Model::Trainer::BPE)
    refuse(source, "trainer_spec.model_type", "BPE",
           trainer.has_model_type() ? Model::Trainer::Kind_Name(trainer.model_type()) : "none");
  const auto check = [&](const char* field, bool expected, bool found) {
    if (found != expected)
      refuse(source, field, expected ? "true" : "false", found ? "true" : "false");
  };
  check("trainer_spec.treat_whitespace_as_suffix", false, trainer.treat_whitespace_as_suffix());
  const Model::Normalizer& normaliser = model.normalizer_spec();
  check("normalizer_spec.add_dummy_prefix", true, normaliser.add_dummy_prefix());
  check("normalizer_spec.remove_extra_whitespaces", false, normaliser.remove_extra_whitespaces());
  check("normalizer_spec.escape_whitespaces", true, normaliser.escape_whitespaces());
  if (!normaliser.precompiled_charsmap().empty())
    refuse(source, "normalizer_spec.precompiled_charsmap", "none",
           std::to_string(normaliser.precompiled_charsmap().size()) + " bytes");
}

/// Of every two pieces that make a third one, by descending score of that; SentencePiece joins
/// them in this order. Equals stand in the order of their ids. Pieces of all types, as in
/// transformers.
std::vector<MergedEntries> merges_by_score(const Model& model, const Vocabulary& vocabulary) {
  struct Merge {
    float score;
    TokenId result, left, right;
  };
  std::vector<Merge> found;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view whole = vocabulary.entry(id);
    for (std::size_t cut = first_character(whole).bytes; cut < whole.size();
         cut += first_character(whole.substr(cut)).bytes)
      if (const auto left = vocabulary.find(whole.substr(0, cut)),
          right = vocabulary.find(whole.substr(cut));
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

/// Control pieces are special tokens, and those that the user defined are found before a text is
/// cut; what the settings say of them goes before that.
void add_pieces(const Model& model, const TokenizerSettings& settings, TokenizerParts& parts) {
  const auto add = [&](int id, bool special) {
    add_unless_there(parts.added,
                     {.content = model.pieces(id).piece(), .id = id, .special = special});
  };
  for (int id = 0; id < std::min(special_pieces, model.pieces_size()); ++id) add(id, true);
  settings.add_tokens(parts);
  for (int id = special_pieces; id < model.pieces_size(); ++id)
    if (const auto type = model.pieces(id).type();
        type == Piece::CONTROL || type == Piece::UNKNOWN || type == Piece::USER_DEFINED)
      add(id, type != Piece::USER_DEFINED);
  settings.add_named_tokens(parts);
}

}  // namespace

std::unique_ptr<Tokenizer> read_sentence_piece_file(const std::filesystem::path& path) {
  const std::string source = path.string();
  const TokenizerSettings settings(path.parent_path());
  const Model model = read_model(path);
  check_pieces(model, source);
  check_settings(model, source);
  std::vector<std::string> entries;
  for (const Piece& piece : model.pieces()) entries.push_back(piece.piece());
  TokenizerParts parts{Vocabulary(std::move(entries), source), {}, {}};
  const std::vector<MergedEntries> merges = merges_by_score(model, parts.vocabulary);
  SentencePieceOptions options = settings.llama_options();
  options.byte_fallback = model.trainer_spec().byte_fallback();
  options.fuse_unknown = true;
  for (int id = 0; id < model.pieces_size(); ++id)
    if (model.pieces(id).type() == Piece::UNKNOWN) options.unknown = id;
  add_pieces(model, settings, parts);
  settings.llama_template(parts);
  return std::make_unique<SentencePieceTokenizer>(std::move(parts), merges, options);
}

}  // namespace metatt::transformer
