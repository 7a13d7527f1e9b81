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
  const Packing& packing() const { return packing_; }

 private:
  Tensor<std::int32_t> offsets_;
  Packing packing_;
};

/// softmax(Q·Kᵀ/√head_width)·V for each head inside each sequence, dropout on the probabilities.
/// qkv: tokens × 3·width, queries, keys and values next to each other; result tokens × width. Saves
/// qkv and one number per token and head. (Vaswani et al., arXiv:1706.03762)
template <class T>
Variable<T> attention(Tape<T>& tape, const Variable<T>& qkv, const Sequences& sequences,
                      Index heads, double dropout);

}  // namespace metatt::autodiff
