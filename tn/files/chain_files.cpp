#include <metatt/tn/files/chain_files.hpp>
#include <metatt/tn/files/parts.hpp>

namespace metatt::tn {

namespace {

constexpr const char* mpo_kind = "MatrixProductOperator";
constexpr const char* dmrg_kind = "DmrgResult";

/// Calls visit(name, member) for every column of the table of sweeps.
template <class Visit>
void each_column(const Visit& visit) {
  visit("energy", &DmrgSweepReport::energy);
  visit("energy_change", &DmrgSweepReport::energy_change);
  visit("maximum_bond", &DmrgSweepReport::maximum_bond);
  visit("discarded_weight", &DmrgSweepReport::discarded_weight);
  visit("residual", &DmrgSweepReport::residual);
  visit("centre_entropy", &DmrgSweepReport::centre_entropy);
  visit("products", &DmrgSweepReport::products);
  visit("variance", &DmrgSweepReport::variance);
  visit("seconds", &DmrgSweepReport::seconds);
  visit("peak_bytes", &DmrgSweepReport::peak_bytes);
}

std::string target_name(const std::string& name, std::size_t i) {
  return name + "/further_" + std::to_string(i);
}

}  // namespace

template <class T>
void save(Hdf5Writer& file, const std::string& name, const MatrixProductOperator<T>& mpo) {
  file.describe(name, "kind", mpo_kind);
  file.describe(name, "legs", "left bond (in), out (in), in (out), right bond (out)");
  file.write(name + "/length", mpo.length());
  for (Index k = 0; k < mpo.length(); ++k) save(file, core_name(name, k), mpo.block_core(k));
}

template <class T>
MatrixProductOperator<T> load_operator(const Hdf5Reader& file, const std::string& name) {
  file.expect_kind(name, mpo_kind);
  const Index length = file.read_number<Index>(name + "/length");
  std::vector<BlockTensor<T>> cores;
  for (Index k = 0; k < length; ++k)
    cores.push_back(load_block_tensor<T>(file, core_name(name, k)));
  return naming(file, name, [&] { return MatrixProductOperator<T>(cores); });
}

template <class T>
void save(Hdf5Writer& file, const std::string& name, const DmrgResult<T>& result) {
  file.describe(name, "kind", dmrg_kind);
  const auto rows = static_cast<Index>(result.sweeps.size());
  file.write(name + "/energy", result.energy);
  file.write(name + "/sweeps", rows);
  save(file, name + "/state", result.state);
  for (std::size_t i = 0; i < result.further.size(); ++i) {
    const std::string target = target_name(name, i);
    file.write(target + "/energy", result.further[i].energy);
    save(file, target + "/first_core", result.further[i].first_core);
  }
  each_column([&]<class Column>(const char* column, Column DmrgSweepReport::*member) {
    std::vector<Column> values;
    for (const DmrgSweepReport& row : result.sweeps) values.push_back(row.*member);
    file.write<Column>(name + "/table/" + column, {rows}, values);
  });
}

template <class T>
DmrgResult<T> load_dmrg_result(const Hdf5Reader& file, const std::string& name) {
  file.expect_kind(name, dmrg_kind);
  DmrgResult<T> result{
      file.read_number<double>(name + "/energy"), load_tensor_train<T>(file, name + "/state"), {}};
  for (std::size_t i = 0; file.contains(target_name(name, i)); ++i)
    result.further.push_back({file.read_number<double>(target_name(name, i) + "/energy"),
                              load_block_tensor<T>(file, target_name(name, i) + "/first_core")});
  const Index rows = file.read_number<Index>(name + "/sweeps");
  // A damaged number of rows is noticed before memory is asked for.
  if (rows != static_cast<Index>(file.read<double>(name + "/table/energy").values.size()))
    fail(file.path().string(), ": ", name, ": its table has not ", rows, " rows");
  result.sweeps.resize(static_cast<std::size_t>(rows));
  for (Index i = 0; i < rows; ++i) result.sweeps[static_cast<std::size_t>(i)].sweep = i;
  each_column([&]<class Column>(const char* column, Column DmrgSweepReport::*member) {
    const auto values = file.read_values<Column>(name + "/table/" + column, rows);
    for (std::size_t i = 0; i < values.size(); ++i) result.sweeps[i].*member = values[i];
  });
  return result;
}

#define METATT_INSTANTIATE(T)                                                             \
  template void save(Hdf5Writer&, const std::string&, const MatrixProductOperator<T>&);   \
  template void save(Hdf5Writer&, const std::string&, const DmrgResult<T>&);              \
  template MatrixProductOperator<T> load_operator(const Hdf5Reader&, const std::string&); \
  template DmrgResult<T> load_dmrg_result(const Hdf5Reader&, const std::string&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
