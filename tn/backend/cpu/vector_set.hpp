#pragma once

#include <string_view>

namespace metatt::tn::backend {

/// The widest set of vector instructions that our own kernels use here: "avx512" (F, BW, DQ, VL),
/// "avx2" (with FMA) or "baseline". The environment variable METATT_VECTOR_SET chooses a narrower
/// one; throws Error if it names an unknown set or one that this processor does not have.
std::string_view vector_set();

}  // namespace metatt::tn::backend
