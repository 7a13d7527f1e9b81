#pragma once
/// What `metatt dmrg` measures in a state, and the files it goes to.

#include <metatt/tn/chain/measurement.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/tn/files/hdf5_file.hpp>

#include <complex>
#include <string>
#include <vector>

namespace metatt::apps {

/// Which operators to measure.
struct Observables {
  std::vector<std::string> local;
  std::vector<std::pair<std::string, std::string>> pairs;
};

/// What was asked for, or what the sites have of Sz and N and their correlations if nothing was.
/// Throws Error on an operator that a site does not have, on a pair that is not "A:B" and on what
/// is there twice.
Observables choose_observables(const std::vector<std::string>& measure,
                               const std::vector<std::string>& correlate, const tn::Sites& sites);

struct Measurements {
  std::vector<tn::Index> bond_dimensions;
  std::vector<double> entropies;  ///< of the inner bonds
  std::vector<std::vector<double>> spectra;
  std::vector<std::pair<std::string, std::vector<std::complex<double>>>> local;
  /// "Sz Sz" and the matrix.
  std::vector<std::pair<std::string, std::vector<std::vector<std::complex<double>>>>> correlations;
};

template <class T>
Measurements measure(const tn::TensorTrain<T>& state, const tn::Sites& sites,
                     const Observables& observables);

void save(tn::Hdf5Writer& file, const std::string& name, const Measurements& measurements);

/// PREFIX_sites.csv, PREFIX_bonds.csv, PREFIX_correlations.csv.
void write_tables(const tn::OutputFolder& folder, const std::string& prefix,
                  const Measurements& measurements);

}  // namespace metatt::apps
