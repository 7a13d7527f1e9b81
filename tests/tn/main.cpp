#define BOOST_TEST_MODULE tn
#include <boost/test/unit_test.hpp>
