#include <metatt/apps/chain_report.hpp>

#include <metatt/apps/console.hpp>
#include <metatt/apps/plot.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/hdf5_file.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <complex>
#include <numeric>

namespace metatt::apps {

namespace {

using tn::Index;

std::vector<double> counted(std::size_t count) {
  std::vector<double> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  return numbers;
}

using Values = std::vector<std::complex<double>>;

std::vector<double> real_parts(const Values& values) {
  std::vector<double> result;
  for (const auto& value : values) result.push_back(value.real());
  return result;
}

/// What a run of dmrg left in its folder.
class ChainReport {
 public:
  explicit ChainReport(const std::filesystem::path& folder) : file_(folder / chain_file_name) {
    file_.expect("/", "format", "metatt");
    while (file_.contains(state(states_))) ++states_;
    if (states_ == 0) tn::fail(file_.path().string(), ": expected at least one state, found none");
  }

  ReportPage page() const {
    ReportPage page("States of a chain");
    page.add(table());
    page.add_picture("energy", convergence());
    page.add_picture(
        "entropy",
        svg(over_the_chain({"Entanglement entropy", "bond", "−Σ p ln p", {}}, "entropies")));
    add_locals(page);
    for (Index k = 0; k < states_; ++k) add_correlations(page, k);
    page.add_heading("Settings");
    page.add("<pre>" + html_escaped(settings()) + "</pre>\n");
    return page;
  }

 private:
  static std::string state(Index k) { return "state_" + std::to_string(k); }
  std::vector<double> column(Index k, const std::string& name) const {
    return file_.read<double>(state(k) + "/table/" + name).values;
  }

  std::string settings() const {
    const std::string text = file_.read_text("settings");
    const auto object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    return object.is_discarded() ? text : object.dump(2);
  }

  std::string table() const {
    HtmlTable table(
        {"state", "energy", "sweeps", "largest bond", "last change", "discarded weight", "seconds"},
        0);
    for (Index k = 0; k < states_; ++k) {
      const auto seconds = column(k, "seconds");
      const auto bonds = file_.read<Index>(state(k) + "/table/maximum_bond").values;
      const auto change = column(k, "energy_change"), weight = column(k, "discarded_weight");
      if (seconds.empty() || bonds.empty() || change.empty() || weight.empty())
        tn::fail(file_.path().string(), ": ", state(k), ": expected at least one sweep");
      table.row({std::to_string(k), fixed(file_.read_number<double>(state(k) + "/energy"), 10),
                 std::to_string(seconds.size()), std::to_string(bonds.back()),
                 scientific(change.back()), scientific(weight.back()),
                 fixed(std::accumulate(seconds.begin(), seconds.end(), 0.0), 1)});
    }
    return table.html();
  }

  std::string convergence() const {
    LinePlot plot{"Energy above that of the last sweep", "sweep", "E − E(last)", {}, true};
    for (Index k = 0; k < states_; ++k) {
      auto energies = column(k, "energy");
      const double last = energies.empty() ? 0 : energies.back();
      for (double& energy : energies) energy -= last;
      plot.curves.push_back({"state " + std::to_string(k), counted(energies.size()), energies});
    }
    return svg(plot);
  }

  /// The same measured array of all states over sites or bonds; nothing of a run that has not
  /// ended.
  LinePlot over_the_chain(LinePlot plot, const std::string& name) const {
    for (Index k = 0; k < states_; ++k) {
      const std::string array = state(k) + "/measurements/" + name;
      if (!file_.contains(array)) continue;
      const auto values = real_parts(file_.read<std::complex<double>>(array).values);
      plot.curves.push_back({"state " + std::to_string(k), counted(values.size()), values});
    }
    return plot;
  }

  void add_locals(ReportPage& page) const {
    const std::string group = state(0) + "/measurements/local";
    if (!file_.contains(group)) return;
    for (const std::string& name : file_.names(group))
      page.add_picture(
          "mean value of " + name,
          svg(over_the_chain({"Mean value of " + name, "site", name, {}}, "local/" + name)));
  }

  /// ⟨A_i⟩⟨B_j⟩ off ⟨A_i B_j⟩, if both were measured.
  bool subtract_means(Index k, const std::string& pair, std::size_t n, Values& values) const {
    const std::string local = state(k) + "/measurements/local/";
    const std::size_t blank = pair.find(' ');
    const std::string a = local + pair.substr(0, blank), b = local + pair.substr(blank + 1);
    if (!file_.contains(a) || !file_.contains(b)) return false;
    const auto count = static_cast<Index>(n);
    const Values means_a = file_.read_values<std::complex<double>>(a, count),
                 means_b = file_.read_values<std::complex<double>>(b, count);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) values[i * n + j] -= means_a[i] * means_b[j];
    return true;
  }

  void add_correlations(ReportPage& page, Index k) const {
    const std::string group = state(k) + "/measurements/correlations";
    if (!file_.contains(group)) return;
    for (const std::string& name : file_.names(group)) {
      auto [shape, values] = file_.read<std::complex<double>>(group + "/" + name);
      if (shape.size() != 2 || shape[0] != shape[1])
        tn::fail(file_.path().string(), ": ", group, "/", name,
                 ": expected a square matrix, found ", tn::shape_text(shape));
      const auto n = static_cast<std::size_t>(shape[0]);
      const bool connected = subtract_means(k, name, n, values);
      ColourMap map{(connected ? "Connected ⟨" : "⟨") + name + "⟩, state " + std::to_string(k),
                    "site j",
                    "site i",
                    {}};
      const std::vector<double> real = real_parts(values);
      for (std::size_t i = 0; i < n; ++i)
        map.rows.emplace_back(real.begin() + static_cast<std::ptrdiff_t>(i * n),
                              real.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
      page.add_picture("correlations " + name + " state " + std::to_string(k), svg(map));
    }
  }

  tn::Hdf5Reader file_;
  Index states_ = 0;
};

}  // namespace

ReportPage chain_report(const std::filesystem::path& folder) {
  return ChainReport(folder).page();
}

}  // namespace metatt::apps
