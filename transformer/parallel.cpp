#include <metatt/transformer/parallel.hpp>

#include <metatt/tn/backend/backend.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace metatt::transformer {

namespace {

constexpr std::size_t at_once = 8;  // so that threads seldom meet

/// What the smallest place that failed has thrown.
class FirstError {
 public:
  explicit FirstError(std::size_t count) : place_(count) {}

  bool is_before(std::size_t place) const { return place_ < place; }
  void keep(std::size_t place, std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (place >= place_) return;
    place_ = place;
    error_ = std::move(error);
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::atomic<std::size_t> place_;
  std::exception_ptr error_;
};

}  // namespace

void for_each_in_parallel(std::size_t count, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next = 0;
  FirstError first(count);
  // Places are taken in their order, so those before one that failed are all worked on.
  const auto take = [&] {
    for (std::size_t begin; (begin = next.fetch_add(at_once)) < count && !first.is_before(begin);)
      for (std::size_t i = begin; i < std::min(begin + at_once, count); ++i) try {
          work(i);
        } catch (...) {
          first.keep(i, std::current_exception());
          break;  // what follows is not the first
        }
  };
  const auto threads = static_cast<std::size_t>(tn::backend::describe().threads);
  {
    std::vector<std::jthread> others;
    for (std::size_t k = 1; k < std::min(threads, (count + at_once - 1) / at_once); ++k)
      others.emplace_back(take);
    take();
  }
  first.rethrow();
}

}  // namespace metatt::transformer
