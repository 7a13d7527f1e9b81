#pragma once
/// Attention over packed sequences.

#include <metatt/autodiff/tape.hpp>

#include <span>

namespace metatt::autodiff {

/// Sequences of different lengths one after the other, without padding: sequence s owns rows
/// offsets[s] … offsets[s+1]-1 of every token matrix.
class Sequences {
 public:
  /// Throws Error if there is no sequence or one is empty.
  static Sequences from_lengths(std::span<const Index> lengths);

  Index count() const { return packing_.sequences; }
  Index tokens() const { return packing_.tokens; }
  Index longest() const { return packing_.longest; }
  /// Row of the first token of each sequence.
  Tensor<std::int32_t> first_rows() const { return offsets_.slice(0, count()); }
  /// Row of the last token of each sequence.
  Tensor<std::int32_t> last_rows() const;
  const Packing& packing() const { return packing_; }

 private:
  Tensor<std::int32_t> offsets_;
  Packing packing_;
};

/// softmax(Q·Kᵀ/√head_width)·V for each head inside each sequence, dropout on the probabilities.
/// qkv: tokens × shape.joined_width(), queries, keys and values next to each other; result tokens ×
/// shape.width(). Saves qkv and one number per token and head. (Vaswani et al., arXiv:1706.03762)
template <class T>
Variable<T> attention(Tape<T>& tape, const Variable<T>& qkv, const Sequences& sequences,
                      const AttentionShape& shape, double dropout);

/// The attention of one token (qkv 1 × shape.joined_width()) over the keys and values of a cache,
/// whose first `count` rows (key_value_heads·head_width numbers each) it sees, its own among them;
/// result 1 × shape.width(). For inference: it has no derivative.
template <class T>
Tensor<T> attention_step(const Tensor<T>& qkv, const Tensor<T>& keys, const Tensor<T>& values,
                         Index count, const AttentionShape& shape);

/// Cosine and sine of position / base^(2i / head_width) at [position][i][0 and 1]: positions ×
/// head_width. (Su et al., arXiv:2104.09864)
template <class T>
Tensor<T> rotary_table(Index positions, Index head_width, double base);

/// The queries and keys of qkv turned by their positions, element i with element i + head_width/2
/// of its head; the values stay. Positions are rows of the table (the caller's promise). Saves
/// nothing.
template <class T>
Variable<T> rotary(Tape<T>& tape, const Variable<T>& qkv, const Tensor<std::int32_t>& positions,
                   const Tensor<T>& table, const AttentionShape& shape);

}  // namespace metatt::autodiff
