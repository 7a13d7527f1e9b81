#pragma once
/// The program as its users meet it: started as a process, judged by exit code and output.

#include "../file_testing.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

namespace metatt::testing {

struct Run {
  int exit_code;
  std::string output;  ///< both streams

  bool has(const std::string& text) const { return output.find(text) != std::string::npos; }
  auto lines() const { return std::count(output.begin(), output.end(), '\n'); }
};

inline Run run(const std::string& arguments, const std::string& redirection = "2>&1") {
  const std::string command = std::string(METATT_PROGRAM) + " " + arguments + " " + redirection;
  std::FILE* pipe = popen(command.c_str(), "r");
  BOOST_REQUIRE(pipe);
  Run result{0, ""};
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe))
    result.output.append(buffer, count);
  result.exit_code = WEXITSTATUS(pclose(pipe));
  return result;
}

/// One line, exit code 2, and the fragment in the line.
inline void check_refused(const std::string& arguments, const std::string& fragment) {
  const Run result = run(arguments);
  BOOST_TEST(result.exit_code == 2);
  BOOST_TEST(result.lines() == 1);
  BOOST_CHECK_MESSAGE(result.has(fragment), "expected \"" << fragment << "\" in " << result.output);
}

}  // namespace metatt::testing
