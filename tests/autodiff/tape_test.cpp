#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_linear.hpp>
#include <metatt/autodiff/ops_loss.hpp>

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <string>
#include <vector>

using namespace metatt::autodiff;
namespace tn = metatt::tn;

namespace {

using Specs = std::vector<ParameterSpec<double>>;

ParameterSpec<double> parameter(const std::string& name, Tensor<double> value, int group = 0,
                                Tensor<double> first_moment = {}) {
  return {name, std::move(value), group, std::move(first_moment), {}};
}

/// Two parameters, a (2 × 2) and b (2 × 2).
ParameterArena<double> two_matrices() {
  return ParameterArena<double>(
      Specs{parameter("a", Tensor<double>::from({2, 2}, {1, 2, 3, 4})),
            parameter("b", Tensor<double>::from({2, 2}, {1, -1, 2, 0.5}))});
}

Variable<double> distance_from_zero(Tape<double>& tape, const Variable<double>& x) {
  return mean_squared_error(tape, x, Tensor<double>::zeros(x.value.shape()));
}

template <class Call>
void check_message(const Call& call, const std::string& fragment) {
  BOOST_CHECK_EXCEPTION(call(), tn::Error, [&](const tn::Error& error) {
    return std::string(error.what()).find(fragment) != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE(tape)

BOOST_AUTO_TEST_CASE(an_operation_without_derivative_is_an_error_on_a_gradient_path_only) {
  auto arena = two_matrices();
  Tape<double> tape(arena, 1, 1);
  const Variable<double> a = tape.parameter(arena, 0);
  const Variable<double> input = constant(Tensor<double>::zeros({2, 2}));
  BOOST_TEST(!tape.record("sort", input.value, {&input}, nullptr).tracked());
  check_message(
      [&] {
        tape.record("sort", a.value, {&input, &a}, nullptr);
      },
      "sort: has no derivative");
}

BOOST_AUTO_TEST_CASE(an_arena_without_parameters_is_an_error) {
  check_message([] { ParameterArena<double>{Specs()}; }, "no trainable parameter");
}

BOOST_AUTO_TEST_CASE(a_loss_that_depends_on_no_parameter_is_an_error) {
  auto arena = two_matrices();
  Tape<double> tape(arena, 1, 1);
  const Variable<double> input = constant(Tensor<double>::from({2}, {1, 2}));
  check_message([&] { tape.backward(distance_from_zero(tape, input)); },
                "depends on no trainable parameter");
}

BOOST_AUTO_TEST_CASE(a_loss_of_more_than_one_number_is_an_error) {
  auto arena = two_matrices();
  Tape<double> tape(arena, 1, 1);
  check_message([&] { tape.backward(tape.parameter(arena, 0)); }, "one number, found shape 2×2");
}

BOOST_AUTO_TEST_CASE(a_parameter_of_another_arena_is_an_error) {
  auto arena = two_matrices();
  const auto other = two_matrices();
  Tape<double> tape(arena, 1, 1);
  check_message([&] { tape.parameter(other, 1); }, "\"b\" belongs to another arena");
}

BOOST_AUTO_TEST_CASE(a_second_backward_pass_through_one_operation_is_an_error) {
  auto arena = two_matrices();
  Tape<double> tape(arena, 1, 1);
  const Variable<double> loss = distance_from_zero(tape, tape.parameter(arena, 0));
  tape.backward(loss);
  check_message([&] { tape.backward(loss); }, "mean_squared_error");
}

BOOST_AUTO_TEST_CASE(gradients_of_two_uses_add) {
  auto arena = two_matrices();
  Tape<double> tape(arena, 1, 1);
  // Two uses of a in two variables of the tape: loss = |a·a|² / 4.
  const Variable<double> square =
      matmul(tape, tape.parameter(arena, 0), tape.parameter(arena, 0), {2, 2});
  tape.backward(distance_from_zero(tape, square));
  // G = a·a/2 = [[7, 10], [15, 22]]/2, gradient G·aᵀ + aᵀ·G, by hand.
  const std::vector<double> expected{39.5, 68.5, 66.5, 120.5};
  const std::vector<double> found = arena.gradient(0).to_vector();
  BOOST_TEST(found == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(gradients_add_until_they_are_cleared) {
  auto arena = two_matrices();
  const auto pass = [&] {
    Tape<double> tape(arena, 1, 1);
    tape.backward(distance_from_zero(tape, tape.parameter(arena, 0)));
    return arena.gradient(0).to_vector();
  };
  BOOST_TEST(pass() == (std::vector<double>{0.5, 1, 1.5, 2}), boost::test_tools::per_element());
  BOOST_TEST(pass() == (std::vector<double>{1, 2, 3, 4}), boost::test_tools::per_element());
  arena.clear_gradients();
  BOOST_TEST(pass() == (std::vector<double>{0.5, 1, 1.5, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_arena_knows_which_parameters_received_a_gradient) {
  auto arena = two_matrices();
  Tape<double> tape(arena, 1, 1);
  tape.parameter(arena, 1);
  tape.backward(distance_from_zero(tape, tape.parameter(arena, 0)));
  BOOST_TEST(arena.has_gradient(0));
  BOOST_TEST(!arena.has_gradient(1));
}

BOOST_AUTO_TEST_CASE(inference_records_nothing_and_drops_nothing) {
  auto arena = two_matrices();
  Tape<double> tape;
  const Variable<double> a = tape.parameter(arena, 0);
  BOOST_TEST(!a.tracked());
  const Variable<double> y = dropout(tape, tanh(tape, a), 0.5);
  BOOST_TEST(!y.tracked());
  BOOST_TEST(tape.saved_bytes() == 0);
  BOOST_TEST(y.value.at({1, 1}) == std::tanh(4.0), boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(dropout_repeats_for_a_step_and_differs_between_steps_and_places) {
  ParameterArena<double> arena(Specs{parameter("x", tn::random_normal<double>({40, 40}, 2))});
  const auto masks = [&](std::uint64_t seed, std::uint64_t step) {
    Tape<double> tape(arena, seed, step);
    const Variable<double> x = tape.parameter(arena, 0);
    const auto first = dropout(tape, x, 0.5).value.to_vector();
    return std::pair(first, dropout(tape, x, 0.5).value.to_vector());
  };
  const auto [first, second] = masks(3, 5);
  BOOST_TEST((masks(3, 5) == std::pair(first, second)));
  BOOST_TEST((first != second));
  BOOST_TEST((masks(3, 6).first != first));
  BOOST_TEST((masks(4, 5).first != first));
}

BOOST_AUTO_TEST_CASE(a_frozen_weight_costs_no_gradient_product_and_saves_no_input) {
  constexpr Index n = 6, d_in = 5, d_out = 4;
  ParameterArena<double> arena(
      Specs{parameter("x", tn::random_normal<double>({n, d_in}, 1)),
            parameter("weight", tn::random_normal<double>({d_out, d_in}, 2))});
  const auto run = [&](bool train_x, bool train_weight) {
    auto& work = tn::backend::queue().work;
    const auto before = work.gemm_flops;
    Tape<double> tape(arena, 1, 1);
    const auto use = [&](bool trained, Index parameter) {
      return trained ? tape.parameter(arena, parameter) : constant(arena.value(parameter));
    };
    const Variable<double> y = linear<double>(tape, use(train_x, 0), use(train_weight, 1), {});
    const auto saved = tape.saved_bytes();
    tape.backward(distance_from_zero(tape, y));
    return std::pair(work.gemm_flops - before, saved);
  };
  const std::int64_t product = 2 * n * d_in * d_out, input = 8 * n * d_in;
  BOOST_TEST((run(true, false) == std::pair(2 * product, std::int64_t{0})));
  BOOST_TEST((run(false, true) == std::pair(2 * product, input)));
  BOOST_TEST((run(true, true) == std::pair(3 * product, input)));
}

BOOST_AUTO_TEST_CASE(a_part_without_anything_to_train_is_not_run_again) {
  ParameterArena<double> arena = two_matrices();
  Tape<double> tape(arena, 0, 0);
  int runs = 0;
  const auto input = constant(Tensor<double>::from({3}, {1, 2, 3}));
  const Variable<double> output = tape.recompute({input}, [&](Tape<double>&, auto in) {
    ++runs;
    return in[0];
  });
  BOOST_TEST(!output.tracked());
  BOOST_TEST(runs == 1);
  BOOST_TEST(tape.saved_bytes() == 0);
}

BOOST_AUTO_TEST_CASE(the_arena_names_what_does_not_fit) {
  const Tensor<double> pair = Tensor<double>::zeros({2});
  check_message(
      [&] {
        ParameterArena<double>(Specs{parameter("w", pair), parameter("w", pair)});
      },
      "two parameters are called \"w\"");
  check_message(
      [&] {
        ParameterArena<double>(Specs{parameter("w", Tensor<double>::zeros({2, 0}))});
      },
      "\"w\" has no elements");
  check_message(
      [&] { ParameterArena<double>(Specs{parameter("w", pair, 0, Tensor<double>::zeros({3}))}); },
      "\"w\" has a moment of shape 3, expected 2");
  auto arena = two_matrices();
  check_message([&] { arena.set_value(0, pair); }, "\"a\" has shape 2×2, found 2");
  check_message([&] { arena.find("c"); }, "no parameter is called \"c\"");
  check_message([&] { arena.value(2); }, "parameter 2 of 2 does not exist");
}

BOOST_AUTO_TEST_CASE(an_arena_keeps_groups_together_in_their_order) {
  ParameterArena<double> arena(Specs{parameter("a", Tensor<double>::from({1}, {1}), 2),
                                     parameter("b", Tensor<double>::from({2}, {2, 3})),
                                     parameter("c", Tensor<double>::from({1}, {4}), 2)});
  BOOST_TEST(arena.group_range(0).begin == 0);
  BOOST_TEST(arena.group_range(0).count == 2);
  BOOST_TEST(arena.group_range(1).count == 0);
  BOOST_TEST(arena.group_range(2).begin == 2);
  BOOST_TEST(arena.group_range(2).count == 2);
  BOOST_TEST(arena.value(arena.find("c")).item() == 4);
  BOOST_TEST(arena.values()[3] == 4);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
