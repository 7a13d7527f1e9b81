#pragma once
/// AdamW over the arena, with gradient clipping and a schedule.

#include <metatt/transformer/weights.hpp>

#include <array>

namespace metatt::transformer {

/// How the learning rate falls after the warm-up: along a line or half a cosine to 0 at the last
/// step, or not at all. Hugging Face's schedules of these names.
enum class ScheduleShape { linear, cosine, constant };

/// Rises linearly to 1 over the warm-up, then goes on as the shape says.
struct LearningRateSchedule {
  Index warmup_steps = 0;
  Index total_steps = 1;
  ScheduleShape shape = ScheduleShape::linear;
  /// A warm-up over that share of the steps, rounded up as Hugging Face does.
  static LearningRateSchedule with_warmup(Index total_steps, double warmup_ratio,
                                          ScheduleShape shape = ScheduleShape::linear);
  /// The factor for step 0, 1, ….
  double at(Index step) const;
};

struct AdamWSettings {
  double learning_rate = 1e-3;
  double head_learning_rate = 1e-3;  ///< for the two groups of the head
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;       ///< of the groups that decay
  double max_gradient_norm = 1;  ///< of all gradients together; 0 switches clipping off
};

/// A run stopped because something was not finite. Trainer has put the weights back to an earlier
/// state whose loss was finite.
class Diverged : public tn::Error {
 public:
  using tn::Error::Error;
};

/// AdamW (Loshchilov & Hutter, arXiv:1711.05101).
template <class T>
class AdamW {
 public:
  AdamW(Weights<T>& weights, const AdamWSettings& settings, const LearningRateSchedule& schedule);

  /// One update from `factor` times the gradients in the arena. Returns their norm before clipping.
  /// Throws Error, and changes nothing, if a trainable weight received no gradient or the norm is
  /// not finite.
  double step(double factor = 1);
  /// What it has counted; the moments are in the arena.
  struct Counts {
    Index steps = 0;
    std::array<Index, weight_groups> averaged{};  ///< gradients in the moments of each group
  };
  const Counts& counts() const { return counts_; }
  void set_counts(const Counts& counts) { counts_ = counts; }
  /// The learning rate of the next step (of the groups other than the head).
  double learning_rate() const;
  /// Forgets how many moments were averaged in a group whose moments start from zero again, so that
  /// the bias correction starts again too.
  void restart(WeightGroup group) { counts_.averaged[static_cast<std::size_t>(group)] = 0; }

 private:
  Weights<T>& weights_;
  AdamWSettings settings_;
  LearningRateSchedule schedule_;
  Counts counts_;
};

}  // namespace metatt::transformer
