#pragma once
/// The neural backend: free functions on raw pointers, sizes and a queue. Meson compiles one folder
/// that defines them: cpu/ or cuda/.

#include <metatt/autodiff/backend/types.hpp>

namespace metatt::autodiff::backend {

#include <metatt/autodiff/backend/declarations.hpp>

}  // namespace metatt::autodiff::backend
