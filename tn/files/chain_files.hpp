#pragma once
/// Operators of a chain and runs of DMRG in HDF5 files. docs/files.md has the layout.

#include <metatt/tn/chain/dmrg.hpp>
#include <metatt/tn/files/tensor_files.hpp>

namespace metatt::tn {

/// Throws Error as Hdf5Writer::write.
template <class T>
void save(Hdf5Writer& file, const std::string& name, const MatrixProductOperator<T>& mpo);
/// The state and the table of sweeps, enough to go on with dmrg(); the columns of the table are
/// arrays of their names.
template <class T>
void save(Hdf5Writer& file, const std::string& name, const DmrgResult<T>& result);

/// Throws Error as load_tensor_train.
template <class T>
MatrixProductOperator<T> load_operator(const Hdf5Reader& file, const std::string& name);
template <class T>
DmrgResult<T> load_dmrg_result(const Hdf5Reader& file, const std::string& name);

}  // namespace metatt::tn
