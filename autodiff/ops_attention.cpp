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

Tensor<std::int32_t> Sequences::last_rows() const {
  std::vector<std::int32_t> rows = offsets_.slice(1, count() + 1).to_vector();
  for (std::int32_t& row : rows) --row;
  return Tensor<std::int32_t>::from({count()}, std::span<const std::int32_t>(rows));
}

namespace {

template <class T>
void check_joined(const char* function, const Variable<T>& qkv, Index tokens,
                  const AttentionShape& shape) {
  if (shape.heads < 1 || shape.key_value_heads < 1 || shape.heads % shape.key_value_heads != 0)
    tn::fail(function, ": expected heads that are a multiple of those of keys and values, found ",
             shape.heads, " and ", shape.key_value_heads);
  if (qkv.value.shape() != Shape{tokens, shape.joined_width()})
    tn::fail(function, ": expected qkv (", tokens, " tokens × (", shape.heads, " + 2·",
             shape.key_value_heads, ") heads of ", shape.head_width, "), found ",
             tn::shape_text(qkv.value.shape()));
}

}  // namespace

template <class T>
Variable<T> attention(Tape<T>& tape, const Variable<T>& qkv, const Sequences& sequences,
                      const AttentionShape& shape, double dropout) {
  check_joined("attention", qkv, sequences.tokens(), shape);
  const Index n = qkv.value.extent(0);
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(shape.head_width)));
  const Dropout mask = tape.dropout(dropout);
  Tensor<T> out({n, shape.width()});
  Tensor<T> log_sum_exp;
  if (qkv.tracked()) {
    tape.save(qkv.value);
    log_sum_exp = Tensor<T>({shape.heads, n});
  }
  T* save = qkv.tracked() ? log_sum_exp.mutable_data() : nullptr;
  backend::attention_forward(tn::backend::queue(), sequences.packing(), shape, scale, mask,
                             qkv.value.data(), out.mutable_data(), save);
  if (qkv.tracked()) tape.save(log_sum_exp);
  return tape.record(
      "attention", std::move(out), {&qkv}, [=](Gradients<T>& gradients, Tensor<T>& dout) {
        Tensor<T> dqkv(qkv.value.shape());
        backend::attention_backward(tn::backend::queue(), sequences.packing(), shape, scale, mask,
                                    qkv.value.data(), log_sum_exp.data(), dout.data(),
                                    dqkv.mutable_data());
        gradients.give(qkv, std::move(dqkv));
      });
}

template <class T>
Tensor<T> attention_step(const Tensor<T>& qkv, const Tensor<T>& keys, const Tensor<T>& values,
                         Index count, const AttentionShape& shape) {
  check_joined("attention_step", autodiff::constant(qkv), 1, shape);
  const Index width = shape.key_value_heads * shape.head_width;
  for (const Tensor<T>* cache : {&keys, &values})
    if (cache->order() != 2 || cache->extent(1) != width || count < 1 || cache->extent(0) < count)
      tn::fail("attention_step: expected a cache of at least ", count, " rows of ", width,
               " numbers, found ", tn::shape_text(cache->shape()));
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(shape.head_width)));
  Tensor<T> out({1, shape.width()});
  backend::attention_step(tn::backend::queue(), shape, scale, count, qkv.data(), keys.data(),
                          values.data(), out.mutable_data());
  return out;
}

template <class T>
Tensor<T> rotary_table(Index positions, Index head_width, double base) {
  constexpr Index most = Index{1} << 28;  // two gigabytes of doubles
  if (positions < 1 || head_width < 2 || head_width % 2 != 0 || !(base > 0) ||
      positions > most / head_width)
    tn::fail(
        "rotary_table: expected positions, an even head width, at most 2^28 of their product "
        "and a positive base, found ",
        positions, ", ", head_width, " and ", base);
  std::vector<double> frequencies;
  for (Index i = 0; i < head_width / 2; ++i)
    frequencies.push_back(
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(head_width)));
  std::vector<T> values;
  values.reserve(static_cast<std::size_t>(positions * head_width));
  for (Index position = 0; position < positions; ++position)
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      values.push_back(static_cast<T>(std::cos(angle)));
      values.push_back(static_cast<T>(std::sin(angle)));
    }
  return Tensor<T>::from({positions, head_width}, std::span(std::as_const(values)));
}

template <class T>
Variable<T> rotary(Tape<T>& tape, const Variable<T>& qkv, const Tensor<std::int32_t>& positions,
                   const Tensor<T>& table, const AttentionShape& shape) {
  check_joined("rotary", qkv, positions.size(), shape);
  if (table.order() != 2 || table.extent(1) != shape.head_width)
    tn::fail("rotary: expected a table of ", shape.head_width, " columns, found ",
             tn::shape_text(table.shape()));
  const auto rotate = [positions, table, shape](Tensor<T>& x, bool back) {
    backend::rotate_heads(tn::backend::queue(), x.extent(0), shape.heads + shape.key_value_heads,
                          shape.head_width, x.extent(1), positions.data(), table.data(), back,
                          x.mutable_data());
  };
  Tensor<T> rotated(qkv.value.shape());
  tn::backend::copy(tn::backend::queue(), rotated.size(), qkv.value.data(), rotated.mutable_data());
  rotate(rotated, false);
  const Variable<T> source{{}, qkv.node};
  return tape.record("rotary", std::move(rotated), {&qkv},
                     [=](Gradients<T>& gradients, Tensor<T>& gradient) {
                       rotate(gradient, true);
                       gradients.give(source, std::move(gradient));
                     });
}

#define METATT_INSTANTIATE(T)                                                                    \
  template Variable<T> attention(Tape<T>&, const Variable<T>&, const Sequences&,                 \
                                 const AttentionShape&, double);                                 \
  template Tensor<T> attention_step(const Tensor<T>&, const Tensor<T>&, const Tensor<T>&, Index, \
                                    const AttentionShape&);                                      \
  template Tensor<T> rotary_table(Index, Index, double);                                         \
  template Variable<T> rotary(Tape<T>&, const Variable<T>&, const Tensor<std::int32_t>&,         \
                              const Tensor<T>&, const AttentionShape&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::autodiff
