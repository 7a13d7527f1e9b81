#include <metatt/apps/plot.hpp>

#include <metatt/apps/console.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iterator>
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

/// The longest text that fits into a line of a picture.
std::string shortened(const std::string& text) {
  constexpr std::size_t longest = 66;
  if (text.size() <= longest) return text;
  std::size_t end = longest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // in UTF-8
  return text.substr(0, end) + "…";
}

/// A text to be read by people, which must not end the line of the script.
std::string shown(const std::string& text) {
  return quoted(shortened(printable(text)));
}

/// A path as one word of a shell command.
std::string for_shell(const std::filesystem::path& path) {
  std::string result = "'";
  for (const char c : path.string()) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// The first lines of a picture with a legend of so many lines below it.
std::string head(const std::string& title, const std::string& x_label, const std::string& y_label,
                 std::size_t legend = 0) {
  std::ostringstream script;
  script << "set encoding utf8\nset terminal svg size 640," << 400 + 19 * legend
         << " dynamic noenhanced font 'sans-serif,13'\n"
         << "set title " << shown(title) << "\nset xlabel " << shown(x_label) << "\nset ylabel "
         << shown(y_label) << "\n";
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

bool drawable(const LinePlot& plot, const Curve& curve, std::size_t i) {
  const auto fits = [](double value, bool logarithmic) {
    return std::isfinite(value) && (!logarithmic || value > 0);
  };
  return fits(curve.x[i], plot.logarithmic_x) && fits(curve.y[i], plot.logarithmic);
}

/// What gnuplot is told of one curve: files of its points and how to draw them.
class CurveScript {
 public:
  CurveScript(const LinePlot& plot, const Curve& curve, std::size_t position) {
    for (std::ostringstream* data : {&line_, &discs_, &circles_, &bars_})
      data->precision(std::numeric_limits<double>::max_digits10);
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (!drawable(plot, curve, i)) continue;
      ++points_;
      line_ << curve.x[i] << " " << curve.y[i] << "\n";
      (i < curve.filled ? discs_ : circles_) << curve.x[i] << " " << curve.y[i] << "\n";
      if (i < curve.half_widths.size() && std::isfinite(curve.half_widths[i]))
        bars_ << curve.x[i] << " " << curve.y[i] << " " << curve.half_widths[i] << "\n";
    }
    const std::size_t colour = curve.colour == Curve::none ? position : curve.colour;
    // Colours that the colour-blind tell apart (Okabe and Ito 2008); then come other dashes.
    constexpr const char* colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                       "#e69f00", "#56b4e9", "#000000", "#8c564b"};
    look_ = std::string(" lc rgb '") + colours[colour % std::size(colours)] + "' dt " +
            std::to_string(1 + colour / std::size(colours) % 5) + " lw 1.5";
    marked_ = curve.points && (!plot.lines || points_ <= many);
    title_ = curve.title.empty() ? " notitle" : " title " + shown(curve.title);
  }

  bool empty() const { return points_ == 0; }

  /// The parts of a plot command; writes the files that they name into the folder.
  std::string commands(const LinePlot& plot, const ScratchFolder& folder, const std::string& name) {
    const std::string size = plot.lines ? " ps 0.6" : " ps 0.8";
    if (plot.lines) add(folder, name + "-line", line_, " with lines");
    add(folder, name + "-bars", bars_, " with yerrorbars pt 7" + size);
    if (marked_) add(folder, name + "-discs", discs_, " with points pt 7" + size);
    if (marked_) add(folder, name + "-circles", circles_, " with points pt 6" + size);
    return commands_;
  }

 private:
  void add(const ScratchFolder& folder, const std::string& name, const std::ostringstream& data,
           const std::string& style) {
    if (data.str().empty()) return;
    tn::write_file_atomically(folder / name, data.str());
    commands_ += commands_.empty() ? "" : ", ";
    commands_ += quoted((folder / name).string()) + style + look_ + title_;
    title_ = " notitle";  // one entry for all parts
  }

  static constexpr std::size_t many = 60;  // points that would hide the line

  std::ostringstream line_, discs_, circles_, bars_;
  std::size_t points_ = 0;
  bool marked_ = false;
  std::string look_, title_, commands_;
};

