// A tensor train that finds its own ranks while it is trained: it starts at rank one, grows where
// the gradient points, and a sweep then drops what it does not need. Bond by bond, what each change
// did.
//     g++ -std=c++20 ranks.cpp $(pkg-config --cflags --libs metatt-transformer) -o ranks
#include <metatt/tn/contract.hpp>
#include <metatt/transformer/rank_adaptation.hpp>

#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>

using namespace metatt::transformer;
using metatt::tn::Index;
using Train = metatt::tn::TensorTrain<double>;

/// y += factor · x.
void add(double factor, const Tensor<double>& x, Tensor<double>& y) {
  metatt::tn::backend::add_scaled(metatt::tn::backend::queue(), x.size(), factor, x.data(),
                                  y.mutable_data());
}

/// The gradients of ½‖X − A‖² by the three cores of X, whose outer bonds have extent one.
std::vector<Tensor<double>> gradients(const Train& X, const Tensor<double>& A) {
  Tensor<double> rest = X.to_dense();
  add(-1, A, rest);
  const auto G0 = X.dense_core(0), G1 = X.dense_core(1), G2 = X.dense_core(2);
  const auto left = contract("lar,rbs->labs", G0, G1), right = contract("rbs,scm->rbcm", G1, G2);
  return {contract("abc,rbcm->mar", rest, right),
          contract("lrbc,scl->rbs", contract("lar,abc->lrbc", G0, rest), G2),
          contract("labs,abc->scl", left, rest)};
}

/// Steps of gradient descent with momentum, which is what the first moments are here.
void descend(TrainWithMoments& trained, const Tensor<double>& A, int steps) {
  for (int step = 0; step < steps; ++step) {
    const auto by_core = gradients(trained.train, A);
    auto cores = dense_cores(trained.train);
    for (std::size_t k = 0; k < cores.size(); ++k) {
      Tensor<double>& momentum = trained.first_moments[k];
      Tensor<double> next = by_core[k];
      add(0.9, momentum, next);
      momentum = next;
      add(-0.02, momentum, cores[k]);
    }
    trained.train = Train(std::move(cores));
  }
}

std::string text(double number) {
  std::ostringstream out;
  out << std::setprecision(3) << number;
  return out.str();
}

/// The entropy of a bond that is truncated is that of the train, of one that grows that of the
/// gradient in the directions that it lacked.
void print(const char* what, const std::vector<BondChange>& bonds, const Train& train) {
  for (const BondChange& bond : bonds)
    std::cout << std::setw(8) << what << std::setw(6) << bond.bond + 1 << std::setw(8)
              << bond.rank_before << std::setw(7) << bond.rank_after << std::setw(11)
              << bond.entropy << std::setw(20)
              << (std::isnan(bond.discarded_weight) ? "-" : text(bond.discarded_weight))
              << std::setw(10) << train.parameter_count() << "\n";
}

int main() {
  const std::vector<Index> modes{12, 6, 12}, planted{2, 3};
  Train unknown = Train::random(modes, planted, 1);
  unknown.scale(3 / unknown.norm());
  const Tensor<double> A = unknown.to_dense();

  Train start = Train::random(modes, std::vector<Index>{1, 1}, 2);
  start.scale(0.1 / start.norm());
  std::vector<Tensor<double>> zeros;
  for (const auto& core : dense_cores(start)) zeros.push_back(Tensor<double>::zeros(core.shape()));
  TrainWithMoments trained{start, zeros, zeros};
  const RankAdaptation adaptation(metatt::tn::SweepMode::rounding, OptimizerState::project);

  std::cout << std::setprecision(3)
            << "  change  bond  before  after    entropy    discarded weight   numbers\n";
  for (std::uint64_t round = 0; round < 4; ++round) {
    descend(trained, A, 300);
    std::vector<BondChange> grown;
    for (Index bond = 0; bond < 2; ++bond) {
      const auto probe = adaptation.probe(trained, bond, 1, 2 * round + bond);
      const auto left = gradients(probe.train, A)[static_cast<std::size_t>(bond)];
      grown.push_back(adaptation.grow(trained, bond, 1, left));
    }
    print("growth", grown, trained.train);
  }
  descend(trained, A, 600);
  RankTarget target;
  target.budget.cutoff = 1e-6;  // of the squared norm
  print("sweep", adaptation.truncate(trained, target).bonds, trained.train);
  descend(trained, A, 600);

  Tensor<double> rest = trained.train.to_dense();
  add(-1, A, rest);
  std::cout << "relative error "
            << metatt::tn::backend::norm(metatt::tn::backend::queue(), rest.size(), rest.data()) / 3
            << ", planted ranks 2 and 3\n";
}
