#pragma once
/// The metrics of GLUE (Wang and others, arXiv:1804.07461, table 1). All throw tn::Error if the two
/// lists differ in length or are empty.

#include <span>

namespace metatt::transformer {

/// Share of equal entries, 0 … 1.
double accuracy(std::span<const int> predictions, std::span<const int> labels);

/// Harmonic mean of precision and recall of class 1; entries are 0 or 1. 0 if neither list has a 1,
/// as in scikit-learn.
double f1(std::span<const int> predictions, std::span<const int> labels);

/// Matthews correlation of two classes, -1 … 1; entries are 0 or 1. 0 if one list is constant, as
/// in scikit-learn.
double matthews(std::span<const int> predictions, std::span<const int> labels);

/// Pearson correlation, -1 … 1. 0 if one list is constant (scipy gives NaN there). Throws tn::Error
/// on an entry that is not finite.
double pearson(std::span<const double> predictions, std::span<const double> labels);

/// Spearman correlation: Pearson's of the ranks, equal values sharing the mean of their ranks.
/// Constant and not finite lists as for pearson. O(n log n).
double spearman(std::span<const double> predictions, std::span<const double> labels);

}  // namespace metatt::transformer
