/// What nearly every test of the transformer includes, which the compiler reads once for all of
/// them.

#include "common.hpp"
#include "fixture_testing.hpp"
#include "transformer/model_testing.hpp"
