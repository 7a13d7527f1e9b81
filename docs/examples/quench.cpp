// A quench: the Néel state under the XX chain. The magnetisation and the growth of entanglement,
// with the error that the truncations make.
//     g++ -std=c++20 quench.cpp $(pkg-config --cflags --libs metatt-tn) -o quench
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/chain/tebd.hpp>

#include <cmath>
#include <iomanip>
#include <iostream>

using namespace metatt::tn;

int main() {
  using Complex = std::complex<double>;
  const Index n = 40;
  const Sites sites = uniform_chain(n, spin_site(1).conserving({"2Sz"}));
  OperatorSum H;
  for (Index i = 0; i + 1 < n; ++i)
    H += 0.5 * op("S+", i) * op("S-", i + 1) + 0.5 * op("S-", i) * op("S+", i + 1);
  std::vector<std::string> neel;
  for (Index i = 0; i < n; ++i) neel.push_back(i % 2 ? "down" : "up");

  const double step = 0.1;
  Tebd<Complex> evolution(H, sites, product_state<Complex>(sites, neel),
                          {.order = 4, .maximum_bond = 100, .cutoff = 1e-10});
  std::cout << "time    <Sz>  J0(2t)/2  entropy  bond  discarded\n" << std::fixed;
  for (int i = 1; i <= 30; ++i) {
    const EvolutionReport report = evolution.step(Complex(0, -step));
    if (i % 5 != 0) continue;
    const auto magnetisation = local_expectations(evolution.state(), sites, "Sz");
    const auto spectrum =
        entanglement_spectra(evolution.state())[static_cast<std::size_t>(n / 2 - 1)];
    // Far from the ends free fermions give J0(2t)/2 on every other site.
    std::cout << std::setprecision(1) << std::setw(4) << i * step << std::setprecision(5)
              << std::setw(9) << magnetisation[static_cast<std::size_t>(n / 2)].real()
              << std::setw(9) << std::cyl_bessel_j(0, 2 * i * step) / 2 << std::setw(9)
              << entropy(spectrum) << std::setw(6) << report.maximum_bond << std::scientific
              << std::setprecision(1) << std::setw(11) << report.discarded_weight << std::fixed
              << "\n";
  }
}
