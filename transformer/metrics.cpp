#include <metatt/transformer/metrics.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace metatt::transformer {

namespace {

void check_lengths(const char* function, std::size_t predictions, std::size_t labels) {
  if (predictions != labels || labels == 0) {
    tn::fail(function, ": expected as many predictions as labels and at least one, found ",
             predictions, " and ", labels);
  }
}

void check_finite(const char* function, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      tn::fail(function, ": expected finite numbers, found ", values[i], " at index ", i);
    }
  }
}

/// How often each pair of classes occurs; positive is class 1.
struct Confusion {
  double true_positive = 0, false_positive = 0, false_negative = 0, true_negative = 0;
};

Confusion count(const char* function, std::span<const int> predictions,
                std::span<const int> labels) {
  check_lengths(function, predictions.size(), labels.size());
  Confusion counts;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (const int value : {predictions[i], labels[i]}) {
      if (value != 0 && value != 1) {
        tn::fail(function, ": expected classes 0 and 1, found ", value, " at index ", i);
      }
    }
    if (predictions[i] == 1) {
      ++(labels[i] == 1 ? counts.true_positive : counts.false_positive);
    } else {
      ++(labels[i] == 1 ? counts.false_negative : counts.true_negative);
    }
  }
  return counts;
}

/// The values minus their mean; all zero for a constant list even where the mean is rounded.
std::vector<double> centred(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  const double first = result.front();
  for (double& value : result) value -= first;
  const double mean =
      std::accumulate(result.begin(), result.end(), 0.0) / static_cast<double>(result.size());
  for (double& value : result) value -= mean;
  return result;
}

/// Ranks from 0, the mean rank for equal values.
std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t left, std::size_t right) { return values[left] < values[right]; });
  std::vector<double> result(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) {
      result[order[i]] = 0.5 * static_cast<double>(begin + end - 1);
    }
    begin = end;
  }
  return result;
}

}  // namespace

double accuracy(std::span<const int> predictions, std::span<const int> labels) {
  check_lengths("accuracy", predictions.size(), labels.size());
  std::int64_t equal = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) equal += predictions[i] == labels[i];
  return static_cast<double>(equal) / static_cast<double>(labels.size());
}

double f1(std::span<const int> predictions, std::span<const int> labels) {
  const Confusion counts = count("f1", predictions, labels);
  const double sum = 2 * counts.true_positive + counts.false_positive + counts.false_negative;
  return sum == 0 ? 0 : 2 * counts.true_positive / sum;
}

double matthews(std::span<const int> predictions, std::span<const int> labels) {
  const Confusion counts = count("matthews", predictions, labels);
  const double predicted_positive = counts.true_positive + counts.false_positive;
  const double predicted_negative = counts.true_negative + counts.false_negative;
  const double positive = counts.true_positive + counts.false_negative;
  const double negative = counts.true_negative + counts.false_positive;
  const double product = predicted_positive * predicted_negative * positive * negative;
  if (product == 0) return 0;
  return (counts.true_positive * counts.true_negative -
          counts.false_positive * counts.false_negative) /
         std::sqrt(product);
}

double pearson(std::span<const double> predictions, std::span<const double> labels) {
  check_lengths("pearson", predictions.size(), labels.size());
  check_finite("pearson", predictions);
  check_finite("pearson", labels);
  const std::vector<double> left = centred(predictions);
  const std::vector<double> right = centred(labels);
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const double norms = std::sqrt(dot(left, left)) * std::sqrt(dot(right, right));
  return norms == 0 ? 0 : std::clamp(dot(left, right) / norms, -1.0, 1.0);
}

double spearman(std::span<const double> predictions, std::span<const double> labels) {
  check_lengths("spearman", predictions.size(), labels.size());
  check_finite("spearman", predictions);
  check_finite("spearman", labels);
  return pearson(ranks(predictions), ranks(labels));
}

}  // namespace metatt::transformer
