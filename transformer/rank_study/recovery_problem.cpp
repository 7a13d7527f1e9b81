#include <metatt/transformer/rank_study/recovery_problem.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/adapters/meta_tt.hpp>

#include <cmath>

namespace metatt::transformer {

namespace {

constexpr std::uint64_t measurement_stream = 1000, noise_stream = 1001;
constexpr double start_norm = 0.1;

class RecoveryProblem : public RankProblem {
 public:
  RecoveryProblem(const RankProblemSettings& settings, const std::vector<Index>& ranks,
                  std::uint64_t seed)
      : RankProblem(planted_train(settings, seed)) {
    const auto modes = truth_.modes();
    const Tensor<double> truth = truth_.to_dense();
    measurements_ =
        tn::random_normal<double>({settings.samples, truth.size()}, seed, measurement_stream);
    tn::backend::scale(tn::backend::queue(), measurements_.size(),
                       1 / std::sqrt(static_cast<double>(truth.size())),
                       measurements_.mutable_data());
    transposed_ = tn::adjoint(measurements_);
    targets_ = tn::matrix_product(measurements_, truth.reshaped({truth.size(), 1}));
    const auto noise = tn::random_normal<double>(targets_.shape(), seed, noise_stream);
    tn::backend::add_scaled(tn::backend::queue(), targets_.size(), settings.noise, noise.data(),
                            targets_.mutable_data());
    add_start(modes, capped_ranks("rank", modes, ranks), seed);
  }

  double loss_and_gradients() override {
    const auto train = this->train();
    const Tensor<double> tensor = train.to_dense();
    Tensor<double> residual =
        tn::matrix_product(measurements_, tensor.reshaped({tensor.size(), 1}));
    auto& queue = tn::backend::queue();
    const auto count = static_cast<double>(residual.size());
    tn::backend::add_scaled(queue, residual.size(), -1.0, targets_.data(), residual.mutable_data());
    const double norm = tn::backend::norm(queue, residual.size(), residual.data());
    tn::backend::scale(queue, residual.size(), 1 / count, residual.mutable_data());
    const auto gradients =
        core_gradients(train, tn::matrix_product(transposed_, residual).reshaped(tensor.shape()));
    for (std::size_t k = 0; k < ids_.size(); ++k) {
      const auto target = weights_.arena().gradient_target(static_cast<Index>(k));
      tn::backend::copy(queue, gradients[k].size(), gradients[k].data(), target.data);
    }
    return norm * norm / (2 * count);
  }
  double test_error() override { return tensor_error(); }

 private:
  void add_start(const std::vector<Index>& modes, const std::vector<Index>& ranks,
                 std::uint64_t seed) {
    auto start = tn::TensorTrain<double>::random(modes, ranks, seed + 1);
    const double factor = std::pow(start_norm * truth_.norm() / start.norm(),
                                   1 / static_cast<double>(start.length()));
    for (Tensor<double>& core : stored_cores(start)) {
      tn::backend::scale(tn::backend::queue(), core.size(), factor, core.mutable_data());
      ids_.push_back(weights_.add("core." + std::to_string(ids_.size() + 1), std::move(core)));
      weights_.train(ids_.back(), WeightGroup::decayed);
    }
    weights_.build_arena();
  }

  Tensor<double> measurements_, transposed_, targets_;
};

}  // namespace

std::unique_ptr<RankProblem> make_recovery_problem(const RankProblemSettings& settings,
                                                   const std::vector<Index>& ranks,
                                                   std::uint64_t seed) {
  return std::make_unique<RecoveryProblem>(settings, ranks, seed);
}

std::vector<Tensor<double>> core_gradients(const tn::TensorTrain<double>& train,
                                           const Tensor<double>& gradient) {
  const auto length = static_cast<std::size_t>(train.length());
  std::vector<Tensor<double>> right(length);  // bond × all modes right of core k
  Tensor<double> one = Tensor<double>::from({1, 1}, std::vector<double>{1});
  right.back() = one;
  for (std::size_t k = length - 1; k > 0; --k) {
    const Tensor<double> core = train.dense_core(static_cast<Index>(k));
    right[k - 1] = tn::matrix_product(
                       core.reshaped({core.extent(0) * core.extent(1), core.extent(2)}), right[k])
                       .reshaped({core.extent(0), core.extent(1) * right[k].extent(1)});
  }
  std::vector<Tensor<double>> gradients;
  // The left bond × the modes from k on: gradient contracted with all cores left of k.
  Tensor<double> rest = gradient.reshaped({1, gradient.size()});
  for (std::size_t k = 0; k < length; ++k) {
    const Tensor<double> core = train.dense_core(static_cast<Index>(k));
    const Index left = core.extent(0), mode = core.extent(1);
    const Tensor<double> open = rest.reshaped({left * mode, right[k].extent(1)});
    gradients.push_back(tn::matrix_product(open, tn::adjoint(right[k])).reshaped(core.shape()));
    rest = tn::matrix_product(tn::adjoint(core.reshaped({left * mode, core.extent(2)})), open);
  }
  return gradients;
}

}  // namespace metatt::transformer
