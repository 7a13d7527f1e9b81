#include "../autodiff/gradient_testing.hpp"
#include "model_testing.hpp"

#include <tuple>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Types = std::tuple<float, double>;

/// One adapted layer; everything small, since each weight costs four passes.
ModelConfig one_layer() {
  ModelConfig config = small_config();
  config.vocab_size = 24;
  config.num_hidden_layers = 1;
  config.hidden_size = 6;
  config.intermediate_size = 10;
  config.max_position_embeddings = 12;
  config.layer_norm_eps = 1e-5;
  return config;
}

/// Checks all gradients of encoder, head and (for an adapter's name) adapter at once.
void check_layer(const std::string& adapter, const DropoutRates& rates) {
  const ModelConfig config = one_layer();
  Weights<double> weights;
  const Backbone<double> backbone(config, weights, random_weight<double>);
  const Classifier<double> classifier(backbone, 2, random_weight<double>);
  const auto trained = make_adapter(small_adapter(adapter).adapter, config, weights);
  randomise_adapter(*trained, weights);
  for (typename Weights<double>::Id id = 0; id < weights.count(); ++id)
    weights.train(id, WeightGroup::decayed);
  weights.build_arena();
  const auto examples = random_examples(3, 1);
  const Batch batch = pack(examples);
  const std::vector<double> labels{0, 1, 1};
  autodiff::testing::check_gradients(weights.arena(), [&](bool backward) {
    Tape<double> tape = autodiff::testing::repeated_tape(weights.arena());
    const auto logits = classifier.logits(tape, batch, trained.get(), rates);
    const auto loss = classifier.loss(tape, logits, labels);
    if (backward) tape.backward(loss);
    return loss.value.item();
  });
}

BOOST_AUTO_TEST_SUITE(backbone)

BOOST_AUTO_TEST_CASE(gradients_of_a_layer_with_metatt4d_agree_with_differences) {
  check_layer("metatt4d", {});
}

BOOST_AUTO_TEST_CASE(gradients_of_a_layer_with_lora_and_dropout_agree_with_differences) {
  check_layer("lora", {0.2, 0.3, 0.1, 0.2});
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_packed_batch_gives_each_text_what_it_gets_alone, T, Types) {
  const AssembledModel<T> model(small_config(), 3, Method::named("none", {}), random_weight<T>);
  const auto examples = random_examples(7, 2);
  std::vector<T> alone;
  for (const Example& example : examples)
    for (const T logit : logits_of(model, pack({example}))) alone.push_back(logit);
  BOOST_TEST(relative_error(alone, logits_of(model, pack(examples))) <
             (sizeof(T) == 4 ? 1e-5 : 1e-13));
}

BOOST_AUTO_TEST_CASE(the_order_of_texts_in_a_batch_does_not_matter) {
  const AssembledModel<double> model(small_config(), 1, Method::named("none", {}),
                                     random_weight<double>);
  auto examples = random_examples(6, 2);
  std::vector<double> forwards = logits_of(model, pack(examples));
  std::reverse(examples.begin(), examples.end());
  const std::vector<double> backwards = logits_of(model, pack(examples));
  std::reverse(forwards.begin(), forwards.end());
  BOOST_TEST(relative_error(forwards, backwards) < 1e-13);
}

BOOST_AUTO_TEST_CASE(tokens_types_and_positions_beyond_the_tables_are_refused) {
  const AssembledModel<float> model(small_config(), 2, Method::named("none", {}),
                                    random_weight<float>);
  const auto run = [&](std::vector<std::int32_t> ids, std::vector<std::int32_t> types) {
    logits_of(model, pack({{{std::move(ids), std::move(types)}, 0}}));
  };
  run({2, 23}, {0, 1});
  check_error([&] { run({2, 24}, {0, 0}); }, {"token 24", "24 tokens"});
  check_error([&] { run({2, 3}, {0, 2}); }, {"type 2", "2 types"});
  check_error([&] { run(std::vector<std::int32_t>(17, 5), std::vector<std::int32_t>(17, 0)); },
              {"17 tokens", "16 positions"});
}

BOOST_AUTO_TEST_CASE(a_label_that_is_no_class_is_refused) {
  const AssembledModel<float> model(small_config(), 2, Method::named("none", {}),
                                    random_weight<float>);
  const Batch batch = pack(random_examples(1, 1));
  Tape<float> tape;
  check_error([&] { model.loss(tape, batch, std::vector<double>{2}); }, {"label 2", "2 classes"});
}

BOOST_AUTO_TEST_CASE(dropout_is_off_outside_training_and_where_its_rate_is_zero) {
  AssembledModel<double> model(small_config(), 2, Method::named("none", {}), random_weight<double>);
  const Batch batch = pack(random_examples(4, 1));
  const auto in_training = [&](const DropoutRates& rates) {
    Tape<double> tape(model.weights.arena(), 1, 1);
    return model.logits(tape, batch, rates).value.to_vector();
  };
  const std::vector<double> plain = logits_of(model, batch);
  BOOST_TEST(in_training({}) == plain, boost::test_tools::per_element());
  Tape<double> inference;
  BOOST_TEST(model.logits(inference, batch, {0.1, 0.1, 0.1}).value.to_vector() == plain,
             boost::test_tools::per_element());
  for (const DropoutRates rates :
       {DropoutRates{.hidden = 0.5}, {.attention = 0.5}, {.classifier = 0.5}, {.embedding = 0.5}})
    BOOST_TEST((in_training(rates) != plain));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
