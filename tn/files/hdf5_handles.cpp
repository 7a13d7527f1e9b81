#include <metatt/tn/files/hdf5_handles.hpp>

#include <complex>
#include <cstdint>
#include <type_traits>

namespace metatt::tn {

namespace {

std::recursive_mutex& hdf5_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

herr_t take_description(unsigned depth, const H5E_error2_t* error, void* message) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(message) = error->desc;
  return 0;
}

}  // namespace

Hdf5Scope::Hdf5Scope() : lock_(hdf5_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Scope::~Hdf5Scope() {
  H5Eset_auto2(H5E_DEFAULT, print_, print_data_);
}

std::string hdf5_message() {
  std::string message = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_description, &message);
  return message;
}

template <class T>
Hdf5Handle hdf5_type() {
  if constexpr (std::is_same_v<T, float>) {
    return {H5Tcopy(H5T_NATIVE_FLOAT), H5Tclose};
  } else if constexpr (std::is_same_v<T, double>) {
    return {H5Tcopy(H5T_NATIVE_DOUBLE), H5Tclose};
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    return {H5Tcopy(H5T_NATIVE_INT32), H5Tclose};
  } else if constexpr (std::is_same_v<T, Index>) {
    return {H5Tcopy(H5T_NATIVE_INT64), H5Tclose};
  } else {
    const Hdf5Handle part = hdf5_type<Real<T>>();
    const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(T));
    H5Tinsert(type, "r", 0, part);
    H5Tinsert(type, "i", sizeof(Real<T>), part);
    return {type, H5Tclose};
  }
}

Hdf5Handle hdf5_text_type(std::size_t bytes) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, bytes);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return {type, H5Tclose};
}

template Hdf5Handle hdf5_type<float>();
template Hdf5Handle hdf5_type<double>();
template Hdf5Handle hdf5_type<std::complex<float>>();
template Hdf5Handle hdf5_type<std::complex<double>>();
template Hdf5Handle hdf5_type<std::int32_t>();
template Hdf5Handle hdf5_type<Index>();

}  // namespace metatt::tn
