#include <metatt/tn/error.hpp>
#include <metatt/tn/truncation.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

namespace metatt::tn {
namespace {

Index kept(const std::vector<double>& values, const TruncationPolicy& policy) {
  return truncate(values, policy).kept;
}

BOOST_AUTO_TEST_SUITE(truncation_suite)

BOOST_AUTO_TEST_CASE(the_default_policy_keeps_everything_but_exact_zeros) {
  BOOST_TEST(kept({3, 2, 1e-30}, {}) == 3);
  BOOST_TEST(kept({3, 2, 0, 0}, {}) == 2);
}

BOOST_AUTO_TEST_CASE(the_report_counts_what_is_lost) {
  const Truncation cut = truncate(std::vector<double>{4, 3, 2, 1}, {.maximum_rank = 2});
  BOOST_TEST(cut.kept == 2);
  BOOST_TEST(cut.discarded == 2);
  BOOST_TEST(cut.discarded_weight == 5.0 / 30.0, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(cut.discarded_norm == std::sqrt(5.0), boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(the_cutoff_includes_its_boundary) {
  const std::vector<double> values{2, 1, 1, 1, 1};  // weights 4, 1, 1, 1, 1 of 8
  BOOST_TEST(kept(values, {.cutoff = 0.25}) == 3);
  BOOST_TEST(kept(values, {.cutoff = std::nextafter(0.25, 0.0)}) == 4);
  BOOST_TEST(kept(values, {.cutoff = 1}) == 1);
}

BOOST_AUTO_TEST_CASE(the_rank_limits_win_over_the_cutoff) {
  const std::vector<double> values{1, 0.1, 0.01};
  BOOST_TEST(kept(values, {.maximum_rank = 2, .cutoff = 0}) == 2);
  BOOST_TEST(kept(values, {.minimum_rank = 2, .cutoff = 1}) == 2);
  BOOST_TEST(kept(values, {.maximum_rank = 9, .minimum_rank = 9}) == 3);
}

BOOST_AUTO_TEST_CASE(a_spectrum_of_zeros_keeps_the_minimum_rank) {
  const Truncation cut = truncate(std::vector<double>{0, 0, 0}, {.minimum_rank = 2});
  BOOST_TEST(cut.kept == 2);
  BOOST_TEST(cut.discarded_weight == 0);
  BOOST_TEST(cut.discarded_norm == 0);
  BOOST_TEST(kept({0, 0}, {}) == 1);
  BOOST_TEST(kept({0}, {.minimum_rank = 5}) == 1);
}

BOOST_AUTO_TEST_CASE(a_multiplet_is_kept_or_discarded_as_a_whole) {
  const std::vector<double> values{3, 2, 2 - 1e-9, 2 - 2e-9, 1};
  BOOST_TEST(kept(values, {.maximum_rank = 3}) == 3);
  BOOST_TEST(kept(values, {.maximum_rank = 3, .multiplet_tolerance = 1e-6}) == 1);
  BOOST_TEST(kept(values, {.maximum_rank = 3, .multiplet_tolerance = 1e-12}) == 3);
  // Below minimum_rank: up, here because the cutoff and not maximum_rank put the cut there.
  BOOST_TEST(kept(values, {.minimum_rank = 2, .cutoff = 0.3, .multiplet_tolerance = 1e-6}) == 4);
  // Neither way: the rank limits stand.
  BOOST_TEST(kept(values, {.maximum_rank = 3, .minimum_rank = 2, .multiplet_tolerance = 1e-6}) ==
             3);
  // A spectrum that is one multiplet stays whole.
  BOOST_TEST(kept({1, 1, 1}, {.cutoff = 0.5, .multiplet_tolerance = 1e-6}) == 3);
}

BOOST_AUTO_TEST_CASE(huge_and_tiny_spectra_neither_overflow_nor_vanish) {
  const Truncation huge = truncate(std::vector<double>{1e300, 1e299}, {.maximum_rank = 1});
  BOOST_TEST(huge.discarded_norm == 1e299, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(huge.discarded_weight == 1 / 101.0, boost::test_tools::tolerance(1e-14));
  const Truncation tiny = truncate(std::vector<double>{1e-300, 1e-301}, {.maximum_rank = 1});
  BOOST_TEST(tiny.discarded_norm == 1e-301, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(tiny.discarded_weight == 1 / 101.0, boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(a_spectrum_that_is_none_is_refused) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& values :
       {std::vector<double>{}, {1, 2}, {1, -1}, {infinity, 1}, {1, std::nan("")}})
    BOOST_CHECK_THROW(truncate(values, {}), Error);
}

BOOST_AUTO_TEST_CASE(a_policy_that_contradicts_itself_is_refused) {
  for (const TruncationPolicy& policy : {TruncationPolicy{.maximum_rank = 0},
                                         {.minimum_rank = 0},
                                         {.maximum_rank = 2, .minimum_rank = 3},
                                         {.cutoff = -0.1},
                                         {.cutoff = 1.1},
                                         {.cutoff = std::nan("")},
                                         {.multiplet_tolerance = -1},
                                         {.multiplet_tolerance = 1}})
    BOOST_CHECK_THROW(truncate(std::vector<double>{1}, policy), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace metatt::tn
