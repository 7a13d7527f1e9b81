#pragma once
/// The linear-algebra functions as plain loops over host memory, for reading and for tests: no
/// library, no threads, no blocking. Matrices of a few hundred rows are large here.

#include <metatt/tn/backend/types.hpp>

#include <cstdint>
#include <span>

namespace metatt::tn::reference {

#include <metatt/tn/backend/declarations.hpp>

}  // namespace metatt::tn::reference
