#pragma once
/// How the benchmarks measure: medians, a large product as the measure of the machine, whose speed
/// may change from second to second, and records that say what the machine was.

#include <metatt/tn/files/file.hpp>
#include <metatt/tn/tensor.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace metatt::apps {

inline double milliseconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  tn::backend::synchronize(tn::backend::queue());
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// A product of 2048³, the measure of what the machine can do at this moment.
template <class T>
class LargeProduct {
 public:
  /// GFLOP/s of running it once.
  double rate() {
    const double ms = milliseconds_of([this] {
      tn::backend::gemm(tn::backend::queue(), tn::Transpose::no, tn::Transpose::no, n, n, n, T(1),
                        A_.data(), n, B_.data(), n, T(0), C_.mutable_data(), n);
    });
    return 2e-6 * static_cast<double>(n * n * n) / ms;
  }

  static constexpr tn::Index n = 2048;
  static constexpr double megabytes = 3e-6 * n * n * sizeof(T);

 private:
  tn::Tensor<T> A_ = tn::random_normal<T>({n, n}, 1), B_ = tn::random_normal<T>({n, n}, 2);
  tn::Tensor<T> C_ = tn::Tensor<T>::zeros({n, n});
};

/// What a benchmark found as a JSON file, if one is asked for.
class BenchRecords {
 public:
  /// "" for no file. A path that cannot be written is noticed before the work.
  explicit BenchRecords(const std::string& path) {
    if (!path.empty()) file_.emplace(path);
  }
  /// Program, BLAS and threads are added to the record.
  void add(nlohmann::json record) {
    const auto about = tn::backend::describe();
    record.update({{"program", "metatt"},
                   {"version", METATT_VERSION},
                   {"blas", about.blas},
                   {"core", about.core},
                   {"threads", about.threads},
                   {"thread_layer", about.thread_layer},
                   {"vector_set", about.vector_set}});
    all_.push_back(std::move(record));
  }
  void commit() {
    if (!file_) return;
    file_->write(all_.dump(2) + "\n");
    file_->commit();
  }

 private:
  std::optional<tn::AtomicFile> file_;
  nlohmann::json all_ = nlohmann::json::array();
};

}  // namespace metatt::apps
