// The ground state of a spin chain: energy, convergence, magnetisation and entanglement.
//     g++ -std=c++20 ground_state.cpp $(pkg-config --cflags --libs metatt-tn) -o ground_state
#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>

#include <iomanip>
#include <iostream>

using namespace metatt::tn;

int main() {
  const Index n = 100;
  const Sites sites = uniform_chain(n, spin_site(1).conserving({"2Sz"}));

  OperatorSum H;  // Heisenberg, J = 1
  for (Index i = 0; i + 1 < n; ++i) {
    H += 0.5 * op("S+", i) * op("S-", i + 1) + 0.5 * op("S-", i) * op("S+", i + 1);
    H += op("Sz", i) * op("Sz", i + 1);
  }
  const auto mpo = matrix_product_operator<double>(H, sites);

  std::vector<std::string> neel;
  for (Index i = 0; i < n; ++i) neel.push_back(i % 2 ? "down" : "up");

  DmrgSettings settings;
  for (const Index bond : {10, 20, 100, 100, 200})
    settings.sweeps.push_back({.maximum_bond = bond, .cutoff = 1e-10});
  std::cout << "sweep        energy      change  bond  discarded    entropy    s\n";
  const auto print = [](const DmrgResult<double>& so_far) {
    const DmrgSweepReport& row = so_far.sweeps.back();
    std::cout << std::setw(5) << row.sweep << std::fixed << std::setprecision(8) << std::setw(16)
              << row.energy << std::scientific << std::setprecision(1) << std::setw(11)
              << row.energy_change << std::setw(6) << row.maximum_bond << std::setw(11)
              << row.discarded_weight << std::fixed << std::setprecision(6) << std::setw(11)
              << row.centre_entropy << std::setprecision(1) << std::setw(6) << row.seconds << "\n";
  };
  const auto result = dmrg(mpo, product_state<double>(sites, neel), settings, print);
  // Bethe ansatz with open ends: −44.12773989…
  std::cout << "E = " << std::setprecision(9) << result.energy << "\n";

  const auto correlations = correlation_matrix(result.state, sites, "Sz", "Sz");
  for (const std::size_t distance : {1, 2, 4, 8, 16})
    std::cout << "<Sz Sz> at distance " << distance << ": "
              << correlations[49][49 + distance].real() << "\n";
}
