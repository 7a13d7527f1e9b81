#include <boost/test/unit_test.hpp>

#include <metatt/tn/backend/backend.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/transformer/parallel.hpp>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "../file_testing.hpp"

namespace {

using metatt::testing::check_error;
using metatt::transformer::for_each_in_parallel;

BOOST_AUTO_TEST_SUITE(parallel)

/// Sets the number of threads back at its end.
struct Threads {
  explicit Threads(int threads) : before(metatt::tn::backend::describe().threads) {
    metatt::tn::backend::set_threads(threads);
  }
  ~Threads() { metatt::tn::backend::set_threads(before); }
  int before;
};

BOOST_AUTO_TEST_CASE(everything_is_worked_on_once_by_as_many_threads_as_were_asked_for) {
  for (const int threads : {1, 4}) BOOST_TEST_CONTEXT(threads << " threads") {
      const Threads asked(threads);
      std::vector<std::atomic<int>> calls(1000);
      std::mutex mutex;
      std::set<std::thread::id> workers;
      for_each_in_parallel(calls.size(), [&](std::size_t i) {
        ++calls[i];
        const std::lock_guard lock(mutex);
        workers.insert(std::this_thread::get_id());
      });
      for (const auto& count : calls) BOOST_TEST(count == 1);
      BOOST_TEST(workers.size() <= static_cast<std::size_t>(threads));
      for_each_in_parallel(0, [](std::size_t) { BOOST_ERROR("there is no work"); });
    }
}

BOOST_AUTO_TEST_CASE(threads_work_at_the_same_time) {
  const Threads two(2);
  std::atomic<int> waiting = 0;
  for_each_in_parallel(16, [&](std::size_t i) {  // ends only if both parts run together
    if (i % 8 != 0) return;
    ++waiting;
    while (waiting < 2) std::this_thread::yield();
  });
  BOOST_TEST(waiting == 2);
}

BOOST_AUTO_TEST_CASE(the_first_error_is_thrown_by_whatever_threads) {
  for (const int threads : {1, 2, 7}) {
    const Threads asked(threads);
    for (int round = 0; round < 50; ++round) {
      std::vector<std::atomic<int>> calls(400);
      check_error(
          [&] {
            for_each_in_parallel(calls.size(), [&](std::size_t i) {
              ++calls[i];
              if (i >= 123 && i % 3 == 0) metatt::tn::fail("line ", i);
            });
          },
          {"line 123"});
      for (std::size_t i = 0; i <= 123; ++i) BOOST_REQUIRE(calls[i] == 1);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
