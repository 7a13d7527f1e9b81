/// metatt report: the results of a run as one page with pictures.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/plot.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/tn/files/hdf5_file.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <complex>
#include <iostream>
#include <numeric>
#include <sstream>

namespace metatt::apps {

namespace {

using tn::Index;

constexpr const char* page_head = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>metatt: states of a chain</title><style>
body { font-family: sans-serif; max-width: 1340px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; } td, th { padding: 0.2em 0.9em; text-align: right; border-bottom: 1px solid #ddd; }
pre { background: #f4f4f4; padding: 0.8em; overflow-x: auto; }
.pictures { display: flex; flex-wrap: wrap; gap: 1em; } .pictures svg { width: 640px; max-width: 100%; height: auto; }
</style></head><body>
)";

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      default:
        result += c;
    }
  return result;
}

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
  explicit ChainReport(const std::filesystem::path& folder) : file_(folder / "dmrg.h5") {
    file_.expect("/", "format", "metatt");
    while (file_.contains(state(states_))) ++states_;
    if (states_ == 0) tn::fail(file_.path().string(), ": expected at least one state, found none");
  }

  std::string page() const {
    std::ostringstream out;
    out << page_head << "<h1>States of a chain</h1>\n"
        << table() << "<div class=\"pictures\">\n"
        << convergence() << entropies() << locals();
    for (Index k = 0; k < states_; ++k) out << correlations(k);
    out << "</div>\n<h2>Settings</h2>\n<pre>" << escaped(settings()) << "</pre>\n</body></html>\n";
    return out.str();
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
    std::ostringstream out;
    out << "<table><tr><th>state</th><th>energy</th><th>sweeps</th><th>largest bond</th>"
           "<th>last change</th><th>discarded weight</th><th>seconds</th></tr>\n";
    for (Index k = 0; k < states_; ++k) {
      const auto seconds = column(k, "seconds");
      const auto bonds = file_.read<Index>(state(k) + "/table/maximum_bond").values;
      const auto change = column(k, "energy_change"), weight = column(k, "discarded_weight");
      if (seconds.empty() || bonds.empty() || change.empty() || weight.empty())
        tn::fail(file_.path().string(), ": ", state(k), ": expected at least one sweep");
      out << "<tr><td>" << k << "</td><td>"
          << fixed(file_.read_number<double>(state(k) + "/energy"), 10) << "</td><td>"
          << seconds.size() << "</td><td>" << bonds.back() << "</td><td>"
          << scientific(change.back()) << "</td><td>" << scientific(weight.back()) << "</td><td>"
          << fixed(std::accumulate(seconds.begin(), seconds.end(), 0.0), 1) << "</td></tr>\n";
    }
    return out.str() + "</table>\n";
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

  std::string entropies() const {
    return svg(over_the_chain({"Entanglement entropy", "bond", "−Σ p ln p", {}}, "entropies"));
  }

  std::string locals() const {
    const std::string group = state(0) + "/measurements/local";
    std::string pictures;
    if (!file_.contains(group)) return pictures;
    for (const std::string& name : file_.names(group))
      pictures += svg(over_the_chain({"Mean value of " + name, "site", name, {}}, "local/" + name));
    return pictures;
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

  std::string correlations(Index k) const {
    const std::string group = state(k) + "/measurements/correlations";
    std::string pictures;
    if (!file_.contains(group)) return pictures;
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
      pictures += svg(map);
    }
    return pictures;
  }

  tn::Hdf5Reader file_;
  Index states_ = 0;
};

}  // namespace

void add_report(CLI::App& program) {
  struct Options {
    std::string run, output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* command =
      add_command(program, "report", "Draw a run of dmrg: one page with pictures (needs gnuplot)");
  command->add_option("run", o->run, "Output folder of metatt dmrg")
      ->check(not_empty("a folder"))
      ->required();
  command->add_option("--output", o->output, "The page (default: report.html in that folder)")
      ->check(not_empty("a file"));
  command->callback([o] {
    const std::filesystem::path page = o->output.empty()
                                           ? std::filesystem::path(o->run) / "report.html"
                                           : std::filesystem::path(o->output);
    tn::write_file_atomically(page, ChainReport(o->run).page());
    std::cout << "report in " << page.string() << std::endl;
  });
}

}  // namespace metatt::apps
