/// Runs that are killed, interrupted and resumed, as processes.

#include "program_testing.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <thread>

using namespace metatt::testing;

namespace {

using std::chrono::milliseconds;

/// A suite with an encoder, and commands whose runs take a while.
struct Runs {
  TemporaryFolder folder;
  std::string suite = (folder / "suite").string(), encoder = (folder / "encoder").string();

  Runs() {
    BOOST_REQUIRE(run("suite --output_dir " + suite).exit_code == 0);
    const Run pretrained = run(pretraining("--max_steps 2 --output_dir " + encoder));
    BOOST_REQUIRE_MESSAGE(pretrained.exit_code == 0, pretrained.output);
  }
  std::string pretraining(const std::string& rest) const {
    return "pretrain --threads 1 --hidden_size 16 --num_hidden_layers 2 --intermediate_size 32"
           " --num_attention_heads 2 --dropout 0.1 --corpus " +
           suite + "/corpus.txt --tokenizer " + suite + " " + rest;
  }
  /// With sweeps, dropout, accumulation and the best weights: all that a state has.
  std::string finetuning(const std::string& output,
                         const std::string& adaptation = "--optimizer_state project") const {
    return "finetune --threads 1 --model " + encoder + " --task cola --data " + suite +
           " --max_train_samples 256 --num_train_epochs 12 --rank_schedule 0:4,2:3,5:2 " +
           adaptation +
           " --per_device_train_batch_size 4 "
           "--gradient_accumulation_steps 2 --save_strategy steps --save_steps 2 "
           "--load_best_model_at_end --logging_steps 5 --output_dir " +
           (folder / output).string();
  }
  std::string file(const std::string& name) const { return metatt::tn::read_file(folder / name); }
  /// The lines of a run's sweeps without the times.
  std::vector<std::string> sweeps(const std::string& name) const {
    auto table = metatt::tn::split_lines(file(name + "/rank_sweeps.csv"));
    for (std::string& row : table) row.erase(row.rfind(','));
    return table;
  }
};

/// Steps of the newest checkpoint; 0 if there is none.
long newest_checkpoint(const std::string& folder) {
  long newest = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-") && name.find(".partial") == std::string::npos)
      newest = std::max(newest, std::stol(name.substr(11)));
  }
  return newest;
}

/// Starts the command again and again and kills it at random moments, some while it starts and most
/// when it has gone on for a checkpoint or two, until it was killed so many times and then ended.
void kill_and_finish(const std::string& command, const std::string& folder, int kills) {
  const std::string output = folder + ".output";
  std::minstd_rand random(5);
  for (int killed = 0; killed <= kills;) {
    const long wanted = newest_checkpoint(folder) + (random() % 3 == 0 ? 0 : 1);
    const auto wait = milliseconds(random() % 8);
    const Process process(command + " --resume", output);
    int status = 0;
    bool over = false;
    while (!(over = process.over(status)) &&
           (killed == kills || newest_checkpoint(folder) < wanted))
      std::this_thread::sleep_for(milliseconds(1));
    if (over) {
      BOOST_REQUIRE_MESSAGE(killed == kills, "ended after " << killed << " kills");
      BOOST_REQUIRE_MESSAGE(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                            metatt::tn::read_file(output));
      return;
    }
    std::this_thread::sleep_for(wait);
    status = process.send(SIGKILL);
    if (!WIFSIGNALED(status)) BOOST_FAIL(metatt::tn::read_file(output));
    ++killed;
  }
}

/// Kills a run at random moments behind its last step, while it evaluates and writes its results;
/// what stands there is whole every time.
void kill_at_the_end(const std::string& command, const std::string& folder,
                     const std::vector<std::string>& results, int kills) {
  std::map<std::string, std::string> whole;
  for (const std::string& name : results) whole[name] = metatt::tn::read_file(folder + "/" + name);
  std::minstd_rand random(7);
  for (int killed = 0; killed < kills; ++killed) {
    for (const std::string& name : results) std::filesystem::remove(folder + "/" + name);
    const Process process(command + " --resume", folder + ".output");
    std::this_thread::sleep_for(milliseconds(random() % 60));
    process.send(SIGKILL);
    for (const std::string& name : results)
      if (std::filesystem::exists(folder + "/" + name))
        BOOST_TEST((metatt::tn::read_file(folder + "/" + name) == whole[name]), name);
  }
  const Run last = run(command + " --resume");
  BOOST_REQUIRE_MESSAGE(last.exit_code == 0, last.output);
  for (const std::string& name : results)
    BOOST_TEST((metatt::tn::read_file(folder + "/" + name) == whole[name]), name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resume)

BOOST_AUTO_TEST_CASE(a_run_that_is_killed_fifty_times_ends_with_the_same_bits) {
  const Runs runs;
  const Run whole = run(runs.finetuning("whole"));
  BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.output);
  kill_and_finish(runs.finetuning("killed"), (runs.folder / "killed").string(), 50);
  for (const char* file : {"metatt_adapter.safetensors", "eval_results.json"})
    BOOST_TEST(
        (runs.file(std::string("killed/") + file) == runs.file(std::string("whole/") + file)));
  // All lines of the log but those of times and restarts come once.
  const auto lines = [&](const std::string& log, const std::string& event) {
    std::size_t count = 0;
    for (const auto& line : metatt::tn::split_lines(runs.file(log)))
      count += line.find("\"event\":\"" + event + "\"") != std::string::npos;
    return count;
  };
  for (const char* event : {"step", "eval", "sweep", "checkpoint", "end"})
    BOOST_TEST(lines("killed/log.jsonl", event) == lines("whole/log.jsonl", event));
  BOOST_TEST(lines("whole/log.jsonl", "sweep") == 2u);
  BOOST_TEST(runs.sweeps("killed") == runs.sweeps("whole"), boost::test_tools::per_element());
  kill_at_the_end(runs.finetuning("killed"), (runs.folder / "killed").string(),
                  {"metatt_adapter.safetensors", "eval_results.json"}, 20);
}

