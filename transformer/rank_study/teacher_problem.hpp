#pragma once
/// A student that learns the updates of a teacher's weights from its outputs.

#include <metatt/transformer/rank_study/rank_problem.hpp>

namespace metatt::transformer {

/// Student and teacher are residual networks h ← h + tanh(h·A_l)·B_l of L layers and width D with
/// the same random frozen weights. The teacher's have the updates of a planted train of the modes
/// D, L, 2, D besides, of half their size; the student has a MetaTT-4D adapter that starts at zero.
/// The loss is the mean squared deviation of the outputs for normal inputs, in units of that of a
/// student without updates; the test error is the root of the same for as many fresh inputs. Noise
/// is in units of the root of that too. Cost of a pass forward and back: 8 · samples · L · D².
std::unique_ptr<RankProblem> make_teacher_problem(const RankProblemSettings& settings,
                                                  const std::vector<Index>& ranks,
                                                  std::uint64_t seed);

}  // namespace metatt::transformer
