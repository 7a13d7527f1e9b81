#include "model_testing.hpp"

#include <metatt/transformer/lora.hpp>

#include <tuple>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Types = std::tuple<float, double>;

Index parameters(const std::string& kind, Index rank, Index width, Index layers) {
  ModelConfig config = small_config();
  config.hidden_size = width;
  config.intermediate_size = 4 * width;
  config.num_hidden_layers = layers;
  AdapterSettings settings;
  settings.kind = kind;
  settings.rank = rank;
  Weights<float> weights;
  make_adapter(settings, config, weights);
  return weights.trainable_count();
}

/// make_adapter with changed settings.
template <class Change>
void make_changed(const Change& change) {
  AdapterSettings settings;
  change(settings);
  Weights<float> weights;
  make_adapter(settings, small_config(), weights);
}

/// A metatt4d adapter on all matrix types with these ranks and random cores.
template <class T>
std::unique_ptr<AssembledModel<T>> with_ranks(const ModelConfig& config,
                                              const std::array<Index, 3>& ranks) {
  const Index widest = std::max(config.hidden_size, config.intermediate_size);
  auto model = std::make_unique<AssembledModel<T>>(
      config, 2, small_adapter("metatt4d"), random_weight<T>,
      std::map<std::string, Shape>{{"adapter.G1", {widest, ranks[0]}},
                                   {"adapter.G2", {ranks[0], config.num_hidden_layers, ranks[1]}},
                                   {"adapter.G3", {ranks[1], 6, ranks[2]}},
                                   {"adapter.G4", {ranks[2], widest}}});
  randomise_adapter(*model->adapter, model->weights);
  return model;
}

/// Logits of the bare model after the updates are added to its weights.
std::vector<double> merged_logits(const AssembledModel<double>& model, const Batch& batch) {
  const auto& config = model.backbone.config();
  const auto initial = [&](const std::string& name, const Shape& shape) {
    return random_weight<double>(name, shape);
  };
  AssembledModel<double> merged(config, 2, Method::named("none", {}), initial);
  for (Index l = 0; l < config.num_hidden_layers; ++l) {
    const auto& ids = merged.backbone.layers()[static_cast<std::size_t>(l)];
    const auto add = [&](auto id, Index first_row, MatrixType type) {
      const auto update = dense_update<double>(model.adapter->lora_factors(l, type));
      Tensor<double> weight = merged.weights.value(id);
      tn::backend::add_scaled(tn::backend::queue(), update.size(), 1.0, update.data(),
                              weight.mutable_data() + first_row * weight.extent(1));
      merged.weights.set_value(id, weight);
    };
    const Index d = config.hidden_size;
    add(ids.qkv.weight, 0, MatrixType::query);
    add(ids.qkv.weight, d, MatrixType::key);
    add(ids.qkv.weight, 2 * d, MatrixType::value);
    add(ids.attention_output.weight, 0, MatrixType::attention_output);
    add(ids.up.weight, 0, MatrixType::feed_forward_up);
    add(ids.down.weight, 0, MatrixType::feed_forward_down);
  }
  return logits_of(merged, batch);
}

BOOST_AUTO_TEST_SUITE(adapter)

// MetaTT (arXiv:2506.09105), query and value: 4D has 2Dr + (L + M)r² parameters, LoRA 2LMDr.
BOOST_AUTO_TEST_CASE(parameter_counts_of_roberta_base) {
  BOOST_TEST(parameters("lora", 8, 768, 12) == 294912);
  BOOST_TEST(parameters("metatt4d", 8, 768, 12) == 13184);
  BOOST_TEST(parameters("metatt4d", 16, 768, 12) == 28160);
  BOOST_TEST(parameters("metatt4d", 24, 768, 12) == 44928);
  BOOST_TEST(parameters("metatt4d", 64, 768, 12) == 155648);
}

BOOST_AUTO_TEST_CASE(parameter_counts_of_roberta_large) {
  BOOST_TEST(parameters("lora", 8, 1024, 24) == 786432);
  BOOST_TEST(parameters("metatt4d", 16, 1024, 24) == 39424);
  BOOST_TEST(parameters("metatt4d", 32, 1024, 24) == 92160);
}

