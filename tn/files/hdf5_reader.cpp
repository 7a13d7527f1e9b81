#include <metatt/tn/files/hdf5_file.hpp>
#include <metatt/tn/files/hdf5_handles.hpp>

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <type_traits>

namespace metatt::tn {

namespace {

template <class T>
constexpr bool is_complex = !std::is_same_v<T, Real<T>>;

/// What a type in a file is called in messages.
std::string type_text(hid_t type) {
  const auto bits = std::to_string(8 * H5Tget_size(type));
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return bits + "-bit integers";
    case H5T_FLOAT:
      return bits + "-bit floating-point numbers";
    case H5T_COMPOUND:
      return "a compound of " + bits + " bits";
    case H5T_STRING:
      return "text";
    default:
      return "another type";
  }
}

/// Whether numbers of this type in a file become a T without a loss.
template <class T>
bool fits(hid_t type) {
  if constexpr (is_complex<T>) {
    if (H5Tget_class(type) != H5T_COMPOUND || H5Tget_nmembers(type) != 2) return false;
    const int real = H5Tget_member_index(type, "r"), imaginary = H5Tget_member_index(type, "i");
    if (real < 0 || imaginary < 0) return false;
    const Hdf5Handle a(H5Tget_member_type(type, static_cast<unsigned>(real)), H5Tclose);
    const Hdf5Handle b(H5Tget_member_type(type, static_cast<unsigned>(imaginary)), H5Tclose);
    return fits<Real<T>>(a) && fits<Real<T>>(b);
  } else {
    const H5T_class_t expected = std::is_floating_point_v<T> ? H5T_FLOAT : H5T_INTEGER;
    return H5Tget_class(type) == expected && H5Tget_size(type) <= sizeof(T) &&
           (expected == H5T_FLOAT || H5Tget_sign(type) == H5T_SGN_2);
  }
}

std::string without_filling(std::string text) {
  text.resize(text.find_last_not_of('\0') + 1);
  return text;
}

}  // namespace

struct Hdf5Reader::State {
  State(const std::filesystem::path& name, Hdf5Handle file) : path(name), hdf5(std::move(file)) {}

  std::filesystem::path path;
  Hdf5Handle hdf5;

  template <class... Parts>
  [[noreturn]] void fail_reading(const std::string& name, const Parts&... parts) const {
    fail(path.string(), ": ", name, parts...);
  }

  bool contains(const std::string& name) const {
    for (std::size_t end = name.find('/', 1);; end = name.find('/', end + 1)) {
      if (H5Lexists(hdf5, name.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
      if (end == std::string::npos) return true;
    }
  }

  Hdf5Handle open(const std::string& name) const {
    if (!contains(name)) fail_reading(name, " is not there");
    Hdf5Handle dataset(H5Dopen2(hdf5, name.c_str(), H5P_DEFAULT), H5Dclose);
    if (!dataset.valid()) fail_reading(name, ": expected an array: ", hdf5_message());
    return dataset;
  }

  Shape shape(const std::string& name, hid_t dataset) const {
    const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
    std::vector<hsize_t> extents(
        static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_ndims(space))));
    if (H5Sget_simple_extent_type(space) == H5S_NULL ||
        H5Sget_simple_extent_dims(space, extents.data(), nullptr) < 0)
      fail_reading(name, ": expected an array, found nothing");
    Shape result;
    for (const hsize_t extent : extents) {
      if (extent > static_cast<hsize_t>(unlimited_extent))
        fail_reading(name, ": has an extent of ", extent);
      result.push_back(static_cast<Index>(extent));
    }
    element_count(result);  // refuses a product beyond 64 bits
    return result;
  }

  /// A damaged file may promise more than it holds; HDF5 would give zeros for the rest.
  void check_storage(const std::string& name, hid_t dataset, const Shape& shape) const {
    const Hdf5Handle creation(H5Dget_create_plist(dataset), H5Pclose);
    if (H5Pget_layout(creation) != H5D_CONTIGUOUS) return;
    const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
    const hsize_t expected = static_cast<hsize_t>(element_count(shape)) * H5Tget_size(type);
    if (H5Dget_storage_size(dataset) != expected)
      fail_reading(name, ": expected ", expected, " bytes, found ", H5Dget_storage_size(dataset));
  }

  /// Bytes of each text of this type.
  std::size_t text_size(const std::string& name, hid_t type) const {
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0)
      fail_reading(name, ": expected text of a fixed length, found ", type_text(type));
    return H5Tget_size(type);
  }

  template <class T>
  HostArray<T> read(const std::string& name) const {
    const Hdf5Handle dataset = open(name), type(H5Dget_type(dataset), H5Tclose);
    if constexpr (is_complex<T>)
      if (fits<Real<T>>(type)) {
        const HostArray<Real<T>> real = read<Real<T>>(name);
        return {real.shape, {real.values.begin(), real.values.end()}};
      }
    if (!fits<T>(type))
      fail_reading(name, ": expected ", type_text(hdf5_type<T>()), " or narrower, found ",
                   type_text(type));
    HostArray<T> result{shape(name, dataset), {}};
    check_storage(name, dataset, result.shape);
    result.values.resize(static_cast<std::size_t>(element_count(result.shape)));
    if (!result.values.empty() &&
        H5Dread(dataset, hdf5_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, result.values.data()) < 0)
      fail_reading(name, " cannot be read: ", hdf5_message());
    return result;
  }

 private:
  static constexpr Index unlimited_extent = std::numeric_limits<Index>::max();
};

