#include <boost/test/unit_test.hpp>

#include <metatt/transformer/metrics.hpp>

#include <limits>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using metatt::testing::check_error;
using Classes = std::vector<int>;
using Scores = std::vector<double>;

BOOST_AUTO_TEST_SUITE(metrics)

// Golden values of this suite: scikit-learn 1.9.1 (accuracy_score, f1_score, matthews_corrcoef) and
// scipy 1.17.1 (pearsonr, spearmanr).
const Classes predictions = {1, 0, 1, 1, 0, 0, 1, 1, 0, 1};
const Classes labels = {1, 0, 0, 1, 0, 1, 1, 1, 1, 0};
const Scores left = {0.5, 2.25, 2.25, 4.75, 3.0, 1.0, 4.0};
const Scores right = {0.0, 2.5, 3.0, 5.0, 3.0, 1.5, 2.5};

BOOST_AUTO_TEST_CASE(classes_are_judged_as_by_scikit_learn) {
  BOOST_CHECK_CLOSE(accuracy(predictions, labels), 0.6, 1e-12);
  BOOST_CHECK_CLOSE(f1(predictions, labels), 0.6666666666666666, 1e-12);
  BOOST_CHECK_CLOSE(matthews(predictions, labels), 0.16666666666666666, 1e-12);
}

BOOST_AUTO_TEST_CASE(scores_with_ties_are_judged_as_by_scipy) {
  BOOST_CHECK_CLOSE(pearson(left, right), 0.8772407206983053, 1e-12);
  BOOST_CHECK_CLOSE(spearman(left, right), 0.8073734277593312, 1e-12);
}

BOOST_AUTO_TEST_CASE(perfect_and_inverted_predictions_reach_the_ends) {
  Classes inverted;
  for (const int label : labels) inverted.push_back(1 - label);
  BOOST_TEST(matthews(labels, labels) == 1.0);
  BOOST_TEST(matthews(inverted, labels) == -1.0);
  BOOST_TEST(pearson(right, right) == 1.0);
  Scores negative;
  for (const double score : right) negative.push_back(-1e6 * score);
  BOOST_CHECK_CLOSE(pearson(negative, right), -1.0, 1e-12);
  BOOST_CHECK_CLOSE(spearman(negative, right), -1.0, 1e-12);
}

BOOST_AUTO_TEST_CASE(constant_lists_give_zero) {
  BOOST_TEST(matthews(Classes{1, 1}, Classes{1, 0}) == 0.0);
  BOOST_TEST(f1(Classes{0, 0}, Classes{0, 0}) == 0.0);
  BOOST_TEST(pearson(Scores{0.1, 0.1, 0.1}, Scores{1, 2, 3}) == 0.0);
  BOOST_TEST(spearman(Scores{1, 2, 3}, Scores{7, 7, 7}) == 0.0);
}

BOOST_AUTO_TEST_CASE(wrong_input_is_refused) {
  check_error([] { accuracy(Classes{1}, Classes{1, 0}); }, {"accuracy", "1 and 2"});
  check_error([] { spearman(Scores{}, Scores{}); }, {"spearman", "at least one"});
  check_error([] { matthews(Classes{1, 2}, Classes{1, 0}); }, {"matthews", "found 2 at index 1"});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  check_error([&] { spearman(Scores{1, nan}, Scores{1, 2}); }, {"spearman", "nan", "index 1"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
