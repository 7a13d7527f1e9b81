#include <metatt/tn/files/file.hpp>
#include <metatt/tn/files/hdf5_file.hpp>
#include <metatt/tn/files/hdf5_handles.hpp>

#include <algorithm>
#include <optional>

namespace metatt::tn {

namespace {

/// In memory, with the check sums that the format has from 1.8 on. What HDF5 writes to a full disk
/// it tries to write again when the process ends, and crashes.
Hdf5Handle file_access() {
  constexpr std::size_t growth = std::size_t{1} << 20;
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_fapl_core(access, growth, /*backing_store=*/false);
  return {access, H5Pclose};
}

Hdf5Handle utf8_names() {
  const hid_t creation = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_char_encoding(creation, H5T_CSET_UTF8);
  return {creation, H5Pclose};
}

/// Without the time of their making: the same results are the same bytes.
Hdf5Handle without_times(hid_t kind) {
  const hid_t creation = H5Pcreate(kind);
  H5Pset_obj_track_times(creation, false);
  return {creation, H5Pclose};
}

/// The text with zeros behind it, of at least one byte.
std::string filled_up(std::string text, std::size_t bytes) {
  text.resize(std::max<std::size_t>(bytes, 1), '\0');
  return text;
}

}  // namespace

struct Hdf5Writer::State {
  explicit State(const std::filesystem::path& name) : path(name), file(name) {}

  std::filesystem::path path;
  AtomicFile file;
  std::optional<Hdf5Handle> hdf5;  // closed before the file goes

  [[noreturn]] void fail_writing(const std::string& name) const {
    fail(path.string(), ": ", name, " cannot be written: ", hdf5_message());
  }
  void require_open(const std::string& name) const {
    if (!hdf5) fail(path.string(), ": ", name, " written after commit");
  }

  /// Makes the groups on the way to `name`, one by one: those that HDF5 makes by itself carry
  /// times.
  void make_groups_above(const std::string& name) const {
    for (std::size_t end = name.find('/', 1); end != std::string::npos;
         end = name.find('/', end + 1))
      make_group(name.substr(0, end));
  }
  void make_group(const std::string& name) const {
    if (H5Lexists(*hdf5, name.c_str(), H5P_DEFAULT) > 0) return;
    const Hdf5Handle links = utf8_names(), creation = without_times(H5P_GROUP_CREATE);
    const Hdf5Handle group(H5Gcreate2(*hdf5, name.c_str(), links, creation, H5P_DEFAULT), H5Gclose);
    if (!group.valid()) fail_writing(name);
  }

  void put(const std::string& name, hid_t type, const Shape& shape, const void* values) const {
    require_open(name);
    const std::vector<hsize_t> extents(shape.begin(), shape.end());
    const Hdf5Handle space(
        shape.empty() ? H5Screate(H5S_SCALAR)
                      : H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr),
        H5Sclose);
    make_groups_above(name);
    // Named, since closing them would take HDF5's message away.
    const Hdf5Handle links = utf8_names(), creation = without_times(H5P_DATASET_CREATE);
    Hdf5Handle dataset(H5Dcreate2(*hdf5, name.c_str(), type, space, links, creation, H5P_DEFAULT),
                       H5Dclose);
    if (!dataset.valid()) fail_writing(name);
    if (element_count(shape) > 0 &&
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
      fail_writing(name);
    if (!dataset.close()) fail_writing(name);
  }
};

Hdf5Writer::Hdf5Writer(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {
  const Hdf5Scope scope;
  const Hdf5Handle access = file_access(), creation = without_times(H5P_FILE_CREATE);
  state_->hdf5.emplace(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose);
  if (!state_->hdf5->valid()) fail(path.string(), ": cannot be written: ", hdf5_message());
  describe("/", "format", hdf5_format);
  describe("/", "version", hdf5_version);
  describe(
      "/", "conventions",
      "blocks row-major; charges of incoming legs count positive and those of a block add up to "
      "zero; bond k between sites k and k + 1; discarded weights relative");
}

Hdf5Writer::~Hdf5Writer() {
  const Hdf5Scope scope;
  state_->hdf5.reset();
}

void Hdf5Writer::write(const std::string& name, double value) {
  write(name, {}, std::span<const double>(&value, 1));
}

void Hdf5Writer::write(const std::string& name, Index value) {
  write(name, {}, std::span<const Index>(&value, 1));
}

void Hdf5Writer::write(const std::string& name, const std::string& text) {
  const Hdf5Scope scope;
  const std::string bytes = filled_up(text, text.size());
  state_->put(name, hdf5_text_type(bytes.size()), {}, bytes.data());
}

void Hdf5Writer::write(const std::string& name, const std::vector<std::string>& texts) {
  const Hdf5Scope scope;
  std::size_t longest = 1;
  for (const std::string& text : texts) longest = std::max(longest, text.size());
  std::string bytes;
  for (const std::string& text : texts) bytes += filled_up(text, longest);
  state_->put(name, hdf5_text_type(longest), {static_cast<Index>(texts.size())}, bytes.data());
}

template <class T>
void Hdf5Writer::write(const std::string& name, const Shape& shape, std::span<const T> values) {
  const Hdf5Scope scope;
  if (element_count(shape) != static_cast<Index>(values.size()))
    fail(state_->path.string(), ": ", name, ": expected ", element_count(shape),
         " values for the shape ", shape_text(shape), ", found ", values.size());
  state_->put(name, hdf5_type<T>(), shape, values.data());
}

void Hdf5Writer::describe(const std::string& group, const std::string& key,
                          const std::string& text) {
  const Hdf5Scope scope;
  state_->require_open(group);
  if (group != "/") {
    state_->make_groups_above(group);
    state_->make_group(group);
  }
  const Hdf5Handle owner(H5Gopen2(*state_->hdf5, group.c_str(), H5P_DEFAULT), H5Gclose);
  const std::string bytes = filled_up(text, text.size());
  const Hdf5Handle type = hdf5_text_type(bytes.size()), space(H5Screate(H5S_SCALAR), H5Sclose);
  const Hdf5Handle attribute(
      owner.valid() ? H5Acreate2(owner, key.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT)
                    : H5I_INVALID_HID,
      H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute, type, bytes.data()) < 0)
    state_->fail_writing(group + ":" + key);
}

void Hdf5Writer::commit() {
  const Hdf5Scope scope;
  state_->require_open("commit");
  void** memory = nullptr;
  const bool flushed = H5Fflush(*state_->hdf5, H5F_SCOPE_GLOBAL) >= 0;
  // Of the file; the memory may be larger.
  const ssize_t bytes = H5Fget_file_image(*state_->hdf5, nullptr, 0);
  if (!flushed || bytes < 0 ||
      H5Fget_vfd_handle(*state_->hdf5, H5P_DEFAULT, reinterpret_cast<void**>(&memory)) < 0)
    state_->fail_writing("the file");
  state_->file.write({static_cast<const char*>(*memory), static_cast<std::size_t>(bytes)});
  state_->hdf5.reset();
  state_->file.commit();
}

#define METATT_INSTANTIATE(T) \
  template void Hdf5Writer::write(const std::string&, const Shape&, std::span<const T>);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
METATT_INSTANTIATE(std::complex<float>)
METATT_INSTANTIATE(std::complex<double>)
METATT_INSTANTIATE(std::int32_t)
METATT_INSTANTIATE(Index)
#undef METATT_INSTANTIATE

}  // namespace metatt::tn
