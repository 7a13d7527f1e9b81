#include "adapter_testing.hpp"

#include <metatt/transformer/adapters/lora.hpp>

#include <tuple>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Types = std::tuple<float, double>;

/// make_adapter with changed settings, perhaps with tensors of a file.
template <class Change>
void make_changed(const Change& change, const std::map<std::string, Shape>& shapes = {}) {
  AdapterSettings settings;
  change(settings);
  Weights<float> weights;
  make_adapter(settings, small_config(), weights, shapes);
}

BOOST_AUTO_TEST_SUITE(adapter)

// LoRA (arXiv:2106.09685): 2LMDr parameters.
BOOST_AUTO_TEST_CASE(parameter_counts_of_lora) {
  BOOST_TEST(adapter_parameters("lora", 8, 768, 12, 12) == 294912);
  BOOST_TEST(adapter_parameters("lora", 8, 1024, 24, 16) == 786432);
  BOOST_TEST(adapter_parameters("lora", 8, 4096, 32, 32) == 4194304);
}

BOOST_AUTO_TEST_CASE(parameter_counts_of_the_others) {
  const auto base = [](const char* kind, Index rank) {
    return adapter_parameters(kind, rank, 768, 12, 12);
  };
  BOOST_TEST(base("adalora", 8) == 24 * 8 * (2 * 768 + 1));
  BOOST_TEST(base("vera", 256) == 24 * (256 + 768));
  BOOST_TEST(base("lotr", 8) == 2 * (2 * 768 * 8 + 12 * 64));
  BOOST_TEST(base("lorta", 8) == 8 * (768 + 64 + 12 + 12 + 2));
  // On all six matrices, four of 768 × 768 and two of 3072 × 768, whose widths add up to 13,824.
  const auto six = [](const char* kind, Index rank) {
    AdapterSettings settings;
    settings.kind = kind;
    settings.rank = rank;
    settings.targets = matrix_types(small_config().family());
    return parameters_of(settings, 768, 12, 12);
  };
  BOOST_TEST(six("lora", 8) == 12 * 13824 * 8);
  BOOST_TEST(six("adalora", 8) == 12 * (13824 + 6) * 8);
  BOOST_TEST(six("vera", 256) == 12 * (6 * 256 + 5 * 768 + 3072));
  BOOST_TEST(six("lotr", 8) == 13824 * 8 + 6 * 12 * 64);
  BOOST_TEST(six("lorta", 8) == 8 * (3072 + 64 + 48 + 12 + 6));
  const auto trainable = [](const char* kind) {
    return AssembledModel<float>(small_config(), 2, small_adapter(kind), random_weight<float>)
        .weights.trainable_count();
  };
  BOOST_TEST(trainable("dora") - trainable("lora") == 2 * (5 * 8 + 12));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_fresh_adapter_changes_no_bit_of_the_logits, T, Types) {
  const Batch batch = pack(random_examples(5, 1));
  const AssembledModel<T> bare(small_config(), 2, Method::named("none", {}), random_weight<T>);
  const auto expected = logits_of(bare, batch);
  const auto check = [&](const Method& method) {
    const AssembledModel<T> model(small_config(), 2, method, random_weight<T>);
    BOOST_TEST(logits_of(model, batch) == expected, boost::test_tools::per_element());
  };
  for (const std::string& kind : adapter_kinds()) check(small_adapter(kind));
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
  for (const std::string& kind : adapter_kinds()) {
    AssembledModel<double> model(small_config(), 2, small_adapter(kind), random_weight<double>);
    AdamW<double> optimiser(model.weights, {}, {0, 100});
    model.loss_and_gradients(batch, labels);
    optimiser.step();
    const auto factors = lora_factors(*model.adapter, 1, MatrixType::key, 0);
    BOOST_TEST(tn::backend::norm(tn::backend::queue(), factors.B.size(), factors.B.data()) > 0);
    BOOST_TEST(tn::backend::norm(tn::backend::queue(), factors.A.size(), factors.A.data()) > 0);
  }
}

