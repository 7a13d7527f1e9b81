#pragma once
/// Whole files in, whole files out: what is written appears under its name only when it is
/// complete.

#include <metatt/tn/error.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace metatt::tn {

/// The bytes of a file. Throws Error naming the path if it is missing, a folder or unreadable.
std::string read_file(const std::filesystem::path& path);

/// The lines of a text without their ends ("\n" or "\r\n"); a last newline ends the last line.
std::vector<std::string> split_lines(std::string_view text);

/// The parts of a text between separators, one more than there are of these.
std::vector<std::string> split_at(std::string_view text, char separator);

/// A file that is written beside its final name (path + ".partial") and takes that name on
/// commit(). A program that dies before leaves an older file of that name as it was.
class AtomicFile {
 public:
  /// Throws Error naming the path if it cannot be created.
  explicit AtomicFile(std::filesystem::path path);
  /// Removes what was written unless commit() came before.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends `bytes`. Throws Error naming the path, for instance on a full disk.
  void write(std::string_view bytes);
  /// Brings all bytes to the disk and renames. At most once, and nothing is written after it.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path partial_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

/// A folder that exists and can be written to; prepare_output_folder makes it.
struct OutputFolder {
  std::filesystem::path path;
  /// While a copy of this lives, the folder is nobody else's.
  std::shared_ptr<const void> lock = {};

  /// Path of a file in the folder.
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path / name; }
};

/// An output folder is somebody else's at the moment.
class FolderInUse : public Error {
 public:
  using Error::Error;
};

/// Creates `path` (and its parents) if it is not there. Throws FolderInUse if it is somebody
/// else's (of another process, or of this one: see the lock), Error if it is something other than
/// a folder, cannot be created or written to, or holds files while `overwrite` is false; with
/// `overwrite` files are replaced one by one as they are written again, none is removed.
OutputFolder prepare_output_folder(const std::filesystem::path& path, bool overwrite);

/// A folder that is filled beside its final name (path + ".partial") and takes that name on
/// commit(): who finds it under its name finds it complete.
class AtomicFolder {
 public:
  /// Begins empty; what a program that died left of an earlier attempt is removed. Throws Error
  /// naming the path if it cannot be created.
  explicit AtomicFolder(std::filesystem::path path);
  /// Removes what was written unless commit() came before.
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write.
  const OutputFolder& folder() const { return partial_; }
  /// Renames, in the place of an older folder of that name. At most once.
  void commit();

 private:
  std::filesystem::path path_;
  OutputFolder partial_;
  bool committed_ = false;
};

/// Removes a folder with all that is in it; who looks meanwhile finds all of it or nothing. Throws
/// Error naming the path.
void remove_folder(const std::filesystem::path& path);

}  // namespace metatt::tn
