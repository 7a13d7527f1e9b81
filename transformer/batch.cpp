#include <metatt/transformer/batch.hpp>

#include <metatt/tn/backend/philox.hpp>
#include <metatt/transformer/parallel.hpp>

#include <algorithm>
#include <numeric>

namespace metatt::transformer {

using tn::Index;

autodiff::Indices to_indices(std::span<const std::int32_t> values) {
  return autodiff::Indices::from({static_cast<Index>(values.size())}, values);
}

autodiff::Indices shifted(const autodiff::Indices& values, Index by) {
  if (by == 0) return values;
  std::vector<std::int32_t> result = values.to_vector();
  for (std::int32_t& value : result) value += static_cast<std::int32_t>(by);
  return to_indices(result);
}

Batch Batch::pack(std::span<const EncodedText* const> texts) {
  std::vector<Index> lengths;
  std::vector<std::int32_t> ids, types, positions;
  for (const EncodedText* text : texts) {
    lengths.push_back(static_cast<Index>(text->ids.size()));
    ids.insert(ids.end(), text->ids.begin(), text->ids.end());
    types.insert(types.end(), text->type_ids.begin(), text->type_ids.end());
    for (std::size_t p = 0; p < text->ids.size(); ++p)
      positions.push_back(static_cast<std::int32_t>(p));
  }
  return {autodiff::Sequences::from_lengths(lengths),
          to_indices(ids),
          to_indices(types),
          to_indices(positions),
          *std::min_element(ids.begin(), ids.end()),
          *std::max_element(ids.begin(), ids.end()),
          *std::max_element(types.begin(), types.end())};
}

Batch Batch::pack(std::span<const EncodedText> texts) {
  std::vector<const EncodedText*> pointers;
  for (const EncodedText& text : texts) pointers.push_back(&text);
  return pack(pointers);
}

std::vector<Example> encode_rows(const Tokenizer& tokenizer, std::span<const GlueRow> rows,
                                 Index max_length) {
  std::vector<Example> examples(rows.size());
  for_each_in_parallel(rows.size(), [&](std::size_t i) {
    const GlueRow& row = rows[i];
    examples[i] = {tokenizer.encode_pair(row.sentence1, row.sentence2, max_length), row.label};
    if (examples[i].text.ids.empty())
      tn::fail("encode_rows: expected at least one token in each example, found none in example ",
               i + 1, " (counted from 1)");
  });
  return examples;
}

Index cut_examples(std::span<const Example> examples) {
  return std::ranges::count_if(examples, [](const Example& example) { return example.text.cut; });
}

std::vector<Index> epoch_order(Index count, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<Index> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Index{0});
  constexpr std::uint64_t shuffle_streams = std::uint64_t{1} << 62;  // apart from dropout's
  for (Index i = count - 1; i > 0; --i) {
    const auto words =
        tn::philox4x32<10>(static_cast<std::uint64_t>(i), shuffle_streams + epoch, seed);
    const std::uint64_t random = std::uint64_t{words[1]} << 32 | words[0];
    const auto j = static_cast<std::size_t>(random % static_cast<std::uint64_t>(i + 1));
    std::swap(order[static_cast<std::size_t>(i)], order[j]);
  }
  return order;
}

std::vector<Index> ExampleOrder::batch(Index step, Index examples_per_step) const {
  const Index steps = (count_ + examples_per_step - 1) / examples_per_step;
  const Index begin = step % steps * examples_per_step;
  std::vector<Index> examples;
  for (Index i = begin; i < std::min(count_, begin + examples_per_step); ++i)
    examples.push_back(at(step / steps * count_ + i));
  return examples;
}

Index ExampleOrder::at(Index position) const {
  if (const Index epoch = position / count_; epoch != epoch_) {
    order_ = epoch_order(count_, seed_, static_cast<std::uint64_t>(epoch));
    epoch_ = epoch;
  }
  return order_[static_cast<std::size_t>(position % count_)];
}

}  // namespace metatt::transformer
