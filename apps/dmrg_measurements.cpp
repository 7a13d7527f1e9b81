#include <metatt/apps/dmrg_measurements.hpp>
#include <metatt/tn/error.hpp>

#include <algorithm>
#include <iomanip>
#include <limits>
#include <sstream>

namespace metatt::apps {

using Complex = std::complex<double>;
using tn::Index;

namespace {

/// Real and imaginary part, the second only if one of the numbers has one.
struct ComplexColumns {
  bool complex;

  void title(std::ostream& out, const std::string& name) const {
    out << "," << name;
    if (complex) out << "," << name << " (imaginary)";
  }
  void value(std::ostream& out, const Complex& number) const {
    out << "," << number.real();
    if (complex) out << "," << number.imag();
  }
};

bool any_complex(const std::vector<Complex>& numbers) {
  return std::ranges::any_of(numbers, [](const Complex& x) { return x.imag() != 0; });
}

std::ostringstream table() {
  std::ostringstream out;
  out << std::setprecision(std::numeric_limits<double>::max_digits10);
  return out;
}

std::vector<Complex> flattened(const std::vector<std::vector<Complex>>& matrix) {
  std::vector<Complex> all;
  for (const auto& row : matrix) all.insert(all.end(), row.begin(), row.end());
  return all;
}

void save_numbers(tn::Hdf5Writer& file, const std::string& name, const tn::Shape& shape,
                  const std::vector<Complex>& numbers) {
  if (any_complex(numbers)) return file.write<Complex>(name, shape, numbers);
  std::vector<double> real;
  for (const Complex& number : numbers) real.push_back(number.real());
  file.write<double>(name, shape, real);
}

void refuse_repeated(const char* option, std::vector<std::string> words) {
  std::ranges::sort(words);
  const auto twice = std::ranges::adjacent_find(words);
  if (twice != words.end()) tn::fail(option, ": ", *twice, " is there twice");
}

std::string sites_table(const Measurements& m) {
  auto out = table();
  out << "site";
  std::vector<ComplexColumns> columns;
  for (const auto& [name, values] : m.local) {
    columns.push_back({any_complex(values)});
    columns.back().title(out, name);
  }
  out << "\n";
  for (std::size_t i = 0; i <= m.entropies.size(); ++i) {
    out << i;
    for (std::size_t c = 0; c < columns.size(); ++c) columns[c].value(out, m.local[c].second[i]);
    out << "\n";
  }
  return out.str();
}

std::string bonds_table(const Measurements& m) {
  auto out = table();
  out << "bond,dimension,entropy\n";
  for (std::size_t k = 0; k < m.entropies.size(); ++k)
    out << k << "," << m.bond_dimensions[k] << "," << m.entropies[k] << "\n";
  return out.str();
}

std::string correlations_table(const Measurements& m) {
  auto out = table();
  out << "i,j";
  std::vector<ComplexColumns> columns;
  for (const auto& [name, matrix] : m.correlations) {
    columns.push_back({any_complex(flattened(matrix))});
    columns.back().title(out, name);
  }
  out << "\n";
  for (std::size_t i = 0; i <= m.entropies.size(); ++i)
    for (std::size_t j = 0; j <= m.entropies.size(); ++j) {
      out << i << "," << j;
      for (std::size_t c = 0; c < columns.size(); ++c)
        columns[c].value(out, m.correlations[c].second[i][j]);
      out << "\n";
    }
  return out.str();
}

}  // namespace

Observables choose_observables(const std::vector<std::string>& measure,
                               const std::vector<std::string>& correlate, const tn::Sites& sites) {
  Observables result;
  for (const std::string& name : measure) {
    for (const tn::Site& site : sites) site.find_operator(name);
    result.local.push_back(name);
  }
  for (const std::string& pair : correlate) {
    const std::size_t colon = pair.find(':');
    if (colon == std::string::npos)
      tn::fail("correlate: expected two operators as A:B, found \"", pair, "\"");
    result.pairs.emplace_back(pair.substr(0, colon), pair.substr(colon + 1));
    for (const tn::Site& site : sites) {
      site.find_operator(result.pairs.back().first);
      site.find_operator(result.pairs.back().second);
    }
  }
  refuse_repeated("measure", measure);
  refuse_repeated("correlate", correlate);
  if (!measure.empty() || !correlate.empty()) return result;
  for (const char* name : {"Sz", "N"})
    if (std::ranges::all_of(sites, [&](const tn::Site& site) { return site.has_operator(name); })) {
      result.local.emplace_back(name);
      result.pairs.emplace_back(name, name);
    }
  return result;
}

template <class T>
Measurements measure(const tn::TensorTrain<T>& state, const tn::Sites& sites,
                     const Observables& observables) {
  Measurements result;
  result.bond_dimensions = state.ranks();
  result.spectra = tn::entanglement_spectra(state);
  for (const auto& spectrum : result.spectra) result.entropies.push_back(tn::entropy(spectrum));
  for (const std::string& name : observables.local)
    result.local.emplace_back(name, tn::local_expectations(state, sites, name));
  for (const auto& [a, b] : observables.pairs)
    result.correlations.emplace_back(a + " " + b, tn::correlation_matrix(state, sites, a, b));
  return result;
}

void save(tn::Hdf5Writer& file, const std::string& name, const Measurements& m) {
  const auto bonds = static_cast<Index>(m.entropies.size()), sites = bonds + 1;
  file.write<Index>(name + "/bond_dimensions", {bonds}, m.bond_dimensions);
  file.write<double>(name + "/entropies", {bonds}, m.entropies);
  for (std::size_t k = 0; k < m.spectra.size(); ++k)
    file.write<double>(name + "/spectra/bond_" + std::to_string(k),
                       {static_cast<Index>(m.spectra[k].size())}, m.spectra[k]);
  for (const auto& [op, values] : m.local)
    save_numbers(file, name + "/local/" + op, {sites}, values);
  for (const auto& [pair, matrix] : m.correlations)
    save_numbers(file, name + "/correlations/" + pair, {sites, sites}, flattened(matrix));
}

void write_tables(const tn::OutputFolder& folder, const std::string& prefix,
                  const Measurements& m) {
  if (!m.local.empty()) tn::write_file_atomically(folder / (prefix + "_sites.csv"), sites_table(m));
  tn::write_file_atomically(folder / (prefix + "_bonds.csv"), bonds_table(m));
  if (!m.correlations.empty())
    tn::write_file_atomically(folder / (prefix + "_correlations.csv"), correlations_table(m));
}

template Measurements measure(const tn::TensorTrain<double>&, const tn::Sites&, const Observables&);
template Measurements measure(const tn::TensorTrain<Complex>&, const tn::Sites&,
                              const Observables&);

}  // namespace metatt::apps
