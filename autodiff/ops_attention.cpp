#include <metatt/autodiff/ops_attention.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace metatt::autodiff {

Sequences Sequences::from_lengths(std::span<const Index> lengths) {
  if (lengths.empty()) tn::fail("Sequences: there is no sequence");
  std::vector<std::int32_t> offsets{0};
  Index total = 0, longest = 0, squares = 0;
  for (const Index length : lengths) {
    if (length < 1) tn::fail("Sequences: a sequence of length ", length);
    total += length;
    squares += length * length;
    longest = std::max(longest, length);
    if (total > std::numeric_limits<std::int32_t>::max())
      tn::fail("Sequences: more than 2^31 tokens in one batch");
    offsets.push_back(static_cast<std::int32_t>(total));
  }
  Sequences result;
  result.offsets_ = Tensor<std::int32_t>::from({static_cast<Index>(offsets.size())},
                                               std::span(std::as_const(offsets)));
  result.packing_ = {static_cast<Index>(lengths.size()), total, longest, squares,
                     result.offsets_.data()};
  return result;
}

template <class T>
Variable<T> attention(Tape<T>& tape, const Variable<T>& qkv, const Sequences& sequences,
                      Index heads, double dropout) {
  if (qkv.value.order() != 2 || heads < 1 || qkv.value.extent(1) % (3 * heads) != 0 ||
      qkv.value.extent(0) != sequences.tokens())
    tn::fail("attention: expected qkv (", sequences.tokens(), " tokens × 3·", heads,
             " heads·head width), found ", tn::shape_text(qkv.value.shape()));
  const Index n = qkv.value.extent(0), width = qkv.value.extent(1) / 3, head_width = width / heads;
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(head_width)));
  const Dropout mask = tape.dropout(dropout);
  Tensor<T> out({n, width});
  Tensor<T> log_sum_exp;
  if (qkv.tracked()) {
    tape.save(qkv.value);
    log_sum_exp = Tensor<T>({heads, n});
  }
  T* save = qkv.tracked() ? log_sum_exp.mutable_data() : nullptr;
  backend::attention_forward(tn::backend::queue(), sequences.packing(), heads, head_width, scale,
                             mask, qkv.value.data(), out.mutable_data(), save);
  if (qkv.tracked()) tape.save(log_sum_exp);
  return tape.record(
      "attention", std::move(out), {&qkv}, [=](Gradients<T>& gradients, Tensor<T>& dout) {
        Tensor<T> dqkv(qkv.value.shape());
        backend::attention_backward(tn::backend::queue(), sequences.packing(), heads, head_width,
                                    scale, mask, qkv.value.data(), log_sum_exp.data(), dout.data(),
                                    dqkv.mutable_data());
        gradients.give(qkv, std::move(dqkv));
      });
}

template Variable<float> attention(Tape<float>&, const Variable<float>&, const Sequences&, Index,
                                   double);
template Variable<double> attention(Tape<double>&, const Variable<double>&, const Sequences&, Index,
                                    double);

}  // namespace metatt::autodiff
