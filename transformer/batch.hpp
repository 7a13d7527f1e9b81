#pragma once
/// Examples as token ids, and batches of them packed without padding.

#include <metatt/autodiff/ops_attention.hpp>
#include <metatt/autodiff/ops_embedding.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/tokenizers/tokenizer.hpp>

#include <span>
#include <vector>

namespace metatt::transformer {

/// One tokenised example; the label is the class or the score.
struct Example {
  EncodedText text;
  double label = 0;
};

/// Sequences one after the other: row t of every token matrix is token t of the packing.
struct Batch {
  autodiff::Sequences sequences;
  autodiff::Indices ids, type_ids, positions;
  /// For the backbone's check against its tables.
  std::int32_t smallest_id = 0, largest_id = 0, largest_type_id = 0;
  tn::Index task = 0;  ///< of all sequences, for an adapter that tells tasks apart

  static Batch pack(std::span<const EncodedText* const> texts);
  static Batch pack(std::span<const EncodedText> texts);
};

/// Token ids or row numbers as one tensor.
autodiff::Indices to_indices(std::span<const std::int32_t> values);

/// All numbers raised by `by`.
autodiff::Indices shifted(const autodiff::Indices& values, tn::Index by);

/// Tokenises rows to at most max_length tokens each. Throws Error on a row of which no token is
/// left: empty texts of a tokenizer that puts none around them have no hidden state to look at.
std::vector<Example> encode_rows(const Tokenizer& tokenizer, std::span<const GlueRow> rows,
                                 tn::Index max_length);

/// How many of them lost tokens to the maximum length.
tn::Index cut_examples(std::span<const Example> examples);

/// The numbers 0 … count-1 in the random order of one epoch: a Fisher-Yates shuffle driven by
/// Philox, the same on every machine.
std::vector<tn::Index> epoch_order(tn::Index count, std::uint64_t seed, std::uint64_t epoch);

/// Such orders one after the other, without end: a function of count and seed alone.
class ExampleOrder {
 public:
  ExampleOrder(tn::Index count, std::uint64_t seed) : count_(count), seed_(seed) {}
  /// The example at position 0, 1, …
  tn::Index at(tn::Index position) const;
  /// The examples of a step where every epoch begins a new one: its last step may have fewer.
  std::vector<tn::Index> batch(tn::Index step, tn::Index examples_per_step) const;

 private:
  tn::Index count_;
  std::uint64_t seed_;
  mutable tn::Index epoch_ = -1;  ///< whose order is kept
  mutable std::vector<tn::Index> order_;
};

}  // namespace metatt::transformer
