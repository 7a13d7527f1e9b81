/// metatt inspect: what is in a safetensors file, and the spectra of an adapter's train.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/tn/tensor_train.hpp>
#include <metatt/transformer/metatt4d.hpp>
#include <metatt/transformer/safetensors.hpp>

#include <iomanip>
#include <iostream>
#include <sstream>

namespace metatt::apps {

namespace {

using namespace transformer;

using Train = tn::TensorTrain<double>;

bool holds_train(const SafetensorsFile& file) {
  for (int k = 0; k < MetaTT4D<double>::cores; ++k)
    if (!file.contains(MetaTT4D<double>::core_name(k))) return false;
  return true;
}

Train read_train(const SafetensorsFile& file) {
  std::vector<Tensor<double>> cores;
  for (int k = 0; k < MetaTT4D<double>::cores; ++k) {
    const std::string name = MetaTT4D<double>::core_name(k);
    cores.push_back(file.read<double>(name, file.entry(name).shape));
  }
  return train_of_cores(std::move(cores));
}

/// Everything is computed before anything is printed.
std::string spectra_text(Train train) {
  std::ostringstream out;
  out << "tensor train: modes " << tn::shape_text(train.modes()) << ", ranks "
      << tn::shape_text(train.ranks()) << ", " << train.parameter_count() << " parameters, norm "
      << train.norm() << "\n";
  const auto names = {"input | layer", "layer | matrix type", "matrix type | output"};
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
  try {
    return spectra_text(read_train(file));
  } catch (const tn::Error& error) {
    tn::fail(file.path().string(), ": ", error.what());
  }
}

void inspect(const std::string& path) {
  const SafetensorsFile file(path);
  const std::string spectra = holds_train(file) ? train_text(file) : "";
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
      program, "inspect", "Print tensors, and for an adapter cores, ranks and singular values");
  command->add_option("file", *path, "A safetensors file")->required();
  command->callback([path] { inspect(*path); });
}

}  // namespace metatt::apps