BOOST_AUTO_TEST_CASE(an_adapter_of_rank_one_has_factors_too) {
  for (const std::string& kind : adapter_kinds()) BOOST_TEST_CONTEXT(kind) {
      Method method = small_adapter(kind);
      method.adapter.rank = 1;
      AssembledModel<double> model(small_config(), 2, method, random_weight<double>);
      randomise_adapter(*model.adapter, model.weights);
      const auto factors = lora_factors(*model.adapter, 1, MatrixType::key, 0);
      BOOST_TEST(factors.A.extent(0) == 1);
      // The merged matrix is what its weight and the factors add up to.
      auto sum = dense_update<double>(factors).to_vector();
      const auto weight = random_weight<double>("weight", {8, 8});
      autodiff::Tape<double> tape;
      const auto updates = model.adapter->updates(tape, 0);
      const auto merged = model.adapter->merged(updates, 1, MatrixType::key, weight).to_vector();
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += weight.to_vector()[i];
      if (model.adapter->only_adds()) BOOST_TEST(relative_error(sum, merged) < 1e-13);
    }
}

BOOST_AUTO_TEST_CASE(settings_that_no_adapter_has_are_refused_by_name) {
  check_error([] { make_changed([](auto& s) { s.kind = "lola"; }); },
              {"adapter",
               "adalora, dora, lora, lorta, lotr, metatt4+1d, metatt4d, metatt5+1d, metatt5d, vera",
               "\"lola\""});
  check_error([] { make_changed([](auto& s) { s.rank = 0; }); }, {"rank", "at least 1", "found 0"});
  check_error([] { make_changed([](auto& s) { s.rank = 9; }); },
              {"rank", "at most rank 8", "found 9"});
  for (const char* kind : {"lora", "dora", "adalora", "lotr"})  // width 8, feed-forward 12
    check_error([&] { make_changed([&](auto& s) { s.kind = kind, s.rank = 9; }); },
                {"rank", "1 … 8", "found 9"});
  // Grown by a schedule a bond of LoTR's trains may be wider: 10 ≤ 2 layers × 6.
  const std::map<std::string, Shape> grown{{"adapter.feed_forward_down.U", {12, 10}},
                                           {"adapter.feed_forward_down.C", {10, 2, 6}},
                                           {"adapter.feed_forward_down.V", {6, 8}}};
  const auto grown_lotr = [&](const std::map<std::string, Shape>& shapes) {
    make_changed(
        [](auto& s) {
          s.kind = "lotr", s.rank = 10;
          s.targets = {MatrixType::feed_forward_down};
        },
        shapes);
  };
  grown_lotr(grown);
  check_error([&] { grown_lotr({}); }, {"rank", "1 … 8", "found 10"});
  for (const char* kind : {"vera", "lorta"}) {  // all matrices share their factors
    make_changed([&](auto& s) { s.kind = kind, s.rank = 9; });
    check_error([&] { make_changed([&](auto& s) { s.kind = kind, s.rank = 65537; }); },
                {"rank", "1 … 65536", "found 65537"});
  }
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
  check_error([] { find_matrix_types({"q_proj"}); },
              {"target_modules", "query, key, value", "\"q_proj\""});
  for (const double alpha : {0.0, -1.0, std::nan(""), 1e300})
    check_error([&] { make_changed([&](auto& s) { s.alpha = alpha; }); }, {"alpha"});
  for (const char* codes : {"ze", "ze-id-id", "ze-id-id-id-id", "ze-id-xx-id", "zeididid"})
    check_error([&] { make_changed([&](auto& s) { s.initialisation = codes; }); },
                {"initialisation", "4 codes", codes});
}

BOOST_AUTO_TEST_CASE(export_and_forward_pass_of_every_adapter_agree) {
  const Batch batch = pack(random_examples(5, 1));
  const AssembledModel<double> bare(small_config(), 2, Method::named("none", {}),
                                    random_weight<double>);
  for (const std::string& kind : adapter_kinds()) BOOST_TEST_CONTEXT(kind) {
      AssembledModel<double> model(small_config(), 2, small_adapter(kind), random_weight<double>);
      randomise_adapter(*model.adapter, model.weights);
      const auto expected = merged_logits(model, batch);
      BOOST_TEST(relative_error(expected, logits_of(model, batch)) < 1e-12);
      BOOST_TEST(relative_error(expected, logits_of(bare, batch)) > 1e-3);
    }
}

BOOST_AUTO_TEST_CASE(a_matrix_that_is_not_adapted_has_no_factors) {
  for (const std::string& kind : adapter_kinds()) {
    Method method = small_adapter(kind);
    method.adapter.targets = {MatrixType::query, MatrixType::value};
    const AssembledModel<float> model(small_config(), 2, method, random_weight<float>);
    check_error([&] { lora_factors(*model.adapter, 0, MatrixType::key, 0); },
                {"key", "not adapted"});
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
