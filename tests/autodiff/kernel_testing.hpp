#pragma once
/// One kernel, run by the backend and by the reference on the same numbers, and the comparison.

#include <metatt/autodiff/backend/backend.hpp>
#include <metatt/autodiff/backend/reference/reference.hpp>
#include <metatt/tn/tensor.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace metatt::autodiff::testing {

/// The types that every kernel exists for.
using Types = std::tuple<float, double>;

/// An argument of a kernel in both places: on the host for the reference and in backend memory. A
/// default-constructed one is the null pointer.
template <class T>
class Operand {
 public:
  Operand() = default;
  explicit Operand(std::vector<T> values)
      : host_(std::move(values)),
        tensor_(tn::Tensor<T>::from({static_cast<Index>(host_.size())}, host_)) {}

  T* host() { return host_.empty() ? nullptr : host_.data(); }
  T* device() { return tensor_.empty() ? nullptr : tensor_.mutable_data(); }
  /// What the reference made of it, and what the backend did.
  const std::vector<T>& expected() const { return host_; }
  std::vector<T> found() const { return tensor_.empty() ? std::vector<T>() : tensor_.to_vector(); }

 private:
  std::vector<T> host_;
  tn::Tensor<T> tensor_;
};

/// Sequences of these lengths, packed, with the offsets in both places.
class PackedSequences {
 public:
  explicit PackedSequences(const std::vector<Index>& lengths) {
    std::vector<std::int32_t> offsets = {0};
    for (Index length : lengths) {
      offsets.push_back(offsets.back() + static_cast<std::int32_t>(length));
      packing_.squared_lengths += length * length;
    }
    packing_.sequences = static_cast<Index>(lengths.size());
    packing_.tokens = offsets.back();
    packing_.longest = *std::max_element(lengths.begin(), lengths.end());
    offsets_ = Operand<std::int32_t>(std::move(offsets));
  }

  Index tokens() const { return packing_.tokens; }
  Index longest() const { return packing_.longest; }
  Packing host() { return with(offsets_.host()); }
  Packing device() { return with(offsets_.device()); }

 private:
  Packing with(const std::int32_t* offsets) const {
    Packing packing = packing_;
    packing.offsets = offsets;
    return packing;
  }

  Packing packing_;
  Operand<std::int32_t> offsets_;
};

/// at(operand) inside METATT_RUN_ON_BOTH: the operand's side that the running kernel can read.
struct AtDevice {
  auto operator()(auto& operand) const { return operand.device(); }
};
struct AtHost {
  auto operator()(auto& operand) const { return operand.host(); }
};

/// Runs both and checks that they count the same work.
template <class OnBackend, class OnReference>
void run_on_both(const OnBackend& on_backend, const OnReference& on_reference) {
  Queue& queue = tn::backend::queue();
  const tn::WorkCounters before = queue.work;
  on_backend(AtDevice(), queue);
  Queue host;
  on_reference(AtHost(), host);
  BOOST_TEST(queue.work.gemm_flops - before.gemm_flops == host.work.gemm_flops);
  BOOST_TEST(queue.work.low_rank_flops - before.low_rank_flops == host.work.low_rank_flops);
  BOOST_TEST(queue.work.attention_flops - before.attention_flops == host.work.attention_flops);
}

/// METATT_RUN_ON_BOTH(kernel<T>, arguments after the queue…), operands written as at(operand).
#define METATT_RUN_ON_BOTH(kernel, ...)                                                       \
  ::metatt::autodiff::testing::run_on_both(                                                   \
      [&](const ::metatt::autodiff::testing::AtDevice& at, ::metatt::autodiff::Queue& work) { \
        ::metatt::autodiff::backend::kernel(work, __VA_ARGS__);                               \
      },                                                                                      \
      [&](const ::metatt::autodiff::testing::AtHost& at, ::metatt::autodiff::Queue& work) {   \
        ::metatt::autodiff::reference::kernel(work, __VA_ARGS__);                             \
      })

