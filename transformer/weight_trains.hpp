#pragma once
/// Tensor trains whose cores are trainable weights, and the changes of their ranks in training.

#include <metatt/transformer/adapters/adapter.hpp>
#include <metatt/transformer/optimiser.hpp>
#include <metatt/transformer/rank_adaptation.hpp>

#include <functional>
#include <vector>

namespace metatt::transformer {

/// The weight ids of a train's cores from the first to the last. The first and the last core are
/// stored without their outer bonds.
template <class T>
using TrainIds = std::vector<typename Weights<T>::Id>;

/// A train among the weights, read and written as one. Computed in double precision on cores of
/// any T.
template <class T>
class WeightTrain {
 public:
  WeightTrain(TrainIds<T> ids, Weights<T>& weights) : ids_(std::move(ids)), weights_(&weights) {}

  TrainWithMoments read() const;
  /// Puts new cores and moments in the place of the old ones, whatever their ranks.
  void write(const TrainWithMoments& trained) const;
  /// Of a core, with its outer bonds.
  Tensor<double> gradient(Index core) const;
  /// Sets the gradients of all cores but one to zero.
  void clear_gradients_except(Index core) const;
  const std::string& name(Index core) const;

 private:
  Shape core_shape(std::size_t k) const;
  Index parameter(std::size_t k) const;

  TrainIds<T> ids_;
  Weights<T>* weights_;
};

/// The ranks of an adapter now: of all bonds, train by train; of triplets one for each matrix; none
/// of an adapter of another form.
template <class T>
std::vector<Index> present_ranks(const Adapter<T>& adapter, const Weights<T>& weights);

/// Throws Error if an adapter cannot have what a schedule asks for: a rank above what a bond can
/// hold, the wrong number of ranks, a budget below what the train has at rank one, a number of
/// parameters for several trains, or any change where there is no train.
template <class T>
void check_rank_schedule(const std::vector<RankStep>& schedule, const Adapter<T>& adapter,
                         const Weights<T>& weights);

/// Changes the ranks of trains and puts the new cores and moments into the weights.
/// `compute_gradients` fills the arena's gradients with those of the loss at the present weights,
/// for growth. Where moments are reset, so are those of all other weights in the group of the
/// cores, since a group's bias correction restarts as a whole. Bonds are listed train by train.
/// `input_gram`: see RankAdaptation::truncate; it is that of all trains. Errors as
/// RankAdaptation.
template <class T>
RankSweep adapt_ranks(const std::vector<TrainIds<T>>& trains, Weights<T>& weights,
                      AdamW<T>& optimiser, const RankTarget& target,
                      const RankAdaptation& adaptation,
                      const std::function<void()>& compute_gradients,
                      const Tensor<double>& input_gram = {});

/// Sets the moments of a group's weights to zero and has their bias correction start again.
template <class T>
void restart_moments(Weights<T>& weights, AdamW<T>& optimiser, WeightGroup group);

}  // namespace metatt::transformer