BOOST_AUTO_TEST_CASE(two_site_steps_that_are_killed_in_the_middle_of_pairs_end_with_the_same_bits) {
  const Runs runs;
  const std::string pairs = "--two_site_steps 7";
  const Run whole = run(runs.finetuning("whole", pairs));
  BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.output);
  kill_and_finish(runs.finetuning("killed", pairs), (runs.folder / "killed").string(), 8);
  BOOST_TEST((runs.file("killed/metatt_adapter.safetensors") ==
              runs.file("whole/metatt_adapter.safetensors")));
  // 32 steps an epoch are four pairs and one that ends early, at the evaluation.
  const auto table = runs.sweeps("whole");
  BOOST_TEST(runs.sweeps("killed") == table, boost::test_tools::per_element());
  BOOST_TEST(table.size() == 1u + 12 * 5 + 2 * 3);
  const auto splits = std::ranges::count_if(
      table, [](const std::string& row) { return row.find(",true,") != std::string::npos; });
  BOOST_TEST(splits == 12 * 5);
}

BOOST_AUTO_TEST_CASE(pretraining_that_is_killed_ends_with_the_same_bits) {
  const Runs runs;
  const auto command = [&](const std::string& output) {
    return runs.pretraining("--max_steps 300 --save_steps 7 --output_dir " +
                            (runs.folder / output).string());
  };
  const Run whole = run(command("whole"));
  BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.output);
  kill_and_finish(command("killed"), (runs.folder / "killed").string(), 5);
  BOOST_TEST((runs.file("killed/model.safetensors") == runs.file("whole/model.safetensors")));
}

BOOST_AUTO_TEST_CASE(a_decoder_that_is_killed_ends_with_the_same_bits) {
  const Runs runs;
  const auto finish_both = [&](const auto& command, const std::string& result) {
    const Run whole = run(command("whole-" + result));
    BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.output);
    kill_and_finish(command("killed-" + result), (runs.folder / ("killed-" + result)).string(), 5);
    BOOST_TEST((runs.file("killed-" + result + "/" + result) ==
                runs.file("whole-" + result + "/" + result)));
  };
  finish_both(
      [&](const std::string& output) {
        return "pretrain --threads 1 --objective causal --tokenizer bytes --hidden_size 16"
               " --num_hidden_layers 2 --num_attention_heads 2 --intermediate_size 32 --dropout 0.1"
               " --max_seq_length 16 --max_steps 300 --save_steps 7 --corpus " +
               runs.suite + "/corpus.txt --output_dir " + (runs.folder / output).string();
      },
      "model.safetensors");
  std::string texts;
  for (int i = 0; i < 64; ++i)
    texts += R"({"prompt": "number )" + std::to_string(i) + R"(", "completion": " is )" +
             std::to_string(i * i) + "\"}\n";
  const std::string file = runs.folder.write("texts.jsonl", texts).string();
  finish_both(
      [&](const std::string& output) {
        return "finetune --threads 1 --model " +
               (runs.folder / "whole-model.safetensors").string() + " --train_file " + file +
               " --validation_file " + file +
               " --num_train_epochs 12 --rank_schedule 0:4,2:3,5:2 --per_device_train_batch_size 4"
               " --max_seq_length 16 --save_strategy steps --save_steps 4 --output_dir " +
               (runs.folder / output).string();
      },
      "metatt_adapter.safetensors");
}

BOOST_AUTO_TEST_CASE(checkpoints_beyond_a_lower_limit_go_with_the_next_start) {
  const Runs runs;
  const auto command = [&](const std::string& limit) {
    return runs.pretraining("--max_steps 20 --save_steps 4 --save_total_limit " + limit +
                            " --output_dir " + (runs.folder / "out").string());
  };
  BOOST_REQUIRE(run(command("5")).exit_code == 0);
  BOOST_REQUIRE(run(command("2") + " --resume").exit_code == 0);
  for (const long step : {4, 8, 12, 16, 20})
    BOOST_TEST(std::filesystem::exists(runs.folder / ("out/checkpoint-" + std::to_string(step))) ==
               (step > 12));
}