BOOST_AUTO_TEST_CASE(parameter_counts_of_llama_2_7b) {
  BOOST_TEST(parameters("lora", 8, 4096, 32) == 4194304);
  BOOST_TEST(parameters("metatt4d", 8, 4096, 32) == 67712);
  BOOST_TEST(parameters("metatt4d", 64, 4096, 32) == 663552);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fresh_adapter_changes_no_bit_of_the_logits, T, Types) {
  const Batch batch = pack(random_examples(5, 1));
  const AssembledModel<T> bare(small_config(), 2, Method::named("none", {}), random_weight<T>);
  const auto expected = logits_of(bare, batch);
  const auto check = [&](const Method& method) {
    const AssembledModel<T> model(small_config(), 2, method, random_weight<T>);
    BOOST_TEST(logits_of(model, batch) == expected, boost::test_tools::per_element());
  };
  check(small_adapter("lora"));
  int legal = 0;
  const std::array<std::string, 4> codes{"ze", "id", "no", "or"};
  for (int set = 0; set < 256; ++set) {
    std::string text;
    int zeros = 0;
    for (const int place : {64, 16, 4, 1}) {
      const std::string& code = codes[static_cast<std::size_t>(set / place % 4)];
      text += (text.empty() ? "" : "-") + code;
      zeros += code == "ze";
    }
    Method method = small_adapter("metatt4d");
    method.adapter.initialisation = text;
    if (zeros == 1) {
      ++legal;
      BOOST_TEST_CONTEXT(text) {
        check(method);
      }
    } else {
      Weights<T> weights;
      check_error([&] { make_adapter(method.adapter, small_config(), weights); },
                  {"initialisation", "exactly one ze", text});
    }
  }
  BOOST_TEST(legal == 4 * 27);
}

BOOST_AUTO_TEST_CASE(a_fresh_adapter_leaves_zero_after_one_step) {
  const Batch batch = pack(random_examples(5, 1));
  const std::vector<double> labels{0, 1, 1, 0, 1};
  for (const char* kind : {"metatt4d", "lora"}) {
    AssembledModel<double> model(small_config(), 2, small_adapter(kind), random_weight<double>);
    AdamW<double> optimiser(model.weights, {}, {0, 100});
    model.loss_and_gradients(batch, labels);
    optimiser.step();
    const auto factors = model.adapter->lora_factors(1, MatrixType::key);
    BOOST_TEST(tn::backend::norm(tn::backend::queue(), factors.B.size(), factors.B.data()) > 0);
    BOOST_TEST(tn::backend::norm(tn::backend::queue(), factors.A.size(), factors.A.data()) > 0);
  }
}

BOOST_AUTO_TEST_CASE(settings_that_no_adapter_has_are_refused_by_name) {
  check_error([] { make_changed([](auto& s) { s.kind = "lola"; }); },
              {"adapter", "lora, metatt4d", "\"lola\""});
  check_error([] { make_changed([](auto& s) { s.rank = 0; }); }, {"rank", "1 … 8", "found 0"});
  check_error([] { make_changed([](auto& s) { s.rank = 9; }); }, {"rank", "1 … 8", "found 9"});
  check_error([] { make_changed([](auto& s) { s.targets.clear(); }); },
              {"target_modules", "at least one"});
  check_error(
      [] { make_changed([](auto& s) {
             s.targets = {MatrixType::value, MatrixType::query};
           }); },
      {"target_modules", "order"});
  check_error(
      [] { make_changed([](auto& s) {
             s.targets = {MatrixType::value, MatrixType::value};
           }); },
      {"target_modules", "once"});
  check_error([] { find_matrix_type("q_proj"); },
              {"target_modules", "query, key, value", "\"q_proj\""});
  for (const double alpha : {0.0, -1.0, std::nan(""), 1e300})
    check_error([&] { make_changed([&](auto& s) { s.alpha = alpha; }); }, {"alpha"});
  for (const char* codes : {"", "ze", "ze-id-id", "ze-id-id-id-id", "ze-id-xx-id", "zeididid"})
    check_error([&] { make_changed([&](auto& s) { s.initialisation = codes; }); },
                {"initialisation", "four codes", codes});
}

