#include "model_testing.hpp"

using namespace metatt;
using namespace metatt::testing;

namespace {

BOOST_AUTO_TEST_SUITE(rank_schedule)

BOOST_AUTO_TEST_CASE(what_an_adapter_cannot_have_is_refused_before_training) {
  const auto check = [](const std::string& kind, const char* schedule,
                        const std::vector<std::string_view>& fragments) {
    const AssembledModel<double> model(small_config(), 2, small_adapter(kind),
                                       random_weight<double>);
    check_error(
        [&] { check_rank_schedule(parse_rank_schedule(schedule), *model.adapter, model.weights); },
        fragments);
  };
  check("metatt4d", "0:3,2:13", {"rank_schedule", "bond 1", "at most rank 12", "found 13"});
  check("metatt4d", "0:3,2:1-4-1", {"rank_schedule", "bond 2", "at most rank 2", "found 4"});
  check("metatt4d", "0:3,2:2-2", {"rank_schedule", "3, one for each", "found 2"});
  check("metatt4d", "0:3,2:parameters=31", {"rank_schedule", "at least 32", "found 31"});
  check("lora", "0:3,2:parameters=900", {"rank_schedule", "one train", "lora has 12"});
  check("vera", "0:3,2:2", {"rank_schedule", "vera"});
}

BOOST_AUTO_TEST_CASE(a_schedule_is_read_as_it_is_written) {
  const auto steps = parse_rank_schedule("0:10,3:8-4-8,5:cutoff=1e-3,7:parameters=200");
  BOOST_REQUIRE(steps.size() == 4U);
  BOOST_TEST(steps[0].target.ranks == std::vector<Index>{10});
  BOOST_TEST(steps[1].when == 3);
  BOOST_TEST(!steps[1].in_steps);
  BOOST_TEST(steps[1].target.ranks == (std::vector<Index>{8, 4, 8}));
  BOOST_TEST(steps[2].target.budget.cutoff == 1e-3);
  BOOST_TEST(steps[3].target.budget.maximum_parameters == 200);
  const auto in_steps = parse_rank_schedule("0:4,200s:8,300s:6");
  BOOST_TEST(in_steps[1].in_steps);
  BOOST_TEST(in_steps[2].when == 300);
}

BOOST_AUTO_TEST_CASE(a_bad_schedule_is_refused_with_what_is_wrong) {
  const auto check = [](const char* text, std::string_view what) {
    BOOST_TEST_CONTEXT(text) {
      check_error([&] { parse_rank_schedule(text); }, {"rank_schedule", "WHEN:WHAT", text, what});
    }
  };
  check("", "has no \":\"");
  check("0:8,", "\"\" has no \":\"");
  check("0:8,3", "\"3\" has no \":\"");
  check("0:x", "\"x\" is no number");
  check("0:8 ,2:4", "\"8 \" is no number");
  check("0:-3", "\"\" is no number");
  check("0:99999999999999999999", "is no number");
  check("0:1:2", "\"1:2\" is no number");
  check("0:0", "a rank below 1");
  check("1:8", "the first entry is not 0");
  check("0:cutoff=0.1", "training starts with ranks");
  check("0:8,1:cutoff=nan", "\"nan\" is no number");
  check("0:8,1:cutoff=1", "a cutoff is below 1");
  check("0:8,3:4,30s:3", "mix epochs and steps");
  check("0:8,3:4,3:2", "3 does not come after 3");
  check("0:8,3:4,2:2", "2 does not come after 3");
  check("0:8,2305843009213693953:4", "is more than 1000000000");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
