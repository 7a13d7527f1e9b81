#pragma once
/// What tests of files and errors share: a folder that goes away, errors and the real data sets.

#include <boost/test/unit_test.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace metatt::testing {

/// An empty folder that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "metatt-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(pattern.data()));
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  /// Writes a file, its folder too, and returns its path.
  std::filesystem::path write(const std::string& name, std::string_view contents) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    metatt::tn::write_file_atomically(path_ / name, contents);
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// While it lives, files of this process and those it starts end at this many bytes, as on a full
/// disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

/// The call throws tn::Error, and its message contains all fragments.
template <class Call>
void check_error(const Call& call, const std::vector<std::string_view>& fragments) {
  try {
    call();
  } catch (const tn::Error& error) {
    const std::string message = error.what();
    for (const std::string_view fragment : fragments) {
      BOOST_CHECK_MESSAGE(message.find(fragment) != std::string::npos,
                          "expected \"" << fragment << "\" in the error \"" << message << "\"");
    }
    return;
  }
  BOOST_ERROR("expected an error, found none");
}

/// The folder that an environment variable names; tests that need it are skipped where it is not
/// set.
inline std::filesystem::path folder_of(const char* variable) {
  const char* folder = std::getenv(variable);
  return folder ? folder : "";
}

inline bool is_given(boost::unit_test::test_unit_id id, const char* variable, const char* content) {
  if (!folder_of(variable).empty()) return true;
  std::cout << boost::unit_test::framework::get(id, boost::unit_test::TUT_ANY).p_name
            << ": skipped, " << variable << " names no folder of " << content << "\n";
  return false;
}

/// The folder of real data sets.
inline std::filesystem::path shared_data() {
  return folder_of("METATT_SHARED_DATA");
}
inline boost::test_tools::assertion_result has_shared_data(boost::unit_test::test_unit_id id) {
  return is_given(id, "METATT_SHARED_DATA", "data sets");
}

}  // namespace metatt::testing
