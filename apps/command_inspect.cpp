/// metatt inspect: what is in a safetensors file, and the spectra of an adapter's train.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/tn/tensor_train.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/adapters/meta_tt.hpp>
#include <metatt/transformer/safetensors.hpp>

#include <iomanip>
#include <iostream>
#include <sstream>

namespace metatt::apps {

namespace {

using namespace transformer;

using Train = tn::TensorTrain<double>;

/// Empty if there is none.
std::vector<Tensor<double>> read_cores(const SafetensorsFile& file) {
  std::vector<Tensor<double>> cores;
  while (true) {
    const std::string name = MetaTT<double>::core_name(static_cast<Index>(cores.size()));
    if (!file.contains(name)) return cores;
    cores.push_back(file.read<double>(name, file.entry(name).shape));
  }
}

/// "input | layer", …: what lies on both sides of each bond, as far as the file says.
std::vector<std::string> bond_names(const SafetensorsFile& file, Index modes) {
  const auto said = file.metadata().find("modes");
  std::vector<std::string> names;
  if (said != file.metadata().end()) {
    std::istringstream list(said->second);
    for (std::string name; std::getline(list, name, ',');) names.push_back(printable(name));
  } else if (modes == 4) {
    names = {"input", "layer", "matrix_type", "output"};  // files that do not say are of metatt4d
  }
  if (static_cast<Index>(names.size()) != modes)
    tn::fail(file.path().string(), ": expected the cores ", MetaTT<double>::core_name(0), " … ",
             MetaTT<double>::core_name(static_cast<Index>(names.size()) - 1),
             ", one for each mode that its metadata names, found ", modes, " of them");
  std::vector<std::string> bonds;
  for (std::size_t k = 1; k < names.size(); ++k) bonds.push_back(names[k - 1] + " | " + names[k]);
  return bonds;
}

/// Everything is computed before anything is printed.
std::string spectra_text(Train train, const std::vector<std::string>& names) {
  std::ostringstream out;
  out << "tensor train: modes " << tn::shape_text(train.modes()) << ", ranks "
      << tn::shape_text(train.ranks()) << ", " << train.parameter_count() << " parameters, norm "
      << train.norm() << "\n";
  // A sweep that may keep everything only brings the train into canonical form and reads off the
  // values.
  tn::TruncationPolicy keep_all;
  const auto report = tn::sweep(train, keep_all, tn::SweepMode::rounding);
  auto name = names.begin();
  for (const auto& bond : report.bonds) {
    out << "spectrum " << *name++ << ":";
    for (const double value : bond.spectrum) out << " " << std::setprecision(4) << value;
    out << "\n";
  }
  return out.str();
}

/// Nothing is printed of a damaged file.
std::string train_text(const SafetensorsFile& file) {
  auto cores = read_cores(file);
  if (cores.empty()) return "";
  const auto names = bond_names(file, static_cast<Index>(cores.size()));
  try {
    return spectra_text(train_of_cores(std::move(cores)), names);
  } catch (const tn::Error& error) {
    tn::fail(file.path().string(), ": ", error.what());
  }
}

/// The file itself, or what a folder of results has.
std::filesystem::path tensors_in(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  const std::vector<std::string> names{adapter_file_name, "model.safetensors",
                                       "adapter_model.safetensors"};
  for (const std::string& name : names)
    if (std::filesystem::exists(path / name, ignored)) return path / name;
  tn::fail(path.string(), ": expected a safetensors file, or a folder with one of ",
           tn::joined(names), ", found a folder with none of them");
}

void inspect(const std::string& path) {
  const SafetensorsFile file(tensors_in(path));
  const std::string spectra = train_text(file);
  std::size_t width = 4;
  for (const auto& name : file.names()) width = std::max(width, printable(name).size());
  Index total = 0;
  for (const auto& name : file.names()) {
    const auto& entry = file.entry(name);
    const Index size = tn::element_count(entry.shape);
    total += size;
    std::cout << std::left << std::setw(static_cast<int>(width) + 2) << printable(name)
              << std::setw(6) << entry.dtype << std::setw(18) << tn::shape_text(entry.shape)
              << std::right << std::setw(12) << size << "\n";
  }
  std::cout << file.names().size() << " tensors, " << total << " parameters\n";
  for (const auto& [key, value] : file.metadata())
    std::cout << "metadata " << printable(key) << ": " << printable(value) << "\n";
  std::cout << spectra;
}

}  // namespace

void add_inspect(CLI::App& program) {
  auto path = std::make_shared<std::string>();
  CLI::App* command = add_command(
      program, "inspect", "Print tensors, and for a MetaTT its cores, ranks and singular values");
  command->add_option("file", *path, "A safetensors file, or a folder with an adapter or a model")
      ->required();
  command->callback([path] { inspect(*path); });
}

}  // namespace metatt::apps
