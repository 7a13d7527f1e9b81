#include "adapter_testing.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/transformer/adapters/meta_tt.hpp>

using namespace metatt;
using namespace metatt::testing;

namespace {

constexpr std::array kinds{"metatt4d", "metatt5d", "metatt4+1d", "metatt5+1d"};

/// All orders of the inner cores of a kind.
std::vector<std::vector<CoreMode>> orders(const std::string& kind) {
  auto order = inner_modes_of(kind);
  std::ranges::sort(order);
  std::vector<std::vector<CoreMode>> all;
  do all.push_back(order);
  while (std::ranges::next_permutation(order).found);
  return all;
}

/// A small model with a feed-forward that is no multiple of a head wide.
ModelConfig uneven_config() {
  ModelConfig config = small_config();
  config.intermediate_size = 10;
  return config;
}

/// An adapter of three tasks on all six matrix types with ranks that differ and random cores.
std::unique_ptr<AssembledModel<double>> random_model(const std::string& kind,
                                                     const std::vector<CoreMode>& order) {
  Method method = small_adapter(kind);
  method.adapter.core_order = order;
  method.adapter.tasks = 3;
  method.adapter.ranks = {4, 2, 4, 3, 4};
  method.adapter.ranks.resize(order.size() + 1);
  auto model =
      std::make_unique<AssembledModel<double>>(uneven_config(), 2, method, random_weight<double>);
  randomise_adapter(*model->adapter, model->weights);
  return model;
}

const MetaTT<double>& train_of(const AssembledModel<double>& model) {
  return dynamic_cast<const MetaTT<double>&>(*model.adapter);
}

/// The elements of a train of all updates that belong to one matrix, times α, D_out × D_in.
std::vector<double> slices(const Tensor<double>& train, const std::vector<CoreMode>& order,
                           Index layer, MatrixType type, Index task, const MatrixExtents& extents) {
  const Index block = train.shape().back();
  std::vector<double> matrix;
  for (Index o = 0; o < extents.d_out; ++o)
    for (Index i = 0; i < extents.d_in; ++i) {
      std::vector<Index> place{i};
      for (const CoreMode mode : order) {
        if (mode == CoreMode::layer) place.push_back(layer);
        if (mode == CoreMode::task) place.push_back(task);
        if (mode == CoreMode::matrix_type) place.push_back(static_cast<Index>(type));
        if (mode == CoreMode::head) place.push_back(o / block);
      }
      place.push_back(o % block);
      Index offset = 0;
      for (std::size_t k = 0; k < place.size(); ++k) offset = offset * train.shape()[k] + place[k];
      matrix.push_back(0.7 * train.data()[offset]);
    }
  return matrix;
}

BOOST_AUTO_TEST_SUITE(meta_tt)

// MetaTT (arXiv:2506.09105), query and value: 4D has 2Dr + (L + M)r² parameters, 5D
// (D + D/H)r + (L + M + H)r², (4+1)D 2Dr + (L + M + T)r².
BOOST_AUTO_TEST_CASE(parameter_counts_are_those_of_the_paper) {
  const auto base = [](const char* kind, Index rank) {
    return adapter_parameters(kind, rank, 768, 12, 12);
  };
  BOOST_TEST(base("metatt4d", 8) == 13184);
  BOOST_TEST(base("metatt4d", 16) == 28160);
  BOOST_TEST(base("metatt4d", 24) == 44928);
  BOOST_TEST(base("metatt4d", 64) == 155648);
  BOOST_TEST(base("metatt5d", 8) == 8320);
  BOOST_TEST(base("metatt5d", 16) == 19968);
  BOOST_TEST(base("metatt5d", 64) == 159744);
  BOOST_TEST(adapter_parameters("metatt4+1d", 8, 768, 12, 12, 3) == 13184 + 3 * 64);
  BOOST_TEST(adapter_parameters("metatt5+1d", 8, 768, 12, 12, 3) == 8320 + 3 * 64);
  const auto large = [](const char* kind, Index rank) {
    return adapter_parameters(kind, rank, 1024, 24, 16);
  };
  BOOST_TEST(large("metatt4d", 16) == 39424);
  BOOST_TEST(large("metatt4d", 32) == 92160);
  BOOST_TEST(large("metatt5d", 32) == 77824);
  BOOST_TEST(adapter_parameters("metatt4d", 8, 4096, 32, 32) == 67712);
  BOOST_TEST(adapter_parameters("metatt4d", 64, 4096, 32, 32) == 663552);
}

// All six matrices of a layer as wide as 768, two of them 3072 × 768: a train is as large as the
// largest, where heads of 64 columns are 48.
BOOST_AUTO_TEST_CASE(parameter_counts_of_matrices_that_differ_and_a_rank_for_each_bond) {
  const auto count = [](const std::string& kind, const std::vector<Index>& ranks) {
    AdapterSettings settings;
    settings.kind = kind;
    settings.ranks = ranks;
    settings.tasks = 3;
    settings.targets = matrix_types(small_config().family());
    return parameters_of(settings, 768, 12, 12);
  };
  const Index ends = 3072 * 8 + 12 * 8 * 6;  // of the first mode and the layers
  BOOST_TEST(count("metatt4d", {8, 6, 4}) == ends + 6 * 6 * 4 + 4 * 3072);
  BOOST_TEST(count("metatt5d", {8, 6, 5, 4}) == ends + 6 * 6 * 5 + 48 * 5 * 4 + 4 * 64);
  BOOST_TEST(count("metatt4+1d", {8, 6, 5, 4}) == ends + 3 * 6 * 5 + 6 * 5 * 4 + 4 * 3072);
  BOOST_TEST(count("metatt5+1d", {8, 6, 5, 4, 3}) ==
             ends + 3 * 6 * 5 + 6 * 5 * 4 + 48 * 4 * 3 + 3 * 64);
}

BOOST_AUTO_TEST_CASE(a_fresh_train_of_every_kind_and_order_changes_no_bit_of_the_logits) {
  const Batch batch = pack(random_examples(5, 1));
  const AssembledModel<float> bare(small_config(), 2, Method::named("none", {}),
                                   random_weight<float>);
  const auto expected = logits_of(bare, batch);
  for (const char* kind : kinds)
    for (const auto& order : orders(kind)) {
      Method method = small_adapter(kind);
      method.adapter.core_order = order;
      const AssembledModel<float> model(small_config(), 2, method, random_weight<float>);
      BOOST_TEST(logits_of(model, batch) == expected, boost::test_tools::per_element());
    }
}

// Export, train, forward pass and merged weights are four ways to the same numbers.
BOOST_AUTO_TEST_CASE(a_matrix_takes_its_slices_in_every_kind_and_order) {
  for (const std::string kind : kinds)
    for (const auto& order : orders(kind)) {
      const auto model = random_model(kind, order);
      const auto& train = train_of(*model);
      const bool tasks = std::ranges::count(order, CoreMode::task) > 0;
      BOOST_TEST_CONTEXT(kind << " " << tn::joined(train.mode_names())) {
        BOOST_TEST(train.ranks() == model->adapter->settings().ranks,
                   boost::test_tools::per_element());
        const Tensor<double> dense = train.train().to_dense();
        const ModelConfig config = uneven_config();
        for (const Index task : {Index{0}, Index{2}}) {
          for (Index layer = 0; layer < config.num_hidden_layers; ++layer)
            for (const MatrixType type : matrix_types(config.family())) {
              const auto expected =
                  slices(dense, order, layer, type, task, matrix_extents(config, type));
              const auto factors = lora_factors(*model->adapter, layer, type, task);
              BOOST_TEST(largest_difference(expected, dense_update<double>(factors).to_vector()) <
                         1e-13);
              BOOST_TEST(factors.A.extent(0) <= train.ranks().front());
            }
          Batch batch = pack(random_examples(5, 1));
          batch.task = task;
          BOOST_TEST(relative_error(merged_logits(*model, batch, task), logits_of(*model, batch)) <
                     1e-12);
        }
        Batch other = pack(random_examples(5, 1));
        other.task = 1;
        BOOST_TEST((logits_of(*model, pack(random_examples(5, 1))) != logits_of(*model, other)) ==
                   tasks);
      }
    }
}

BOOST_AUTO_TEST_CASE(gradients_of_every_kind_and_order_agree_with_differences) {
  const std::vector<double> labels{0, 1, 1};
  Batch batch = pack(random_examples(3, 1));
  batch.task = 1;
  for (const std::string kind : kinds)
    for (const auto& order : orders(kind)) {
      const auto model = random_model(kind, order);
      model->loss_and_gradients(batch, labels);
      auto& arena = model->weights.arena();
      for (const auto id : model->adapter->tensors()) {
        const Index place = arena.find(model->weights.name(id));
        const std::vector<double> gradient = arena.gradient(place).to_vector();
        const Tensor<double> value = model->weights.value(id);
        const auto step = tn::random_normal<double>(value.shape(), 3, 1);
        const auto moved_loss = [&](double by) {
          Tensor<double> moved =
              Tensor<double>::from(value.shape(), std::span<const double>(value.to_vector()));
          tn::backend::add_scaled(tn::backend::queue(), step.size(), by, step.data(),
                                  moved.mutable_data());
          const Tensor<double> before =
              Tensor<double>::from(value.shape(), std::span<const double>(value.to_vector()));
          model->weights.set_value(id, moved);
          Tape<double> tape;
          const double loss = model->loss(tape, batch, labels).value.item();
          model->weights.set_value(id, before);
          return loss;
        };
        const double expected = (moved_loss(1e-5) - moved_loss(-1e-5)) / 2e-5;
        const auto direction = step.to_vector();
        double found = 0;
        for (std::size_t i = 0; i < direction.size(); ++i) found += direction[i] * gradient[i];
        BOOST_TEST_CONTEXT(kind << " " << tn::joined(train_of(*model).mode_names()) << " "
                                << model->weights.name(id))
        BOOST_TEST(found == expected, boost::test_tools::tolerance(1e-6));
      }
    }
}

// G_k → G_k·X, G_{k+1} → X⁻¹·G_{k+1} with X = 1 + N, N² = 0, so that X⁻¹ = 1 − N.
BOOST_AUTO_TEST_CASE(a_change_of_gauge_changes_no_output) {
  const Batch batch = pack(random_examples(5, 1));
  for (const std::string kind : kinds) {
    const auto model = random_model(kind, inner_modes_of(kind));
    const auto before = logits_of(*model, batch);
    const auto& train = train_of(*model);
    for (Index k = 0; k + 1 < train.cores(); ++k) {
      const Index rank = train.ranks()[static_cast<std::size_t>(k)];
      Tensor<double> X = tn::identity<double>(rank, rank),
                     inverse = tn::identity<double>(rank, rank);
      X.mutable_data()[rank - 1] = 0.8;  // in the first row, last column
      inverse.mutable_data()[rank - 1] = -0.8;
      const auto multiplied = [&](const auto id, const Tensor<double>& left,
                                  const Tensor<double>& right) {
        const Shape shape = model->weights.shape(id);
        const Tensor<double> value = model->weights.value(id);
        const Index size = value.size();
        const Tensor<double> product =
            right.empty()
                ? tn::matrix_product(left, value.reshaped({shape.front(), size / shape.front()}))
                : tn::matrix_product(value.reshaped({size / shape.back(), shape.back()}), right);
        model->weights.set_value(id, product.reshaped(shape));
      };
      multiplied(train.core(k), {}, X);
      multiplied(train.core(k + 1), inverse, {});
    }
    BOOST_TEST(relative_error(before, logits_of(*model, batch)) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(ranks_that_a_bond_cannot_hold_are_refused) {
  const auto make = [](const std::string& kind, const std::vector<Index>& ranks,
                       const std::vector<CoreMode>& order = {}) {
    Method method = small_adapter(kind);
    method.adapter.ranks = ranks;
    method.adapter.core_order = order;
    Weights<float> weights;
    make_adapter(method.adapter, small_config(), weights);
  };
  make("metatt5d", {3, 3, 3, 4});
  check_error(
      [&] {
        make("metatt5d", {3, 3, 3, 5});
      },
      {"rank", "bond 4", "at most rank 4", "found 5"});
  check_error(
      [&] {
        make("metatt4d", {13, 3, 3});
      },
      {"rank", "bond 1", "at most rank 12", "found 13"});
  // Two layers and a bond of rank one leave no more than rank two.
  check_error(
      [&] {
        make("metatt4d", {1, 3, 3});
      },
      {"rank", "bond 2", "at most rank 2", "found 3"});
  check_error([&] { make("metatt4d", {3, 0, 3}); }, {"rank", "bond 2", "found 0"});
  check_error([&] { make("metatt4d", {3, 3}); }, {"rank", "3, one for each bond", "found 2"});
  using enum CoreMode;
  check_error(
      [&] {
        make("metatt4d", {}, {layer, head});
      },
      {"core_order", "layer, matrix_type", "found layer, head"});
  check_error([&] { make("metatt5d", {}, {layer, matrix_type}); }, {"core_order", "head"});
  check_error([] { find_core_modes({"heads"}); }, {"core_order", "head", "\"heads\""});
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

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
