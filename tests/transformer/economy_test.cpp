/// The work and the memory of a training step, worked out on paper and counted. Symbols: n tokens,
/// d width, f = 4d feed-forward width, h heads, L layers, S sequences, c classes, r rank.

#include "model_testing.hpp"

using namespace metatt;
using namespace metatt::testing;

namespace {

constexpr Index d = 24, f = 4 * d, h = 2, L = 3, c = 3, r = 4, M = 2;
const std::vector<Index> lengths{5, 3, 8, 1, 7, 6};
constexpr Index S = 6, n = 30, squares = 25 + 9 + 64 + 1 + 49 + 36;  // Σ length²

/// The proportions of all-MiniLM-L6-v2, f = 4d.
ModelConfig minilm_proportions() {
  ModelConfig config = small_config();
  config.hidden_size = d;
  config.intermediate_size = f;
  config.num_attention_heads = h;
  config.num_hidden_layers = L;
  return config;
}

std::vector<Example> examples() {
  std::vector<Example> result;
  for (const Index length : lengths) {
    Example example{{std::vector<std::int32_t>(static_cast<std::size_t>(length), 7),
                     std::vector<std::int32_t>(static_cast<std::size_t>(length), 0)},
                    1};
    result.push_back(example);
  }
  return result;
}

struct Counts {
  std::int64_t gemm, low_rank, attention, saved_floats;
};

/// One training step; saved memory in floats.
Counts count_step(const std::string& method, const DropoutRates& rates = {}) {
  AdapterSettings settings;
  settings.rank = r;
  AssembledModel<float> model(minilm_proportions(), c, Method::named(method, settings),
                              random_weight<float>);
  const Batch batch = pack(examples());
  const std::vector<double> labels(S, 1);
  auto& work = tn::backend::queue().work;
  const auto before = work;
  Tape<float> tape(model.weights.arena(), 1, 1);
  const Variable<float> loss = model.loss(tape, batch, labels, rates);
  const std::int64_t saved = tape.saved_bytes() / static_cast<std::int64_t>(sizeof(float));
  tape.backward(loss);
  return {work.gemm_flops - before.gemm_flops, work.low_rank_flops - before.low_rank_flops,
          work.attention_flops - before.attention_flops, saved};
}

// Products with the base weights.
constexpr Index qkv = 2 * n * d * 3 * d;
constexpr Index others = 2 * n * d * d + 2 * (2 * n * d * f);  // attention output, up, down
constexpr Index lasts = others / n * S;  // in the last layer, of the first tokens alone
constexpr Index pooler = 2 * S * d * d;
constexpr Index head = 2 * S * d * c;
constexpr Index forward = L * qkv + (L - 1) * others + lasts + pooler + head;
// Backward with a frozen base: only ∂/∂x of every product, but neither that of the first layer's
// queries, keys and values, whose input needs no gradient, nor any ∂/∂W but that of the head.
constexpr Index backward_frozen = (L - 1) * (qkv + others) + lasts + pooler + 2 * head;

// Per layer: queries, keys, values (3d) and log Σ exp (h) for attention, its input (d); two
// normalised rows (2d) and deviations (2), the feed-forward pre-activation (4d).
constexpr Index saved_layers = L * n * (4 * d + h) + ((L - 1) * n + S) * (6 * d + 2);
// tanh's result, which is also the head's input, and the gradient of the logits.
constexpr Index saved_head = S * d + S * c;

BOOST_AUTO_TEST_SUITE(economy)

BOOST_AUTO_TEST_CASE(a_step_with_metatt4d_costs_what_paper_says) {
  const Counts counts = count_step("metatt4d");
  // G2·G3 of all layers and types: (r·L × r)·(r × M·r), forward and for both cores.
  constexpr Index middles = 3 * (2 * r * L * r * M * r);
  BOOST_TEST(counts.gemm == forward + backward_frozen + middles);
  // Forward: x·G1 once a layer; for query and value the middle and the expansion by G4.
  constexpr Index wide = 2 * n * d * r, narrow = 2 * n * r * r;
  constexpr Index adapter_forward = L * (wide + M * (narrow + wide));
  // Backward, query and value each: the middle again and ∂G4, dy·G4ᵀ, ∂C and that through C; then
  // ∂G1 once a layer and ∂x in all but the first.
  constexpr Index adapter_backward =
      L * (M * (narrow + wide + wide + 2 * narrow) + wide) + (L - 1) * wide;
  BOOST_TEST(counts.low_rank == adapter_forward + adapter_backward);
  BOOST_TEST(counts.attention == L * (4 + 10) * d * squares);
  BOOST_TEST(counts.saved_floats == saved_layers + L * n * r + saved_head);
}

BOOST_AUTO_TEST_CASE(a_step_with_lora_costs_what_paper_says) {
  const Counts counts = count_step("lora");
  BOOST_TEST(counts.gemm == forward + backward_frozen);
  // A pair of factors for each of M sites: two products forward, ∂V, dy·Vᵀ, ∂U, and ∂x.
  constexpr Index wide = 2 * n * d * r;
  BOOST_TEST(counts.low_rank == L * M * (2 + 3) * wide + (L - 1) * M * wide);
  BOOST_TEST(counts.attention == L * (4 + 10) * d * squares);
  BOOST_TEST(counts.saved_floats == saved_layers + L * M * n * r + saved_head);
}

BOOST_AUTO_TEST_CASE(a_step_of_full_fine_tuning_costs_three_forward_passes) {
  const Counts counts = count_step("full");
  BOOST_TEST(counts.gemm == 3 * forward);
  BOOST_TEST(counts.low_rank == 0);
  // Beside the above the inputs of attention output (d), up (d) and down (4d), the layer norm of
  // the embeddings, and the pooler's input.
  BOOST_TEST(counts.saved_floats ==
             saved_layers + ((L - 1) * n + S) * 6 * d + n * (d + 1) + S * d + saved_head);
}

BOOST_AUTO_TEST_CASE(a_step_that_trains_only_the_head_differentiates_nothing_else) {
  const Counts counts = count_step("none");
  BOOST_TEST(counts.gemm == forward + head);
  BOOST_TEST(counts.attention == L * 4 * d * squares);
  BOOST_TEST(counts.saved_floats == saved_head);
}

BOOST_AUTO_TEST_CASE(dropout_saves_only_the_second_input_of_the_head) {
  const Counts plain = count_step("metatt4d");
  const Counts counts = count_step("metatt4d", {0.1, 0.1, 0.1});
  BOOST_TEST(counts.gemm == plain.gemm);
  BOOST_TEST(counts.saved_floats == plain.saved_floats + S * d);
}

BOOST_AUTO_TEST_CASE(saved_activations_stay_below_eleven_widths_a_token_and_layer) {
  for (const char* method : {"metatt4d", "lora"}) {
    const Counts counts = count_step(method, {0.1, 0.1, 0.1});
    BOOST_TEST(counts.saved_floats - saved_head - S * d <= 11 * d * n * L);
  }
}

BOOST_AUTO_TEST_CASE(inference_saves_nothing) {
  const AssembledModel<float> model(minilm_proportions(), c, Method::named("metatt4d", {}),
                                    random_weight<float>);
  Tape<float> tape;
  model.logits(tape, pack(examples()));
  BOOST_TEST(tape.saved_bytes() == 0);
}

BOOST_AUTO_TEST_CASE(a_steady_step_asks_the_system_for_no_memory) {
  for (const char* method : {"metatt4d", "lora", "full"}) {
    AdapterSettings settings;
    settings.rank = r;
    AssembledModel<float> model(minilm_proportions(), c, Method::named(method, settings),
                                random_weight<float>);
    AdamW<float> optimiser(model.weights, {}, {0, 100});
    const std::vector<double> labels(S, 1);
    std::vector<std::int64_t> allocations;
    for (int step = 1; step <= 6; ++step) {
      const Batch batch = pack(examples());
      Tape<float> tape(model.weights.arena(), 1, static_cast<std::uint64_t>(step));
      tape.backward(model.loss(tape, batch, labels, {0.1, 0.1, 0.1}));
      optimiser.step();
      allocations.push_back(tn::backend::memory_statistics().system_allocations);
    }
    BOOST_TEST(allocations[5] == allocations[1]);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