/// So many digits of each decade as labels, as far as they lie within the axis.
std::vector<double> labels_at(const std::vector<double>& digits, double least, double most) {
  std::vector<double> labels;
  for (double decade = std::pow(10, std::floor(std::log10(least))); decade <= most; decade *= 10)
    for (const double digit : digits)
      if (digit * decade >= least && digit * decade <= most) labels.push_back(digit * decade);
  return labels;
}

/// More labels where the decades alone would be few.
std::string labels_within(char axis, double least, double most) {
  if (most > 1000 * least) return "";
  std::vector<double> labels = labels_at({1, 2, 5}, least, most);
  if (labels.size() < 2) labels = labels_at({1, 2, 3, 4, 5, 6, 7, 8, 9}, least, most);
  if (labels.size() < 2) labels = {least, most};
  std::ostringstream list;
  for (const double label : labels) list << (list.tellp() > 0 ? ", " : "") << label;
  return std::string("set ") + axis + "tics (" + list.str() + ")\n";
}

/// A logarithmic axis with room on either side of the points.
std::string logarithmic_axis(const LinePlot& plot, char axis) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (const Curve& curve : plot.curves)
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (!drawable(plot, curve, i)) continue;
      const double value = axis == 'x' ? curve.x[i] : curve.y[i];
      const bool bar =
          axis == 'y' && i < curve.half_widths.size() && std::isfinite(curve.half_widths[i]);
      const double half = bar ? curve.half_widths[i] : 0;
      least = std::min(least, value - half > 0 ? value - half : value);
      most = std::max(most, value + half);
    }
  const double room = std::max(std::pow(most / least, 0.05), 1.1);
  least /= room;
  most *= room;
  std::ostringstream script;
  script << "set logscale " << axis << "\nset format " << axis << " '%g'\nset " << axis << "range ["
         << least << ":" << most << "]\n"
         << labels_within(axis, least, most);
  return script.str();
}

}  // namespace

std::string left_out(const LinePlot& plot) {
  std::size_t count = 0;
  for (const Curve& curve : plot.curves)
    for (std::size_t i = 0; i < curve.x.size(); ++i) count += !drawable(plot, curve, i);
  if (count == 0) return "";
  return std::to_string(count) + (count == 1 ? " value is" : " values are") +
         " left out: not finite" + (plot.logarithmic ? ", or zero on a logarithmic axis." : ".");
}

void add_step(Curve& curve, double at, double before, double after) {
  curve.x.insert(curve.x.end(), {curve.x.empty() ? 0 : at, at, at});
  curve.y.insert(curve.y.end(), {before, before, after});
}

std::string svg(const LinePlot& plot) {
  const ScratchFolder folder;
  std::string commands;
  std::size_t legend = 0;
  for (std::size_t i = 0; i < plot.curves.size(); ++i) {
    CurveScript curve(plot, plot.curves[i], i);
    if (curve.empty()) continue;
    commands += commands.empty() ? "plot " : ", ";
    commands += curve.commands(plot, folder, "curve" + std::to_string(i));
    legend += !plot.curves[i].title.empty();
  }
  if (commands.empty()) return "";
  std::string script = head(plot.title, plot.x_label, plot.y_label, legend + 1) +
                       // The empty title keeps the legend off the label of the axis.
                       "set key below left Left reverse maxcols 1 title ' '\nset grid\n";
  // No point on the frame; gnuplot knows offsets on linear axes alone.
  const bool points = !plot.lines || std::ranges::any_of(plot.curves, &Curve::points);
  script += std::string("set offsets ") + (points ? "graph 0.03, graph 0.03" : "0, 0") +
            ", graph 0.05, graph 0.05\n";
  if (plot.logarithmic) script += logarithmic_axis(plot, 'y');
  if (plot.logarithmic_x) script += logarithmic_axis(plot, 'x');
  return drawn(folder, script + commands + "\n");
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
