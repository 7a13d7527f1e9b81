#pragma once
/// Work on the host that needs no backend, such as encoding texts, by several threads.

#include <cstddef>
#include <functional>

namespace metatt::transformer {

/// Calls work(i) once for each i below `count`, by as many threads as tn::backend::set_threads()
/// says. What work(i) throws is thrown on, of several that of the smallest i, whatever the number
/// of threads; then not every later i has been worked on.
void for_each_in_parallel(std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace metatt::transformer
