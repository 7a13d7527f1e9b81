#pragma once
/// AdamW over the arena, with gradient clipping and a linear schedule.

#include <metatt/transformer/weights.hpp>

#include <array>

namespace metatt::transformer {

/// Rises linearly to 1 over the warm-up, then falls linearly to 0 at the last step, as Hugging
/// Face's "linear" schedule.
struct LinearSchedule {
  Index warmup_steps = 0;
  Index total_steps = 1;
  /// A warm-up over that share of the steps, rounded up as Hugging Face does.
  static LinearSchedule with_warmup(Index total_steps, double warmup_ratio);
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

/// A training run stopped because something was not finite. The weights have been put back to an
/// earlier state whose loss was finite.
class Diverged : public tn::Error {
 public:
  using tn::Error::Error;
};

/// Positions counted from 0 as text for such an error, counted from 1: "3, 17, 4".
std::string counted_from_one(std::span<const Index> positions);

/// AdamW (Loshchilov & Hutter, arXiv:1711.05101).
template <class T>
class AdamW {
 public:
  AdamW(Weights<T>& weights, const AdamWSettings& settings, const LinearSchedule& schedule);

  /// One update from the gradients in the arena. Returns their norm before clipping. Throws Error,
  /// and changes nothing, if a trainable weight received no gradient or the norm is not finite.
  double step();
  Index steps() const { return steps_; }
  /// The learning rate of the next step (of the groups other than the head).
  double learning_rate() const;
  /// Forgets how many moments were averaged in a group whose moments start from zero again, so that
  /// the bias correction starts again too.
  void restart(WeightGroup group) { averaged_[static_cast<std::size_t>(group)] = 0; }

 private:
  Weights<T>& weights_;
  AdamWSettings settings_;
  LinearSchedule schedule_;
  Index steps_ = 0;
  std::array<Index, weight_groups> averaged_{};
};

}  // namespace metatt::transformer