BOOST_AUTO_TEST_CASE(a_signal_saves_and_leaves_with_a_line) {
  const Runs runs;
  const std::string output = (runs.folder / "output").string();
  for (const auto& [signal, name] : {std::pair{SIGTERM, "SIGTERM"}, std::pair{SIGINT, "SIGINT"}}) {
    const std::string folder = (runs.folder / name).string();
    const std::string command = runs.pretraining("--max_steps 100000 --output_dir " + folder);
    const Process process(command, output);
    while (!std::filesystem::exists(folder + "/log.jsonl"))
      std::this_thread::sleep_for(milliseconds(1));
    const int status = process.send(signal);
    BOOST_TEST(WIFEXITED(status));
    BOOST_TEST(WEXITSTATUS(status) == 128 + signal);
    const std::string said = metatt::tn::read_file(output);
    for (const std::string& fragment :
         {std::string("metatt: stopped by ") + name + " after step ", std::string("--resume")})
      BOOST_CHECK_MESSAGE(said.find(fragment) != std::string::npos, said);
    BOOST_TEST(!std::filesystem::exists(folder + "/model.safetensors"));
  }
}

BOOST_AUTO_TEST_CASE(a_signal_before_the_first_step_leaves_with_a_line) {
  const Runs runs;
  const std::string output = (runs.folder / "output").string();
  // A pipe to which nothing is written: the program waits in the middle of its reading.
  const std::string corpus = (runs.folder / "pipe").string();
  BOOST_REQUIRE(::mkfifo(corpus.c_str(), 0600) == 0);
  const Process process("pretrain --max_steps 5 --corpus " + corpus + " --tokenizer " + runs.suite +
                            " --output_dir " + (runs.folder / "new").string(),
                        output);
  int pipe = -1;
  while ((pipe = ::open(corpus.c_str(), O_WRONLY | O_NONBLOCK)) < 0)  // until somebody reads
    std::this_thread::sleep_for(milliseconds(1));
  const int status = process.send(SIGTERM);
  ::close(pipe);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 128 + SIGTERM);
  BOOST_TEST(metatt::tn::read_file(output) ==
             "metatt: stopped by SIGTERM outside the training steps; --resume goes on from the "
             "newest checkpoint, or anew\n");
}

BOOST_AUTO_TEST_CASE(other_settings_are_not_resumed) {
  const Runs runs;
  BOOST_REQUIRE(run(runs.finetuning("out")).exit_code == 0);
  const std::string before = runs.file("out/metatt_adapter.safetensors");
  const Run other = run(runs.finetuning("out") + " --resume --seed 7");
  BOOST_TEST(other.exit_code == 2);
  BOOST_TEST(other.has("the run had seed = 42, this one has 7"));
  check_refused(runs.finetuning("out") + " --resume --overwrite_output_dir", "excludes");
  std::string fewer = runs.finetuning("out") + " --resume";
  fewer.replace(fewer.find("samples 256"), 11, "samples 255");
  const Run samples = run(fewer);
  BOOST_CHECK_MESSAGE(samples.has("the run had max_train_samples = 256"), samples.output);
  const Run rate = run(runs.finetuning("out") + " --resume --learning_rate 2e-3");
  BOOST_CHECK_MESSAGE(rate.has("the run had learning_rate = "), rate.output);
  check_refused(runs.finetuning("out"), "--overwrite_output_dir accepts them, --resume goes on");
  BOOST_TEST((runs.file("out/metatt_adapter.safetensors") == before));
  // What is over stays as it is.
  const Run again = run(runs.finetuning("out") + " --resume");
  BOOST_REQUIRE_MESSAGE(again.exit_code == 0, again.output);
  BOOST_TEST(again.has("resumed after step 384 of 384"));
  BOOST_TEST(!again.has("warning"));
  BOOST_TEST((runs.file("out/metatt_adapter.safetensors") == before));
  std::string two_threads = runs.finetuning("out") + " --resume";
  two_threads.replace(two_threads.find("--threads 1"), 11, "--threads 2");
  const Run faster = run(two_threads);
  BOOST_TEST(faster.has("warning: --resume: the run had threads = 1, this one has 2: "));
  BOOST_TEST(faster.exit_code == 0);
  // What the other part left behind the checkpoint counts no more, nor does a line cut short.
  std::ofstream(runs.folder / "out/log.jsonl", std::ios::app)
      << R"({"blas":"x","event":"start","th)";
  const Run as_before = run(runs.finetuning("out") + " --resume");
  BOOST_TEST(as_before.exit_code == 0);
  BOOST_TEST(!as_before.has("warning"));
  const Run anew = run(runs.finetuning("anew") + " --resume");
  BOOST_TEST(anew.has("no checkpoint to resume from"));
  BOOST_TEST((runs.file("anew/metatt_adapter.safetensors") == before));
}

BOOST_AUTO_TEST_SUITE_END()
