#pragma once
/// What `metatt dmrg` does once its command line is read.

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/files/model_file.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace metatt::apps {

struct DmrgOptions {
  std::string model, input;  ///< one of them
  tn::ModelChoices choices;
  /// A value for each sweep; the last one goes on. Empty: the default schedule.
  std::vector<tn::Index> maximum_bond;
  std::vector<double> cutoff;
  std::vector<double> noise;
  std::vector<tn::Index> solver_steps;
  tn::Index sweeps = 10;
  tn::Index sites_at_a_time = 2;
  std::string solver = "lanczos";
  double energy_tolerance = 1e-9, entropy_tolerance = 0, variance_tolerance = 0;
  tn::Index states = 1;
  tn::Index random_bond = 4;  ///< 0: the start is a product state
  std::uint64_t seed = 1;
  std::vector<std::string> measure;    ///< operators on one site
  std::vector<std::string> correlate;  ///< "A:B"
  std::string output;
  bool overwrite = false, resume = false;
};

/// Finds the states, measures them and writes the output folder; says on standard output what it
/// does. After every sweep the folder holds what a later call with `resume` needs.
void run_dmrg(const DmrgOptions& options);

}  // namespace metatt::apps
