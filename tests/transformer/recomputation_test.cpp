/// Layers that are run again in the backward pass instead of keeping what it needs.

#include "model_testing.hpp"

#include <metatt/autodiff/ops_loss.hpp>

using namespace metatt;
using namespace metatt::testing;

namespace {

/// One training step of a small model of a family.
struct StepOfFamily {
  StepOfFamily(const char* name, const std::string& method, bool recomputes) {
    const Family& family = find_family(name, "test");
    ModelConfig config = family_defaults(family);
    config.vocab_size = 24;
    config.hidden_size = 8;
    config.intermediate_size = 12;
    config.num_hidden_layers = 3;
    config.num_attention_heads = 2;
    config.max_position_embeddings = 16;
    Weights<double> weights;
    const Backbone<double> backbone(config, weights, random_weight<double>);
    std::unique_ptr<Adapter<double>> adapter;
    if (method == "full") {
      train_all(weights, {backbone.ids()});
    } else {
      AdapterSettings settings;
      settings.kind = method;
      settings.rank = 2;
      settings.targets = matrix_types(family);
      adapter = make_adapter(settings, config, weights);
      randomise_adapter(*adapter, weights);
      weights.build_arena();
    }
    Tape<double> tape(weights.arena(), 7, 3);
    tape.set_recomputes_layers(recomputes);
    const Variable<double> hidden =
        backbone.forward(tape, pack(random_examples(4, 5)), adapter.get(), {0.2, 0.2, 0.2, 0.2});
    const Variable<double> squares = autodiff::mean_squared_error(
        tape, hidden, tn::random_normal<double>(hidden.value.shape(), 9));
    saved = tape.saved_bytes();
    loss = squares.value.item();
    tape.backward(squares);
    auto& arena = weights.arena();
    for (Index i = 0; i < arena.count(); ++i) {
      BOOST_TEST(arena.has_gradient(i), arena.name(i));
      const auto part = arena.gradient(i).to_vector();
      gradients.insert(gradients.end(), part.begin(), part.end());
    }
  }
  double loss = 0;
  std::int64_t saved = 0;
  std::vector<double> gradients;
};

BOOST_AUTO_TEST_SUITE(recomputation)

BOOST_AUTO_TEST_CASE(it_changes_neither_loss_nor_gradients_and_saves_memory) {
  for (const char* family : {"bert", "roberta", "distilbert", "gpt2", "llama", "mistral", "qwen2"})
    for (const char* method : {"full", "lora", "metatt4d"})
      BOOST_TEST_CONTEXT(family << " " << method) {
        const StepOfFamily kept(family, method, false), again(family, method, true);
        BOOST_TEST(again.loss == kept.loss);
        BOOST_TEST(relative_error(kept.gradients, again.gradients) < 1e-14);
        BOOST_TEST(3 * again.saved < kept.saved);
      }
}

BOOST_AUTO_TEST_CASE(a_part_without_anything_to_train_is_not_run_again) {
  autodiff::ParameterArena<double> arena(std::vector<autodiff::ParameterSpec<double>>{
      {"a", tn::random_normal<double>({3}, 1), 0, {}, {}}});
  Tape<double> tape(arena, 0, 0);
  int runs = 0;
  const auto input = autodiff::constant(tn::random_normal<double>({3}, 2));
  const Variable<double> output = tape.recompute({input}, [&](Tape<double>&, auto in) {
    ++runs;
    return in[0];
  });
  BOOST_TEST(!output.tracked());
  BOOST_TEST(runs == 1);
  BOOST_TEST(tape.saved_bytes() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