Hdf5Reader::Hdf5Reader(const std::filesystem::path& path) {
  const Hdf5Scope scope;
  if (::access(path.c_str(), R_OK) != 0)
    fail(path.string(),
         ": expected a file that can be read, found: ", std::generic_category().message(errno));
  if (std::filesystem::is_directory(path)) fail(path.string(), ": expected a file, found a folder");
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access, /*use_file_locking=*/false, /*ignore_when_disabled=*/true);
  Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose);
  if (!file.valid()) fail(path.string(), ": expected a whole HDF5 file: ", hdf5_message());
  state_ = std::make_unique<State>(path, std::move(file));
}

Hdf5Reader::~Hdf5Reader() {
  const Hdf5Scope scope;
  state_.reset();
}

const std::filesystem::path& Hdf5Reader::path() const {
  return state_->path;
}

bool Hdf5Reader::contains(const std::string& name) const {
  const Hdf5Scope scope;
  return state_->contains(name);
}

std::vector<std::string> Hdf5Reader::names(const std::string& group) const {
  const Hdf5Scope scope;
  if (!state_->contains(group)) state_->fail_reading(group, " is not there");
  const Hdf5Handle owner(H5Gopen2(state_->hdf5, group.c_str(), H5P_DEFAULT), H5Gclose);
  if (!owner.valid()) state_->fail_reading(group, ": expected a group: ", hdf5_message());
  std::vector<std::string> result;
  const auto add = [](hid_t, const char* name, const H5L_info_t*, void* names) -> herr_t {
    static_cast<std::vector<std::string>*>(names)->push_back(name);
    return 0;
  };
  if (H5Literate(owner, H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &result) < 0)
    state_->fail_reading(group, " cannot be read: ", hdf5_message());
  return result;
}

template <class T>
HostArray<T> Hdf5Reader::read(const std::string& name) const {
  const Hdf5Scope scope;
  return state_->template read<T>(name);
}

template <class T>
std::vector<T> Hdf5Reader::read_values(const std::string& name, Index count) const {
  HostArray<T> array = read<T>(name);
  if (static_cast<Index>(array.values.size()) != count)
    fail(path().string(), ": ", name, ": expected ", count, " numbers, found ",
         array.values.size());
  return std::move(array.values);
}

template <class T>
T Hdf5Reader::read_number(const std::string& name) const {
  return read_values<T>(name, 1).front();
}

std::string Hdf5Reader::read_text(const std::string& name) const {
  const std::vector<std::string> texts = read_texts(name);
  if (texts.size() != 1)
    fail(path().string(), ": ", name, ": expected one text, found ", texts.size());
  return texts.front();
}

std::vector<std::string> Hdf5Reader::read_texts(const std::string& name) const {
  const Hdf5Scope scope;
  const Hdf5Handle dataset = state_->open(name), type(H5Dget_type(dataset), H5Tclose);
  const std::size_t size = state_->text_size(name, type);
  const Shape shape = state_->shape(name, dataset);
  state_->check_storage(name, dataset, shape);
  std::string bytes(static_cast<std::size_t>(element_count(shape)) * size, '\0');
  const Hdf5Handle memory = hdf5_text_type(size);
  if (!bytes.empty() && H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0)
    state_->fail_reading(name, " cannot be read: ", hdf5_message());
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < bytes.size(); i += size)
    texts.push_back(without_filling(bytes.substr(i, size)));
  return texts;
}

void Hdf5Reader::expect_kind(const std::string& group, const std::string& kind) const {
  expect("/", "format", hdf5_format);
  expect("/", "version", hdf5_version);
  expect(group, "kind", kind);
}

void Hdf5Reader::expect(const std::string& group, const std::string& key,
                        const std::string& text) const {
  const Hdf5Scope scope;
  if (group != "/" && !state_->contains(group)) state_->fail_reading(group, " is not there");
  const Hdf5Handle attribute(
      H5Aopen_by_name(state_->hdf5, group.c_str(), key.c_str(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  if (!attribute.valid())
    state_->fail_reading(group, ": expected the attribute ", key, " = ", text, ", found none");
  const Hdf5Handle type(H5Aget_type(attribute), H5Tclose), space(H5Aget_space(attribute), H5Sclose);
  const std::size_t size = state_->text_size(group + ":" + key, type);
  std::string found(size, '\0');
  if (H5Sget_simple_extent_npoints(space) != 1 ||
      H5Aread(attribute, hdf5_text_type(size), found.data()) < 0)
    state_->fail_reading(group, ": the attribute ", key, " cannot be read");
  found = without_filling(std::move(found));
  if (found != text)
    state_->fail_reading(group, ": expected ", key, " = ", text, ", found ", found);
}

#define METATT_INSTANTIATE(T)                                                       \
  template HostArray<T> Hdf5Reader::read(const std::string&) const;                 \
  template std::vector<T> Hdf5Reader::read_values(const std::string&, Index) const; \
  template T Hdf5Reader::read_number(const std::string&) const;
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
METATT_INSTANTIATE(std::int32_t)
METATT_INSTANTIATE(Index)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
