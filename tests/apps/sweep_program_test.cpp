/// metatt sweep as its users meet it.

#include "program_testing.hpp"

#include <map>
#include <set>

using namespace metatt::testing;

namespace {

/// A suite with an encoder, and the lines that every search needs.
struct Base {
  TemporaryFolder folder;
  std::string suite = (folder / "suite").string(), encoder = (folder / "encoder").string();

  Base() {
    BOOST_REQUIRE(run("suite --output_dir " + suite).exit_code == 0);
    const Run made =
        run("pretrain --threads 1 --hidden_size 16 --num_hidden_layers 2 --intermediate_size 32 "
            "--num_attention_heads 2 --max_steps 2 --corpus " +
            suite + "/corpus.txt --tokenizer " + suite + " --output_dir " + encoder);
    BOOST_REQUIRE_MESSAGE(made.exit_code == 0, made.output);
  }
  /// A search with these lines that names neither the task nor the threads.
  std::string bare_search(const std::string& lines, int samples = 64) const {
    return folder
        .write("search.conf", "model = " + encoder + "\ndata = " + suite +
                                  "\nmax_train_samples = " + std::to_string(samples) + "\n" + lines)
        .string();
  }
  /// A search over the small task with these lines.
  std::string search(const std::string& lines, int samples = 64) const {
    return bare_search("task = cola\nthreads = 1\n" + lines, samples);
  }
  std::string command(const std::string& file, const std::string& rest = "") const {
    return "sweep --search " + file + " --output_dir " + (folder / "out").string() + " " + rest;
  }
  /// The lines of sweep.csv by the names of its columns; no field here has a comma.
  std::vector<std::map<std::string, std::string>> table() const {
    const auto lines = metatt::tn::split_lines(metatt::tn::read_file(folder / "out/sweep.csv"));
    const auto names = metatt::tn::split_at(lines.at(0), ',');
    std::vector<std::map<std::string, std::string>> rows;
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const auto fields = metatt::tn::split_at(lines[i], ',');
      BOOST_REQUIRE(fields.size() == names.size());
      for (auto& row = rows.emplace_back(); const auto& name : names)
        row[name] = fields[row.size()];
    }
    return rows;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sweep_program)

BOOST_AUTO_TEST_CASE(a_grid_is_every_combination_with_every_seed) {
  const Base base;
  const Run search = run(base.command(
      base.search("adapter = [none | lora]\nlearning_rate = [1e-3 | 1e-2]\nseed = [1 | 2]\n")));
  BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
  std::set<std::string> trials;
  for (const auto& row : base.table()) {
    BOOST_TEST(row.at("status") == "ended");
    // A LoRA of rank 8: 2 layers × 2 matrices × 2·16·8.
    BOOST_TEST(row.at("parameters_without_head") == (row.at("adapter") == "lora" ? "1024" : "0"));
    trials.insert(row.at("adapter") + " " + row.at("learning_rate") + " " + row.at("seed"));
  }
  BOOST_TEST(trials.size() == 2u * 2 * 2);
}

BOOST_AUTO_TEST_CASE(trials_have_the_threads_of_the_search_and_say_their_ranks) {
  const Base base;
  const std::string file = base.bare_search(
      "task = cola\nrank = 4\n\n[head]\nadapter = none\nrank =\n\n[train]\nadapter = metatt4d\n");
  const Run search = run(base.command(file, "--threads 1"));
  BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
  for (const auto& row : base.table()) {
    BOOST_TEST(row.at("ranks") == (row.at("section") == "train" ? "4" : ""));
    const std::string log =
        metatt::tn::read_file(base.folder / "out/trials" / row.at("trial") / "log.jsonl");
    BOOST_TEST(log.find("\"threads\":1,") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(the_page_of_a_search_calls_trials_by_their_sections,
                     *boost::unit_test::precondition(has_gnuplot)) {
  const Base base;
  const std::string file = base.search(
      "seed = [1 | 2]\n\n[only the head]\nadapter = none\n\n[a small one]\nadapter = lora\nrank = "
      "2\n");
  BOOST_REQUIRE(run(base.command(file)).exit_code == 0);
  BOOST_REQUIRE(run("report " + (base.folder / "out").string()).exit_code == 0);
  const std::string page = metatt::tn::read_file(base.folder / "out/report.html");
  for (const char* text : {"1: only the head<", "2: a small one<", "better than the first section",
                           "ranks at the end", ">a small one<"})
    BOOST_CHECK_MESSAGE(page.find(text) != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_compared_is_run_but_decides_nothing) {
  const Base base;
  const std::string several =
      base.bare_search("threads = 1\nadapter = none\ntask = [rte | cola | mrpc]\n");
  check_refused(base.command(several, "--first_seed_decides"),
                "--first_seed_decides: expected one task and metric to compare by, found rte's "
                "accuracy in 1-seed-42 and cola's matthews_correlation in 2-seed-42");
  BOOST_TEST(!std::filesystem::exists(base.folder / "out"));
  check_refused(
      base.command(
          base.folder.write("same.conf", "model = MODEL\ndata = DATA\ntask = [rte | wnli]\n")
              .string(),
          "--first_seed_decides"),
      "found rte's accuracy in 1-seed-42 and wnli's accuracy in 2-seed-42");
  check_refused(
      "finetune --model MODEL --task cola --data DATA --num_train_epochs 2 --max_steps 30 "
      "--output_dir OUT",
      "--num_train_epochs excludes --max_steps");
  for (const char* flag : {"head_learning_rate = 1e-3", "per_device_eval_batch_size = 4"})
    check_refused(
        "sweep --output_dir OUT --search " +
            base.folder
                .write("flag.conf", "model = MODEL\ntrain_file = A\n" + std::string(flag) + "\n")
                .string(),
        "trial 1-seed-42: --" + std::string(flag).substr(0, 10));
  check_refused("sweep --first_seed_decides --output_dir OUT --search " +
                    base.folder.write("texts.conf", "model = MODEL\ntrain_file = A\n").string(),
                "expected every trial to evaluate, 1-seed-42 does not");
  const Run search = run(base.command(several));
  BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
  BOOST_TEST(search.has("result: settings of different tasks or metrics are not compared"));
  const Run two = run("sweep --search " +
                      base.bare_search("threads = 1\nadapter = none\ntask = [rte | mrpc]\n") +
                      " --output_dir " + (base.folder / "two").string());
  BOOST_REQUIRE_MESSAGE(two.exit_code == 0, two.output);  // both are compared by the accuracy
  BOOST_TEST(two.has("result: settings of different tasks or metrics are not compared"));
  check_refused(base.command(several), "--resume goes on with a search that has left them");
  base.folder.write("other/file.txt", "mine");
  check_refused(
      "sweep --search " + several + " --resume --output_dir " + (base.folder / "other").string(),
      "expected a search to go on with (sweep.json), found other files");
}

BOOST_AUTO_TEST_CASE(the_best_setting_is_that_of_the_best_mean_over_seeds) {
  const Base base;
  for (const std::string metric : {"matthews_correlation", "loss"}) {
    std::filesystem::remove_all(base.folder / "out");
    const std::string file = base.search("metric_for_best_model = " + metric +
                                         "\nadapter = none\nlearning_rate = [1e-3 | 1e-2 | 0.1]\n"
                                         "seed = [1 | 2]\n");
    const Run search = run(base.command(file));
    BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
    // Results in the place of theirs, which the search takes as they are.
    const double results[] = {0.1, 0.5, 0.4, 0.5, 0.6, 0.1};
    for (int i = 0; i < 6; ++i)
      base.folder.write(
          "out/trials/" + std::to_string(i / 2 + 1) + "-seed-" + std::to_string(i % 2 + 1) +
              "/log.jsonl",
          R"({"event":"start","metric_for_best_model":")" + metric + "\"}\n" +
              R"({"event":"end","steps":1,"seconds":1,"peak_memory_mb":1,"results":{"eval_loss":)" +
              std::to_string(results[i]) + R"(,"eval_matthews_correlation":)" +
              std::to_string(results[i]) + "}}\n");
    const Run again = run(base.command(file, "--resume"));
    // The means are 0.3, 0.45 and 0.35; t is 12.706, and of two values the error of the mean is
    // half their distance.
    const std::string best = metric == "loss"
                                 ? "setting 1, learning_rate 1e-3: loss 0.3000 ± 2.5412"
                                 : "setting 2, learning_rate 1e-2: "
                                   "matthews_correlation 0.4500 ± 0.6353";
    BOOST_CHECK_MESSAGE(again.has("best: " + best + " (95 %) over 2 seeds"), again.output);
  }
}

BOOST_AUTO_TEST_CASE(sections_are_compared_at_their_best_settings_seed_by_seed) {
  const Base base;
  const std::string file = base.search(
      "seed = [1 | 2]\nlearning_rate = 1e-3\n\n[head]\nadapter = none\n\n"
      "[low, rank]\nadapter = lora\nlearning_rate = [1e-3 | 1e-2 | 0.1]\n");
  const Run search = run(base.command(file, "--first_seed_decides"));
  BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
  // Results in the place of theirs; the second setting of the second section is the best one.
  const std::map<std::string, double> results{{"1-seed-1", 0.1}, {"1-seed-2", 0.3},
                                              {"2-seed-1", 0.2}, {"3-seed-1", 0.5},
                                              {"3-seed-2", 0.6}, {"4-seed-1", 0.4}};
  std::filesystem::remove_all(base.folder / "out/trials");
  for (const auto& [name, value] : results)
    base.folder.write(
        "out/trials/" + name + "/log.jsonl",
        R"({"event":"start","metric_for_best_model":"matthews_correlation"})"
        "\n"
        R"({"event":"end","steps":1,"seconds":2,"trained_parameters":7,"peak_memory_mb":1,)"
        R"("results":{"eval_loss":1,"eval_matthews_correlation":)" +
            std::to_string(value) + "}}\n");
  const Run again = run(base.command(file, "--first_seed_decides --resume"));
  BOOST_REQUIRE_MESSAGE(again.exit_code == 0, again.output);
  // Means 0.2 and 0.55, differences 0.4 and 0.3; t is 12.706.
  BOOST_TEST(again.has("head: matthews_correlation 0.2000 ± 1.2706 (95 %) over 2 seeds"));
  BOOST_TEST(
      again.has("low, rank, learning_rate 1e-2: matthews_correlation 0.5500 ± 0.6353 "
                "(95 %) over 2 seeds, better than head by 0.3500 ± 0.6353"));
  const auto lines =
      metatt::tn::split_lines(metatt::tn::read_file(base.folder / "out/comparison.csv"));
  BOOST_REQUIRE(lines.size() == 3u);
  BOOST_TEST(lines[2].starts_with("\"low, rank\",learning_rate=1e-2,2,matthews_correlation,0.55"));
  BOOST_TEST(lines[2].ends_with(",7,2,1,"));  // the trials have left no file
  const std::string table = metatt::tn::read_file(base.folder / "out/sweep.csv");
  BOOST_TEST(table.find("2-seed-2,\"low, rank\",2,1e-3,2,left out") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_section_without_results_has_its_line_and_is_nobodys_reference) {
  const Base base;
  const std::string file = base.search(
      "[too much]\nadapter = metatt4d\nrank = 4000\n\n[head]\nadapter = none\n\n"
      "[mixed]\nadapter = none\ntask = [cola | mrpc]\n");
  const Run search = run(base.command(file));
  BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
  BOOST_TEST(search.has("too much: no setting has ended with a metric for every seed"));
  BOOST_TEST(search.has("mixed: its settings have different tasks or metrics"));
  BOOST_TEST(search.has("3 sections compared"));
  const auto lines =
      metatt::tn::split_lines(metatt::tn::read_file(base.folder / "out/comparison.csv"));
  BOOST_REQUIRE(lines.size() == 4u);
  BOOST_TEST(lines[1] == "too much,,0,,,,,,,,,");
  BOOST_TEST(lines[2].starts_with("head,,1,matthews_correlation,"));
  BOOST_TEST(lines[3] == "mixed,,0,,,,,,,,,");
}

BOOST_AUTO_TEST_CASE(a_section_replaces_what_it_cannot_have_and_draws_nothing_twice) {
  const Base base;
  const std::string texts = base.folder.write("texts.jsonl", "{\"text\": \"a\"}\n").string();
  // A decoder's file in the place of task and data, which needs a task; a decoder is not there.
  const Run search = run(
      base.command(base.search("[texts]\ntrain_file = " + texts + "\n\n[head]\nadapter = none\n"),
                   "--samples 3"));
  BOOST_TEST(search.has("expected a family that predicts next tokens"));
  BOOST_TEST(search.has("trial 2 of 2, 2-seed-42: ended"));
  std::filesystem::remove_all(base.folder / "out");
  check_refused(base.command(base.search("rank = 4\n[head]\nadapter = none\n")),
                "[head]: trial 1-seed-42: --rank");
  check_refused(base.command(base.search("adapter = none\n"), "--seed 3"), "--seed");
}

BOOST_AUTO_TEST_CASE(random_settings_lie_in_their_ranges_and_follow_from_the_seed) {
  const Base base;
  const std::string file = base.search(
      "adapter = lora\nrank = integer 2 .. 4\nlearning_rate = log 1e-4 .. 1e-2\n"
      "warmup_ratio = uniform 0 .. 0.5\n",
      16);
  std::vector<std::string> drawn;
  for (const char* seed : {"7", "7", "8"}) {
    std::filesystem::remove_all(base.folder / "out");
    const Run search = run(base.command(file, std::string("--samples 4 --seed ") + seed));
    BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
    BOOST_TEST(base.table().size() == 4u);
    auto& all = drawn.emplace_back();
    for (const auto& row : base.table()) {
      const double rate = std::stod(row.at("learning_rate")), rank = std::stod(row.at("rank"));
      BOOST_TEST((rate >= 1e-4 && rate <= 1e-2));
      BOOST_TEST((rank == 2 || rank == 3 || rank == 4));
      all += row.at("learning_rate") + " " + row.at("rank") + " " + row.at("warmup_ratio") + "\n";
    }
  }
  BOOST_TEST(drawn[0] == drawn[1]);
  BOOST_TEST(drawn[0] != drawn[2]);
}

BOOST_AUTO_TEST_CASE(a_trial_that_fails_is_recorded_and_the_others_go_on) {
  const Base base;
  const Run search = run(base.command(base.search("adapter = metatt4d\nrank = [2 | 4000]\n")));
  BOOST_REQUIRE_MESSAGE(search.exit_code == 0, search.output);
  BOOST_TEST(search.has("1 of 2 trials failed"));
  BOOST_TEST(search.has("best: setting 1, rank 2: matthews_correlation"));
  const std::string table = metatt::tn::read_file(base.folder / "out/sweep.csv");
  BOOST_CHECK_MESSAGE(table.find(",42,failed,") != std::string::npos, table);
  BOOST_CHECK_MESSAGE(table.find("metatt: ") != std::string::npos, table);
}

BOOST_AUTO_TEST_CASE(a_damaged_trial_is_recorded_and_a_folder_in_use_is_left_alone) {
  const Base base;
  const std::string command = base.command(base.search("adapter = [none | lora]\n"));
  BOOST_REQUIRE(run(command).exit_code == 0);
  {
    const auto folder = metatt::tn::prepare_output_folder(base.folder / "out", true);
    check_refused(command + "--resume", "out: another run is writing to this folder");
  }
  metatt::tn::write_file_atomically(base.folder / "out/trials/1-seed-42/log.jsonl", "{\"event\"\n");
  const Run resumed = run(command + "--resume");
  BOOST_CHECK_MESSAGE(resumed.has("1 of 2 trials failed") && resumed.has("log.jsonl: line 1"),
                      resumed.output);
  const Run report = run("report " + (base.folder / "out").string());
  BOOST_CHECK_MESSAGE(report.exit_code == 0 && report.has("log.jsonl: line 1") &&
                          report.has("left out of the report"),
                      report.output);
  const std::string page = metatt::tn::read_file(base.folder / "out/report.html");
  BOOST_TEST(page.find(">2-seed-42<") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_search_that_was_interrupted_goes_on_and_runs_nothing_twice) {
  const Base base;
  const std::string file =
      base.search("adapter = lora\nnum_train_epochs = [1 | 4000]\nsave_strategy = no\n", 400);
  // The second trial takes minutes; the signal comes into it, and to the search alone.
  const std::string log = (base.folder / "out/trials/2-seed-42/log.jsonl").string(),
                    output = (base.folder / "output").string();
  const auto stop_when = [&](const std::string& command, const std::string& text) {
    const Process search(command, output);
    while (!std::filesystem::exists(log) ||
           metatt::tn::read_file(log).find(text) == std::string::npos) {
      int early = 0;
      if (search.over(early)) BOOST_FAIL(metatt::tn::read_file(output));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const int status = search.send(SIGTERM);
    BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM));
    const std::string said = metatt::tn::read_file(output);
    BOOST_CHECK_MESSAGE(said.find("stopped by SIGTERM in trial 2-seed-42") != std::string::npos,
                        said);
  };
  stop_when(base.command(file), "\"event\":\"step\"");
  auto rows = base.table();
  BOOST_TEST(rows.at(0).at("status") == "ended");
  BOOST_TEST(rows.at(1).at("status") == "interrupted");
  const auto said = base.folder / "out/trials/1-seed-42.txt";
  const auto before = std::filesystem::last_write_time(said);
  bool checkpoint = false;
  for (const auto& entry :
       std::filesystem::directory_iterator(base.folder / "out/trials/2-seed-42"))
    checkpoint |= entry.path().filename().string().starts_with("checkpoint-");
  BOOST_TEST(checkpoint);
  check_refused(base.command(file), "found files in it");
  stop_when(base.command(file, "--resume"), "resumed_at");
  BOOST_TEST((std::filesystem::last_write_time(said) == before));
  check_refused(base.command(base.search("adapter = lora\n", 400), "--resume"),
                "sweep.json: the search had other trials");
}

BOOST_AUTO_TEST_CASE(a_wrong_search_ends_before_its_first_trial) {
  const Base base;
  const auto refused = [&](const std::string& lines, const std::string& fragment,
                           const std::string& rest = "") {
    check_refused(base.command(base.search(lines), rest), fragment);
  };
  refused("learnin_rate = [1e-3]\n", "line 6: unknown setting \"learnin_rate\"; did you mean");
  refused("learning_rate = []\n", "line 6: learning_rate: expected values in the list");
  refused("learning_rate = [1e-3 | ]\n", "expected values in the list, found an empty one");
  refused("seed = [1 | 1]\n", "line 6: seed: the list has 1 twice");
  refused("seed = [1 | 01]\n", "line 6: seed: the list has 01 twice (as 1 too)");
  refused("learning_rate = [1e-3 | 0.001]\n", "the list has 0.001 twice (as 1e-3 too)");
  refused("learning_rate = [1e-3\n", "expected \"]\"");
  refused("learning_rate = [1e-3 | fast]\n", "trial 2-seed-42: --learning_rate");
  refused("learning_rate = log 1e-4 .. 1e-2\n", "a range needs --samples");
  refused("learning_rate = log 0 .. 1\n", "expected 0 < LOW < HIGH", "--samples 2");
  refused("rank = integer 1.5 .. 3\n", "expected whole numbers", "--samples 2");
  refused("[a]\nrank = 2\n[a]\n", "line 8: \"a\" is a heading in line 6 already");
  refused("[]\n", "line 6: expected [NAME]");
  refused("[a\n", "line 6: expected [NAME]");
  refused("[a]\nrnak = 2\n", "line 7: unknown setting \"rnak\"");
  refused("output_dir = here\n", "line 6: output_dir: each trial has its own");
  refused("adapter = [lora | none]\nrank = 4\n", "--adapter none has no use for it");
  BOOST_TEST(!std::filesystem::exists(base.folder / "out"));
}

BOOST_AUTO_TEST_SUITE_END()