/// The one rule for rounding: 16 · ε · √work of the largest entry of the output, where `work` is
/// how many terms are added up in one entry and ε = 1.2e-7 (float) or 2.2e-16 (double). That
/// is 1.9e-6·√work and 3.6e-15·√work.
template <class T>
double tolerance(Index work) {
  return 16 * double(std::numeric_limits<T>::epsilon()) * std::sqrt(double(work));
}

/// Checks backend against reference by the rule above, NaN where the reference has NaN. Where large
/// terms cancel in every entry, `largest_term` takes the place of the largest entry.
template <class T>
void check_close(const Operand<T>& operand, Index work, double largest_term = 0) {
  const std::vector<T>& expected = operand.expected();
  const std::vector<T> found = operand.found();
  double largest = largest_term;
  for (T value : expected) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(double(value)));
  }
  const double allowed = tolerance<T>(work) * largest;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool close = std::isnan(expected[i])
                           ? std::isnan(found[i])
                           : std::abs(double(found[i]) - double(expected[i])) <= allowed;
    if (!close) {
      BOOST_ERROR("element " << i << ": expected " << expected[i] << ", found " << found[i]
                             << ", allowed difference " << allowed);
      return;
    }
  }
}

/// Checks that backend and reference agree in every bit of value (NaN equals NaN).
template <class T>
void check_same(const Operand<T>& operand) {
  check_close(operand, 0);
}

/// Checks that the same elements are exactly zero.
template <class T>
void check_same_zeros(const Operand<T>& operand) {
  const std::vector<T> found = operand.found();
  for (std::size_t i = 0; i < found.size(); ++i) {
    if ((found[i] == T(0)) != (operand.expected()[i] == T(0))) {
      BOOST_ERROR("element " << i << ": expected " << operand.expected()[i] << ", found "
                             << found[i]);
      return;
    }
  }
}

/// Numbers from a fixed seed.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// Uniform in [low, high).
  template <class T>
  std::vector<T> values(Index count, double low = -1, double high = 1) {
    std::vector<T> out(static_cast<std::size_t>(count));
    for (T& value : out) {
      value = static_cast<T>(low + (high - low) * static_cast<double>(engine_() >> 11) * 0x1p-53);
    }
    return out;
  }
  template <class T>
  Operand<T> operand(Index count, double low = -1, double high = 1) {
    return Operand<T>(values<T>(count, low, high));
  }
  /// Uniform in 0 … bound-1.
  Operand<std::int32_t> indices(Index count, Index bound) {
    std::vector<std::int32_t> out(static_cast<std::size_t>(count));
    for (std::int32_t& index : out) {
      index = static_cast<std::int32_t>(engine_() % static_cast<std::uint64_t>(bound));
    }
    return Operand<std::int32_t>(std::move(out));
  }

 private:
  std::mt19937_64 engine_;
};

/// Memory that nobody may read before it was written.
template <class T>
Operand<T> unwritten(Index count) {
  return Operand<T>(
      std::vector<T>(static_cast<std::size_t>(count), std::numeric_limits<T>::quiet_NaN()));
}

/// A destination for a kernel with a beta: NaN if beta is 0, numbers if not.
template <class T>
Operand<T> destination(Random& random, Index count, double beta) {
  return beta == 0 ? unwritten<T>(count) : random.operand<T>(count);
}

/// check(rows, width) for ragged shapes around the widths of vector registers and blocks.
template <class Check>
void for_each_shape(const Check& check) {
  for (Index width : {1, 7, 8, 15, 16, 17, 31, 33, 48, 64, 100, 384}) {
    for (Index rows : {1, 2, 7, 32, 70}) {
      BOOST_TEST_CONTEXT("rows " << rows << ", width " << width) {
        check(rows, width);
      }
    }
  }
  BOOST_TEST_CONTEXT("rows 1030, width 33") {
    check(1030, 33);
  }
}

}  // namespace metatt::autodiff::testing
