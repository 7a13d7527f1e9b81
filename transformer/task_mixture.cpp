#include <metatt/transformer/task_mixture.hpp>

#include <metatt/tn/error.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace metatt::transformer {

using tn::Index;

namespace {

/// `total` in whole parts in proportion to `weights`, each at least one. Rounding the sums and not
/// the parts makes the total right, and parts that are whole numbers exact.
std::vector<Index> apportioned(Index total, const std::vector<double>& weights) {
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<Index> parts;
  double sum = 0;
  Index given = 0;
  for (const double weight : weights) {
    sum += weight / all * static_cast<double>(total);
    parts.push_back(std::llround(sum) - given);
    given += parts.back();
  }
  for (Index& part : parts)
    if (part == 0) {
      --*std::ranges::max_element(parts);
      part = 1;
    }
  return parts;
}

/// A seed for each task; the first one's is the run's, as if it were alone.
std::uint64_t task_seed(std::uint64_t seed, std::size_t task) {
  return seed + task * 0x9e3779b97f4a7c15ULL;  // the golden ratio: far apart
}

}  // namespace

TaskMixture::TaskMixture(std::span<const Index> sizes, Index examples_per_step, double temperature,
                         std::uint64_t seed)
    : examples_per_step_(examples_per_step) {
  if (!(temperature >= 1 && std::isfinite(temperature)))
    tn::fail("task_temperature: expected a number of at least 1, found ", temperature);
  std::vector<double> weights;
  first_.push_back(0);
  for (const Index size : sizes) {
    if (size < 1) tn::fail("train: there are no training examples");
    const Index steps = (size + examples_per_step - 1) / examples_per_step;
    steps_per_epoch_ += steps;
    weights.push_back(std::pow(static_cast<double>(steps), 1 / temperature));
    orders_.emplace_back(size, task_seed(seed, orders_.size()));
    first_.push_back(first_.back() + size);
  }
  steps_ = apportioned(steps_per_epoch_, weights);
  slots_.emplace(steps_per_epoch_, task_seed(seed, orders_.size()));
}

std::size_t TaskMixture::task_of(Index step) const {
  Index slot = slots_->at(step);
  std::size_t task = 0;
  while (slot >= steps_[task]) slot -= steps_[task++];
  return task;
}

std::vector<Index> TaskMixture::batch(Index step) const {
  const Index epoch = step / steps_per_epoch_;
  const std::size_t task = task_of(step);
  Index own_step = epoch * steps_[task];  // among those of the task
  for (Index other = epoch * steps_per_epoch_; other < step; ++other)
    own_step += task_of(other) == task ? 1 : 0;
  auto examples = orders_[task].batch(own_step, examples_per_step_);
  for (Index& example : examples) example += first_[task];
  return examples;
}

TaskMixture::Place TaskMixture::place(Index example) const {
  const auto behind = std::ranges::upper_bound(first_, example);
  const auto task = static_cast<std::size_t>(behind - first_.begin()) - 1;
  return {task, example - first_[task]};
}

}  // namespace metatt::transformer