BOOST_AUTO_TEST_CASE(cores_of_shapes_that_do_not_fit_are_refused_by_name) {
  const auto with = [](const std::map<std::string, Shape>& changed) {
    std::map<std::string, Shape> shapes{{"adapter.G1", {8, 3}},
                                        {"adapter.G2", {3, 2, 4}},
                                        {"adapter.G3", {4, 2, 5}},
                                        {"adapter.G4", {5, 8}}};
    for (const auto& [name, shape] : changed) shapes[name] = shape;
    Weights<float> weights;
    make_adapter({}, small_config(), weights, shapes);
  };
  with({});
  check_error([&] { with({{"adapter.G1", {7, 3}}}); }, {"adapter.G1", "7×3", "8×3"});
  check_error([&] { with({{"adapter.G1", {8}}}); }, {"adapter.G1"});
  check_error([&] { with({{"adapter.G2", {3, 4}}}); }, {"adapter.G2", "3×4"});
  check_error([&] { with({{"adapter.G2", {2, 2, 4}}}); }, {"adapter.G2", "2×2×4", "3×2×4"});
  check_error([&] { with({{"adapter.G3", {4, 3, 5}}}); }, {"adapter.G3", "4×3×5", "4×2×5"});
  check_error([&] { with({{"adapter.G4", {4, 8}}}); }, {"adapter.G4", "4×8", "5×8"});
}

BOOST_AUTO_TEST_CASE(export_train_and_forward_pass_agree_for_unequal_ranks) {
  const ModelConfig config = small_config();
  const Batch batch = pack(random_examples(5, 1));
  for (const std::array<Index, 3> ranks : {std::array<Index, 3>{3, 4, 5}, {5, 2, 3}, {4, 4, 4}}) {
    BOOST_TEST_CONTEXT("ranks " << tn::shape_text(ranks)) {
      const auto model = with_ranks<double>(config, ranks);
      const auto& train = dynamic_cast<const MetaTT4D<double>&>(*model->adapter);
      BOOST_TEST(train.ranks() == std::vector<Index>(ranks.begin(), ranks.end()),
                 boost::test_tools::per_element());
      const Tensor<double> dense = train.train().to_dense();  // D_in × L × M × D_out
      for (Index l = 0; l < config.num_hidden_layers; ++l) {
        for (const MatrixType type : matrix_types(config.family())) {
          const auto t = static_cast<Index>(type);
          const auto factors = model->adapter->lora_factors(l, type);
          const auto [d_in, d_out] = matrix_extents(config, type);
          BOOST_TEST(factors.A.shape() == (Shape{std::min(ranks[0], ranks[2]), d_in}));
          BOOST_TEST(factors.B.shape() == (Shape{d_out, std::min(ranks[0], ranks[2])}));
          const Tensor<double> update = dense_update<double>(factors);
          double error = 0;
          for (Index i = 0; i < d_in; ++i)
            for (Index o = 0; o < d_out; ++o)
              error = std::max(error, std::abs(update.at({o, i}) - 0.7 * dense.at({i, l, t, o})));
          BOOST_TEST(error < 1e-13);
        }
      }
      BOOST_TEST(relative_error(merged_logits(*model, batch), logits_of(*model, batch)) < 1e-12);
    }
  }
}

BOOST_AUTO_TEST_CASE(export_and_forward_pass_of_lora_agree) {
  const Batch batch = pack(random_examples(5, 1));
  AssembledModel<double> model(small_config(), 2, small_adapter("lora"), random_weight<double>);
  randomise_adapter(*model.adapter, model.weights);
  const AssembledModel<double> bare(small_config(), 2, Method::named("none", {}),
                                    random_weight<double>);
  const auto expected = merged_logits(model, batch);
  BOOST_TEST(relative_error(expected, logits_of(model, batch)) < 1e-12);
  BOOST_TEST(relative_error(expected, logits_of(bare, batch)) > 1e-2);
}

BOOST_AUTO_TEST_CASE(a_matrix_that_is_not_adapted_has_no_factors) {
  for (const char* kind : {"metatt4d", "lora"}) {
    const AssembledModel<float> model(small_config(), 2, Method::named(kind, {}),
                                      random_weight<float>);
    check_error([&] { model.adapter->lora_factors(0, MatrixType::key); }, {"key", "not adapted"});
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
