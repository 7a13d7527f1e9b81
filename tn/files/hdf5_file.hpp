#pragma once
/// Numbers, texts and arrays under names in an HDF5 file. h5py, Julia and the HDF5 tools read what
/// is written here; complex numbers are the compound {r, i} that they use too.

#include <metatt/tn/backend/types.hpp>
#include <metatt/tn/tensor.hpp>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace metatt::tn {

/// An array as a file holds it: T is float, double, a complex type, std::int32_t or Index.
template <class T>
struct HostArray {
  Shape shape;  ///< no extents: one number
  std::vector<T> values;
};

/// A file that is made in memory and appears under its name only when it is complete (see
/// AtomicFile). Names are paths:
/// "run/energies" is the array `energies` in the group `run`, which is made on the way. All throw
/// Error naming the file, what was written and what went wrong, such as a name that is there
/// already or a full disk; the file of that name, if there was one, is then as before.
class Hdf5Writer {
 public:
  /// The root gets the attributes format = metatt and version = 1.
  explicit Hdf5Writer(const std::filesystem::path& path);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void write(const std::string& name, double value);
  void write(const std::string& name, Index value);
  void write(const std::string& name, const std::string& text);
  void write(const std::string& name, const std::vector<std::string>& texts);
  /// Row-major.
  template <class T>
  void write(const std::string& name, const Shape& shape, std::span<const T> values);
  /// An attribute of a group, which is made if it is not there.
  void describe(const std::string& group, const std::string& key, const std::string& text);
  /// Completes the file. At most once, and nothing is written after it.
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What such a file holds. All throw Error naming the file, the name and what was expected.
class Hdf5Reader {
 public:
  /// Throws Error if the file is missing, no HDF5 file or cut short.
  explicit Hdf5Reader(const std::filesystem::path& path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  const std::filesystem::path& path() const;
  bool contains(const std::string& name) const;
  /// The names in a group, sorted.
  std::vector<std::string> names(const std::string& group) const;
  /// An array or a single number. Numbers of lower precision and real numbers where T is complex
  /// are converted, since that loses nothing; others are refused.
  template <class T>
  HostArray<T> read(const std::string& name) const;
  /// The array, which must have this many numbers.
  template <class T>
  std::vector<T> read_values(const std::string& name, Index count) const;
  /// A single number.
  template <class T>
  T read_number(const std::string& name) const;
  std::string read_text(const std::string& name) const;
  std::vector<std::string> read_texts(const std::string& name) const;
  /// Throws Error unless the group has the attribute with this value.
  void expect(const std::string& group, const std::string& key, const std::string& text) const;
  /// Throws Error unless the group is an object of this kind in a file of our format and version.
  void expect_kind(const std::string& group, const std::string& kind) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace metatt::tn
