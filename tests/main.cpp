#define BOOST_TEST_MODULE metatt
#include <boost/test/unit_test.hpp>
