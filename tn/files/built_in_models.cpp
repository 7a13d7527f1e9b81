#include <metatt/tn/error.hpp>
#include <metatt/tn/files/model_file.hpp>

#include <algorithm>

namespace metatt::tn {

std::span<const BuiltInModel> built_in_models() {
  static const std::vector<BuiltInModel> models{
      {"heisenberg", "J Σ S·S of neighbours, in a field h; any spin (site \"spin 1\")",
       R"(site       spin 1/2
parameter  J = 1
parameter  h = 0
conserve   2Sz
start      first last
everywhere 0.5*J  S+ 0  S- 1
everywhere 0.5*J  S- 0  S+ 1
everywhere J      Sz 0  Sz 1
everywhere -h     Sz 0
)"},
      {"xxz", "Σ (Sx Sx + Sy Sy + Delta Sz Sz), in a field h",
       R"(site       spin 1/2
parameter  Delta = 1
parameter  h = 0
conserve   2Sz
start      first last
everywhere 0.5    S+ 0  S- 1
everywhere 0.5    S- 0  S+ 1
everywhere Delta  Sz 0  Sz 1
everywhere -h     Sz 0
)"},
      {"xx", "Σ (Sx Sx + Sy Sy): free fermions",
       R"(site       spin 1/2
conserve   2Sz
start      first last
everywhere 0.5  S+ 0  S- 1
everywhere 0.5  S- 0  S+ 1
)"},
      {"tfim", "transverse-field Ising, −J Σ X X − h Σ Z (Pauli matrices)",
       R"(site       spin 1/2
parameter  J = 1
parameter  h = 1
conserve   parity
start      up
everywhere -J  X 0  X 1
everywhere -h  Z 0
)"},
      {"j1j2", "Heisenberg with next neighbours, J1 and J2 (Majumdar–Ghosh at J2 = 0.5)",
       R"(site       spin 1/2
parameter  J1 = 1
parameter  J2 = 0.5
conserve   2Sz
start      first last
everywhere 0.5*J1  S+ 0  S- 1
everywhere 0.5*J1  S- 0  S+ 1
everywhere J1      Sz 0  Sz 1
everywhere 0.5*J2  S+ 0  S- 2
everywhere 0.5*J2  S- 0  S+ 2
everywhere J2      Sz 0  Sz 2
)"},
      {"haldane-shastry", "J Σ S·S / r^alpha between all pairs, open ends",
       R"(site      spin 1/2
parameter J = 1
parameter alpha = 2
conserve  2Sz
start     first last
pairs     0.5*J*r^-alpha  S+  S-
pairs     0.5*J*r^-alpha  S-  S+
pairs     J*r^-alpha      Sz  Sz
)"},
      {"aklt", "Σ S·S + (S·S)² / 3 of spins 1: ground states with bond dimension 2",
       R"(site       spin 1
parameter  b = 0.33333333333333333
conserve   2Sz
start      first last
everywhere 0.5     S+ 0  S- 1
everywhere 0.5     S- 0  S+ 1
everywhere 1       Sz 0  Sz 1
everywhere 0.25*b  S+ 0  S+ 0  S- 1  S- 1
everywhere 0.25*b  S+ 0  S- 0  S- 1  S+ 1
everywhere 0.25*b  S- 0  S+ 0  S+ 1  S- 1
everywhere 0.25*b  S- 0  S- 0  S+ 1  S+ 1
everywhere 0.5*b   S+ 0  Sz 0  S- 1  Sz 1
everywhere 0.5*b   Sz 0  S+ 0  Sz 1  S- 1
everywhere 0.5*b   S- 0  Sz 0  S+ 1  Sz 1
everywhere 0.5*b   Sz 0  S- 0  Sz 1  S+ 1
everywhere b       Sz 0  Sz 0  Sz 1  Sz 1
)"},
      {"tv", "spinless fermions, −t Σ (c†c + h.c.) + V Σ n n − mu Σ n",
       R"(site       fermion
parameter  t = 1
parameter  V = 1
parameter  mu = 0
conserve   N
start      full empty
everywhere -t   Cdag 0  C 1
everywhere -t   Cdag 1  C 0
everywhere V    N 0  N 1
everywhere -mu  N 0
)"},
      {"hubbard", "electrons, −t Σ (c†c + h.c.) + U Σ n_up n_down − mu Σ n",
       R"(site       electron
parameter  t = 1
parameter  U = 4
parameter  mu = 0
conserve   N 2Sz
start      up down
everywhere -t   Cdagup 0    Cup 1
everywhere -t   Cdagup 1    Cup 0
everywhere -t   Cdagdown 0  Cdown 1
everywhere -t   Cdagdown 1  Cdown 0
everywhere U    NupNdown 0
everywhere -mu  N 0
)"},
      {"bose-hubbard", "bosons, at most 4 a site: −t Σ (a†a + h.c.) + U/2 Σ n (n − 1) − mu Σ n",
       R"(site       boson 4
parameter  t = 1
parameter  U = 4
parameter  mu = 0
conserve   N
start      1
everywhere -t      Adag 0  A 1
everywhere -t      Adag 1  A 0
everywhere 0.5*U   N 0  N 0
everywhere -0.5*U  N 0
everywhere -mu     N 0
)"},
  };
  return models;
}

const BuiltInModel& find_model(const std::string& name) {
  const auto models = built_in_models();
  const auto found = std::ranges::find(models, name, &BuiltInModel::name);
  if (found != models.end()) return *found;
  std::string names;
  for (const BuiltInModel& model : models) names += (names.empty() ? "" : ", ") + model.name;
  fail("model ", name, ": expected one of ", names);
}

}  // namespace metatt::tn
