#include <metatt/tn/files/file.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace metatt::tn {

namespace {

std::string system_message(int error) {
  return std::generic_category().message(error);
}

/// Closes the descriptor at the end of its scope.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

/// A rename is on the disk only when its folder is.
void synchronise_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor{
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (descriptor.value < 0 || ::fsync(descriptor.value) != 0) {
    // Some network file systems have no fsync for folders; the data itself is safe by then.
    if (errno != EINVAL && errno != EACCES) {
      fail(folder.string(), ": cannot be brought to the disk: ", system_message(errno));
    }
  }
}

void remove_partial(const std::filesystem::path& partial) {
  std::error_code error;
  std::filesystem::remove_all(partial, error);
  if (error) fail(partial.string(), ": cannot be removed: ", error.message());
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.value < 0) {
    fail(path.string(), ": expected a file that can be read, found: ", system_message(errno));
  }
  struct stat status {};
  if (::fstat(file.value, &status) != 0) {
    fail(path.string(), ": cannot be read: ", system_message(errno));
  }
  if (S_ISDIR(status.st_mode)) fail(path.string(), ": expected a file, found a folder");
  std::string contents;
  contents.reserve(static_cast<std::size_t>(status.st_size));
  std::string block(1 << 16, '\0');
  while (true) {
    const ssize_t count = ::read(file.value, block.data(), block.size());
    if (count == 0) return contents;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path.string(), ": cannot be read: ", system_message(errno));
    contents.append(block, 0, static_cast<std::size_t>(count));
  }
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string> split_at(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), partial_(path_.string() + ".partial") {
  std::error_code error;
  if (std::filesystem::is_directory(path_, error)) {
    fail(path_.string(), ": cannot be written: a folder has this name");
  }
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(path_.string(), ": cannot be written: ", system_message(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  if (descriptor_ < 0) fail(path_.string(), ": written to after commit");
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_.string(), ": cannot be written: ", system_message(errno));
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) fail(path_.string(), ": committed twice");
  if (::fsync(descriptor_) != 0 && errno != EINVAL) {
    fail(path_.string(), ": cannot be written: ", system_message(errno));
  }
  if (::rename(partial_.c_str(), path_.c_str()) != 0) {
    fail(path_.string(), ": cannot be written: ", system_message(errno));
  }
  ::close(std::exchange(descriptor_, -1));
  synchronise_folder(path_.parent_path());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

namespace {

/// A file descriptor with an exclusive lock, which ends with it, however the process ends. A file
/// system that knows no locks gives none.
std::shared_ptr<const void> lock_folder(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    fail(path.string(), ": cannot open the output folder: ", system_message(errno));
  std::shared_ptr<const int> lock(new int(descriptor), [](const int* held) {
    ::close(*held);
    delete held;
  });
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw FolderInUse(path.string() + ": another run is writing to this folder");
  return lock;
}

}  // namespace

OutputFolder prepare_output_folder(const std::filesystem::path& path, bool overwrite) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
    fail(path.string(), ": expected an output folder, found a file");
  }
  std::filesystem::create_directories(path, error);
  if (error) fail(path.string(), ": cannot create the output folder: ", error.message());
  if (::access(path.c_str(), W_OK | X_OK) != 0) {
    fail(path.string(), ": cannot write to the output folder: ", system_message(errno));
  }
  const bool empty = std::filesystem::is_empty(path, error);
  if (error) fail(path.string(), ": cannot read the output folder: ", error.message());
  if (!empty && !overwrite) {
    fail(path.string(), ": expected an empty or new output folder, found files in it",
         " (choose another one or allow overwriting)");
  }
  return OutputFolder{path, lock_folder(path)};
}

AtomicFolder::AtomicFolder(std::filesystem::path path)
    : path_(std::move(path)), partial_{path_.string() + ".partial"} {
  remove_partial(partial_.path);
  partial_ = prepare_output_folder(partial_.path, false);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_) std::filesystem::remove_all(partial_.path, ignored);
}

void AtomicFolder::commit() {
  if (committed_) fail(path_.string(), ": committed twice");
  std::error_code error;
  const bool there = std::filesystem::exists(path_, error);
  const std::filesystem::path older = path_.string() + ".older.partial";
  if (there) {
    remove_partial(older);
    std::filesystem::rename(path_, older, error);
  }
  if (!error) std::filesystem::rename(partial_.path, path_, error);
  if (error) fail(path_.string(), ": cannot be written: ", error.message());
  committed_ = true;
  synchronise_folder(path_.parent_path());
  if (there) remove_partial(older);
}

void remove_folder(const std::filesystem::path& path) {
  const std::filesystem::path partial = path.string() + ".partial";
  remove_partial(partial);
  std::error_code error;
  std::filesystem::rename(path, partial, error);
  if (error) fail(path.string(), ": cannot be removed: ", error.message());
  remove_partial(partial);
}

}  // namespace metatt::tn
