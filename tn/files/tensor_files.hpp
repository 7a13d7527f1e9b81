#pragma once
/// Block tensors and tensor trains in HDF5 files. docs/files.md has the layout.

#include <metatt/tn/files/hdf5_file.hpp>
#include <metatt/tn/tensor_train.hpp>

namespace metatt::tn {

/// Throws Error as Hdf5Writer::write.
template <class T>
void save(Hdf5Writer& file, const std::string& name, const BlockTensor<T>& tensor);
template <class T>
void save(Hdf5Writer& file, const std::string& name, const TensorTrain<T>& train);

/// Throws Error naming file and part if it is not there, of another kind, damaged, or of numbers
/// that T cannot hold; a real tensor can be read as a complex one.
template <class T>
BlockTensor<T> load_block_tensor(const Hdf5Reader& file, const std::string& name);
template <class T>
TensorTrain<T> load_tensor_train(const Hdf5Reader& file, const std::string& name);

}  // namespace metatt::tn
