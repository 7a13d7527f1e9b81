#pragma once
/// Internal to this folder: HDF5's identifiers with owners, its types and its messages.

#include <hdf5.h>

#include <metatt/tn/backend/types.hpp>

#include <mutex>
#include <string>
#include <utility>

namespace metatt::tn {

/// Attributes of the root of every file.
constexpr const char* hdf5_format = "metatt";
constexpr const char* hdf5_version = "1";

/// An identifier that is closed at the end of its scope.
class Hdf5Handle {
 public:
  Hdf5Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&&) = delete;
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes it now; false if that failed.
  bool close() { return close_(std::exchange(id_, H5I_INVALID_HID)) >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// In a scope with one, this thread alone uses HDF5, which may have been built without locks of its
/// own, and errors are not printed.
class Hdf5Scope {
 public:
  Hdf5Scope();
  ~Hdf5Scope();
  Hdf5Scope(const Hdf5Scope&) = delete;
  Hdf5Scope& operator=(const Hdf5Scope&) = delete;

 private:
  std::lock_guard<std::recursive_mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* print_data_ = nullptr;
};

/// What HDF5 says about the last error, its innermost message.
std::string hdf5_message();

/// How numbers of type T lie in memory.
template <class T>
Hdf5Handle hdf5_type();

/// Texts of so many bytes in UTF-8, filled up with zeros. (Texts of any length lie in a part of the
/// file without check sums, and damage there crashes HDF5.)
Hdf5Handle hdf5_text_type(std::size_t bytes);

}  // namespace metatt::tn
