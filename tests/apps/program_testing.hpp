#pragma once
/// The program as its users meet it: started as a process, judged by exit code and output.

#include "../file_testing.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

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

/// Condition of tests that draw.
inline boost::test_tools::assertion_result has_gnuplot(boost::unit_test::test_unit_id) {
  if (std::system("gnuplot --version > /dev/null 2>&1") == 0) return true;
  std::cout << "a test of pictures: skipped, gnuplot is not installed\n";
  return false;
}

/// The program in the background, its output in a file.
class Process {
 public:
  Process(const std::string& arguments, const std::string& output) {
    const std::string command = std::string("exec ") + METATT_PROGRAM + " " + arguments;
    id_ = ::fork();
    if (id_ == 0) {
      const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      ::dup2(file, 1);
      ::dup2(file, 2);
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    BOOST_REQUIRE(id_ > 0);
  }
  /// Whether it is over, and then how.
  bool over(int& status) const { return ::waitpid(id_, &status, WNOHANG) == id_; }
  int send(int signal) const {
    ::kill(id_, signal);
    int status = 0;
    ::waitpid(id_, &status, 0);
    return status;
  }

 private:
  pid_t id_;
};

/// One line, exit code 2, and the fragment in the line.
inline void check_refused(const std::string& arguments, const std::string& fragment) {
  const Run result = run(arguments);
  BOOST_TEST(result.exit_code == 2);
  BOOST_TEST(result.lines() == 1);
  BOOST_CHECK_MESSAGE(result.has(fragment), "expected \"" << fragment << "\" in " << result.output);
}

/// The loss in a file of results.
inline double eval_loss(const std::filesystem::path& file) {
  const std::string text = metatt::tn::read_file(file), key = "\"eval_loss\": ";
  return std::stod(text.substr(text.find(key) + key.size()));
}

/// A language suite and an encoder after two steps of pretraining: enough to run every command.
struct SmallModel {
  TemporaryFolder folder;
  std::string suite = (folder / "suite").string(), encoder = (folder / "encoder").string();

  SmallModel() {
    BOOST_REQUIRE(run("suite --output_dir " + suite).exit_code == 0);
    const Run pretrained =
        run("pretrain --hidden_size 16 --num_hidden_layers 2 --intermediate_size 32"
            " --num_attention_heads 2 --max_steps 2 --corpus " +
            suite + "/corpus.txt --tokenizer " + suite + " --output_dir " + encoder);
    BOOST_REQUIRE_MESSAGE(pretrained.exit_code == 0, pretrained.output);
  }
  std::string training(const std::string& output) const {
    return "finetune --model " + encoder + " --task cola --data " + suite + " --output_dir " +
           (folder / output).string() + " --max_train_samples 64 --num_train_epochs 1 ";
  }
  std::string finetune(const std::string& output) const { return training(output) + "--rank 2 "; }
  std::string full(const std::string& output) const { return training(output) + "--adapter full "; }
};

}  // namespace metatt::testing
