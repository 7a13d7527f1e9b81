#include <metatt/apps/plot.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <sstream>

namespace metatt::apps {

namespace {

/// A folder that goes away with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "metatt-plot-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      tn::fail(pattern, ": cannot create a folder for gnuplot");
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A text between quotes for gnuplot, which would read some characters as markup or commands.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("''") : std::string(1, c);
  return result + "'";
}

/// A path as one word of a shell command.
std::string for_shell(const std::filesystem::path& path) {
  std::string result = "'";
  for (const char c : path.string()) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string head(const std::string& title, const std::string& x_label, const std::string& y_label) {
  std::ostringstream script;
  script << "set terminal svg size 640,400 dynamic noenhanced font 'sans-serif,13'\n"
         << "set title " << quoted(title) << "\nset xlabel " << quoted(x_label) << "\nset ylabel "
         << quoted(y_label) << "\n";
  return script.str();
}

/// What gnuplot draws when it is given these lines in the folder of their data.
std::string drawn(const ScratchFolder& folder, const std::string& script) {
  tn::write_file_atomically(folder / "script", script);
  const std::string errors = (folder / "errors").string();
  const std::string command =
      "gnuplot " + for_shell(folder / "script") + " 2> " + for_shell(errors);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) tn::fail("report: gnuplot cannot be started");
  std::string picture;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe))
    picture.append(buffer, count);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    tn::fail("report: expected gnuplot, found none; on Debian: apt-get install gnuplot-nox");
  if (status != 0) tn::fail("report: gnuplot failed: ", tn::read_file(errors));
  // What stands before the picture itself belongs to a file of its own.
  const std::size_t start = picture.find("<svg");
  if (start == std::string::npos) tn::fail("report: gnuplot drew nothing");
  return picture.substr(start);
}

}  // namespace

std::string svg(const LinePlot& plot) {
  const ScratchFolder folder;
  std::ostringstream script, curves;
  script << head(plot.title, plot.x_label, plot.y_label) << "set key outside right top\nset grid\n";
  if (plot.logarithmic) script << "set logscale y\nset format y '%.0e'\n";
  int number = 0;
  for (const Curve& curve : plot.curves) {
    std::ostringstream data;
    data.precision(std::numeric_limits<double>::max_digits10);
    for (std::size_t i = 0; i < std::min(curve.x.size(), curve.y.size()); ++i)
      if (std::isfinite(curve.y[i]) && (!plot.logarithmic || curve.y[i] > 0))
        data << curve.x[i] << " " << curve.y[i] << "\n";
    if (data.str().empty()) continue;
    const std::string name = (folder / ("curve" + std::to_string(number++))).string();
    tn::write_file_atomically(name, data.str());
    curves << (number == 1 ? "plot " : ", ") << quoted(name)
           << " with linespoints pt 7 ps 0.4 title " << quoted(curve.title);
  }
  if (number == 0) return "";
  return drawn(folder, script.str() + curves.str() + "\n");
}

std::string svg(const ColourMap& map) {
  const ScratchFolder folder;
  std::ostringstream script, data;
  double largest = 0;
  for (const auto& row : map.rows) {
    for (const double value : row) {
      data << value << " ";
      largest = std::max(largest, std::abs(value));
    }
    data << "\n";
  }
  if (largest == 0) largest = 1;
  const std::string name = (folder / "matrix").string();
  tn::write_file_atomically(name, data.str());
  const double edge = static_cast<double>(map.rows.size()) - 0.5;
  script << head(map.title, map.x_label, map.y_label) << "set size ratio 1\nunset key\n"
         << "set palette defined (-1 '#2166ac', 0 'white', 1 '#b2182b')\n"
         << "set cbrange [" << -largest << ":" << largest << "]\nset xrange [-0.5:" << edge
         << "]\nset yrange [-0.5:" << edge << "]\nplot " << quoted(name)
         << " matrix with image pixels\n";
  return drawn(folder, script.str());
}

}  // namespace metatt::apps
