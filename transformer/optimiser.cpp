#include <metatt/transformer/optimiser.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace metatt::transformer {

LearningRateSchedule LearningRateSchedule::with_warmup(Index total_steps, double warmup_ratio,
                                                       ScheduleShape shape) {
  return {static_cast<Index>(std::ceil(warmup_ratio * static_cast<double>(total_steps))),
          total_steps, shape};
}

double LearningRateSchedule::at(Index step) const {
  if (step < warmup_steps)
    return static_cast<double>(step) / static_cast<double>(std::max<Index>(1, warmup_steps));
  if (shape == ScheduleShape::constant) return 1;
  const double left =
      std::max(0.0, static_cast<double>(total_steps - step) /
                        static_cast<double>(std::max<Index>(1, total_steps - warmup_steps)));
  return shape == ScheduleShape::linear ? left : 0.5 * (1 - std::cos(std::numbers::pi * left));
}

template <class T>
AdamW<T>::AdamW(Weights<T>& weights, const AdamWSettings& settings,
                const LearningRateSchedule& schedule)
    : weights_(weights), settings_(settings), schedule_(schedule) {
  if (!weights.has_arena()) tn::fail("AdamW: there is no trainable parameter");
}

template <class T>
double AdamW<T>::learning_rate() const {
  return settings_.learning_rate * schedule_.at(counts_.steps);
}

template <class T>
double AdamW<T>::step(double factor) {
  auto& arena = weights_.arena();
  for (Index i = 0; i < arena.count(); ++i)
    if (!arena.has_gradient(i))
      tn::fail("AdamW: \"", arena.name(i), "\" is trainable but received no gradient");
  auto& queue = tn::backend::queue();
  const double norm =
      factor * static_cast<double>(tn::backend::norm(queue, arena.size(), arena.gradients()));
  if (!std::isfinite(norm)) tn::fail("AdamW: the norm of the gradients is ", norm);

  autodiff::AdamWStep step;
  step.beta1 = settings_.beta1;
  step.beta2 = settings_.beta2;
  step.epsilon = settings_.epsilon;
  step.gradient_scale = factor;
  if (settings_.max_gradient_norm > 0 && norm > settings_.max_gradient_norm)
    step.gradient_scale *= settings_.max_gradient_norm / norm;
  const double scheduled = schedule_.at(counts_.steps);
  for (int g = 0; g < weight_groups; ++g) {
    const auto [begin, count] = arena.group_range(g);
    if (count == 0) continue;
    const auto group = static_cast<WeightGroup>(g);
    const bool head = group == WeightGroup::head || group == WeightGroup::head_not_decayed;
    const bool decays = group == WeightGroup::head || group == WeightGroup::decayed;
    step.step = ++counts_.averaged[static_cast<std::size_t>(g)];
    step.learning_rate =
        scheduled * (head ? settings_.head_learning_rate : settings_.learning_rate);
    step.weight_decay = decays ? settings_.weight_decay : 0;
    autodiff::backend::adamw(queue, count, step, arena.values() + begin, arena.gradients() + begin,
                             arena.first_moments() + begin, arena.second_moments() + begin);
  }
  ++counts_.steps;
  arena.clear_gradients();
  return norm;
}

template class AdamW<float>;
template class AdamW<double>;

}  // namespace metatt::transformer
