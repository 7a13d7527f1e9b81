#pragma once
/// Plain loops behind the declarations of the neural backend: every function is its formula,
/// written down, and the golden that the tests compare a backend with. Pointers are host memory.
/// Sums are accumulated in double for float as well. Only tests link this.

#include <metatt/autodiff/backend/types.hpp>

namespace metatt::autodiff::reference {

#include <metatt/autodiff/backend/declarations.hpp>

}  // namespace metatt::autodiff::reference
