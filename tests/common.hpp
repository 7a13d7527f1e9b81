/// What every test includes anyway, which the compiler reads once for each program.

#include <metatt/tn/tensor.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>
