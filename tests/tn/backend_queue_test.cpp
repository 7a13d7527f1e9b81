#include "backend_testing.hpp"

#include <cstdlib>
#include <set>
#include <thread>

using namespace metatt::tn;

BOOST_AUTO_TEST_SUITE(backend_queue)

BOOST_AUTO_TEST_CASE(every_thread_has_its_own_queue) {
  Queue* const own = &backend::queue();
  BOOST_TEST(&backend::queue() == own);
  Queue* other = nullptr;
  std::thread([&] { other = &backend::queue(); }).join();
  BOOST_TEST(other != own);
  backend::synchronize(*own);
}

BOOST_AUTO_TEST_CASE(the_description_names_the_backend_and_its_threads) {
  const backend::Description description = backend::describe();
  BOOST_TEST((description.backend == "cpu" || description.backend == "cuda"));
  BOOST_TEST(!description.blas.empty());
  BOOST_TEST(!description.core.empty());
  BOOST_TEST(description.threads >= 1);
  if (description.backend == "cpu") {
    const std::set<std::string> layers = {"openmp", "pthread", "sequential"};
    BOOST_TEST(layers.count(description.thread_layer) == 1);
    if (description.thread_layer == "pthread") BOOST_TEST(!description.warning.empty());
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_is_the_one_that_was_set) {
  const int threads = backend::describe().threads;
  backend::set_threads(threads + 1);
  BOOST_TEST(backend::describe().threads == threads + 1);
  int elsewhere = 0;  // OpenMP itself keeps a number for each thread that calls it
  std::thread([&] { elsewhere = backend::describe().threads; }).join();
  BOOST_TEST(elsewhere == threads + 1);
  std::thread([&] { backend::set_threads(threads); }).join();
  BOOST_TEST(backend::describe().threads == threads);
  BOOST_CHECK_THROW(backend::set_threads(0), Error);
  BOOST_CHECK_THROW(backend::set_threads(-1), Error);
}

BOOST_AUTO_TEST_CASE(the_vector_set_can_be_narrowed_but_not_invented) {
  if (backend::describe().backend != "cpu") return;
  const char* const outside = std::getenv("METATT_VECTOR_SET");
  const std::string chosen_outside = outside == nullptr ? "" : outside;
  unsetenv("METATT_VECTOR_SET");
  const std::string widest = backend::describe().vector_set;
  setenv("METATT_VECTOR_SET", "baseline", 1);
  BOOST_TEST(backend::describe().vector_set == "baseline");
  setenv("METATT_VECTOR_SET", "neon", 1);
  BOOST_CHECK_THROW(backend::describe(), Error);
  setenv("METATT_VECTOR_SET", "avx512", 1);
  if (widest == "avx512")
    BOOST_TEST(backend::describe().vector_set == "avx512");
  else
    BOOST_CHECK_THROW(backend::describe(), Error);
  if (outside == nullptr)
    unsetenv("METATT_VECTOR_SET");
  else
    setenv("METATT_VECTOR_SET", chosen_outside.c_str(), 1);
}

BOOST_AUTO_TEST_SUITE_END()
