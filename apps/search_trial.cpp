#include <metatt/apps/search_trial.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace metatt::apps {

namespace {

/// Starts the program with these words and its output in a file; the process.
pid_t start_process(const std::vector<std::string>& words, const std::string& output) {
  std::vector<const char*> arguments{"metatt"};
  for (const std::string& word : words) arguments.push_back(word.c_str());
  arguments.push_back(nullptr);
  const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) tn::fail(output, ": cannot be written");
  const pid_t process = ::fork();
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // it does not outlive a search that is killed
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    ::execv("/proc/self/exe", const_cast<char* const*>(arguments.data()));
    ::_exit(127);
  }
  ::close(file);
  if (process < 0) tn::fail("sweep: cannot start a process for ", output);
  return process;
}

/// Its exit status; passes a signal on.
int wait_for(pid_t process, const InterruptWatch& watch) {
  bool passed_on = false;
  int status = 0;
  while (::waitpid(process, &status, WNOHANG) == 0) {
    if (watch.signal() != 0 && !passed_on) passed_on = ::kill(process, watch.signal()) == 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return status;
}

/// A search that was killed has told its trial to end, which may still be saving. Whatever else is
/// the matter with the folder, the next attempt of the trial will say.
void wait_until_free(const std::filesystem::path& folder, const InterruptWatch& watch) {
  constexpr int most_seconds = 60;
  for (int i = 0; i < 10 * most_seconds && watch.signal() == 0; ++i) {
    try {
      tn::prepare_output_folder(folder, true);
      return;
    } catch (const tn::FolderInUse&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    } catch (const tn::Error&) {
      return;
    }
  }
}

/// The line that the program ended with.
std::string last_line(const std::string& output) {
  const auto lines = tn::split_lines(tn::read_file(output));
  return lines.empty() ? "no message" : lines.back();
}

}  // namespace

TrialState trial_state(const std::filesystem::path& trials, const SearchTrial& trial) {
  std::error_code ignored;
  if (!std::filesystem::exists(trials / trial.name / run_log_name, ignored)) return {};
  // A kill may have come before the log had its first line.
  if (std::filesystem::file_size(trials / trial.name / run_log_name, ignored) == 0) return {};
  try {
    TrialState state{"waiting", {}, read_run(trials / trial.name)};
    if (state.run->end == RunEnd::ended) state.status = "ended";
    return state;
  } catch (const tn::Error& error) {  // the others can be run all the same
    return {"failed", error.what()};
  }
}

TrialState run_trial(const std::filesystem::path& trials, const SearchTrial& trial,
                     std::optional<int> threads, const InterruptWatch& watch) {
  std::vector<std::string> words{"finetune"};
  words.insert(words.end(), trial.words.begin(), trial.words.end());
  words.push_back("--output_dir=" + (trials / trial.name).string());
  words.emplace_back("--resume");
  if (threads && trial.value_of("threads").empty())
    words.push_back("--threads=" + std::to_string(*threads));
  if (std::error_code ignored; std::filesystem::exists(trials / trial.name, ignored))
    wait_until_free(trials / trial.name, watch);
  const std::string output = (trials / (trial.name + ".txt")).string();
  const int status = wait_for(start_process(words, output), watch);
  TrialState state = trial_state(trials, trial);
  if (state.status == "ended" && WIFEXITED(status) && WEXITSTATUS(status) == 0) return state;
  state.status = watch.signal() != 0 ? "interrupted" : "failed";
  if (state.status == "failed" && state.error.empty())
    state.error = WIFSIGNALED(status) ? "ended by signal " + std::to_string(WTERMSIG(status))
                                      : last_line(output);
  return state;
}

}  // namespace metatt::apps
