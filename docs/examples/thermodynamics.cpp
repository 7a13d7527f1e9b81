// Energy and specific heat of the Heisenberg chain against temperature, by purification.
//     g++ -std=c++20 thermodynamics.cpp $(pkg-config --cflags --libs metatt-tn) -o thermodynamics
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/chain/tdvp.hpp>

#include <cmath>
#include <iomanip>
#include <iostream>

using namespace metatt::tn;

int main() {
  const Index n = 16;
  const Sites physical = uniform_chain(n, spin_site(1).conserving({"2Sz"}));
  OperatorSum H;  // on every other site of the doubled chain
  for (Index i = 0; i + 1 < n; ++i) {
    const Index a = 2 * i, b = 2 * i + 2;
    H += 0.5 * op("S+", a) * op("S-", b) + 0.5 * op("S-", a) * op("S+", b);
    H += op("Sz", a) * op("Sz", b);
  }
  const auto mpo = matrix_product_operator<double>(H, purification_sites(physical));

  const double step = 0.1;  // of the inverse temperature
  Tdvp<double> cooling(mpo, infinite_temperature_state<double>(physical),
                       {.maximum_bond = 60, .cutoff = 1e-9});
  double logarithm = static_cast<double>(n) * std::log(2.0);  // of the partition function
  std::cout << "beta   energy/n  heat/n    entropy/n  bond\n" << std::fixed << std::setprecision(5);
  for (int i = 1; i <= 20; ++i) {
    const EvolutionReport report = cooling.step(-step / 2);
    logarithm += 2 * std::log(report.norm);
    if (i % 4 != 0) continue;
    const double beta = i * step, energy = expectation(mpo, cooling.state());
    std::cout << std::setprecision(1) << std::setw(4) << beta << std::setprecision(5)
              << std::setw(11) << energy / n << std::setw(9)
              << beta * beta * variance(mpo, cooling.state()) / n << std::setw(11)
              << (logarithm + beta * energy) / n << std::setw(7) << report.maximum_bond << "\n";
  }
}
