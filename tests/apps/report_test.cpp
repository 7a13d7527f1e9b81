/// metatt report of training runs.

#include "program_testing.hpp"

#include <filesystem>

using namespace metatt::testing;

namespace {

const std::string step = R"({"event":"step","step":1,"loss":0.7,"learning_rate":1e-3,"seconds":2})";

std::string start(const std::string& method, int seed) {
  return R"({"event":"start","task":"rte","metric_for_best_model":"accuracy","method":")" + method +
         R"(","threads":)" + std::to_string(seed) + R"(,"seed":)" + std::to_string(seed) +
         R"(,"trainable_adapter":10,"trainable_head":2})";
}

/// A log with one step, one evaluation and one end, as the program writes it.
std::string whole_log(const std::string& method, int seed, double accuracy) {
  const std::string results = R"("eval_accuracy":)" + std::to_string(accuracy) +
                              R"(,"eval_loss":)" + std::to_string(10 * accuracy);
  return start(method, seed) + "\n" + step + "\n" + R"({"event":"eval","step":1,)" + results +
         "}\n" + R"({"event":"end","steps":1,"seconds":2,"peak_memory_mb":30,)" +
         R"("trained_parameters":9,"results":{)" + results + "}}\n";
}

std::string sweep(const std::string& bonds) {
  return R"({"event":"sweep","step":1,"bonds":[)" + bonds + "]}\n";
}

std::string bond(const std::string& spectrum, const std::string& weight) {
  return R"({"bond":1,"left_core":"adapter.G1","rank_before":3,"rank_after":2,"entropy":0.5,)"
         R"("spectrum":)" +
         spectrum + R"(,"discarded_weight":)" + weight + "}";
}

struct Folders {
  TemporaryFolder folder;

  /// A folder with this log.
  std::string add(const std::string& name, const std::string& log) const {
    return folder.write(name + "/log.jsonl", log).parent_path().string();
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }
};

/// The page that a report of these folders writes.
std::string page_of(const Folders& folders, const std::string& runs) {
  const Run report = run("report " + runs + " --output " + folders.path("page.html"));
  BOOST_REQUIRE_MESSAGE(report.exit_code == 0, report.output);
  return metatt::tn::read_file(folders.folder / "page.html");
}

void check_has(const std::string& page, const std::string& text, bool expected = true) {
  BOOST_CHECK_MESSAGE((page.find(text) != std::string::npos) == expected,
                      (expected ? "expected " : "did not expect ") << text);
}

std::size_t pictures_in(const std::string& page) {
  std::size_t count = 0;
  for (std::size_t at = page.find("<svg"); at != std::string::npos; at = page.find("<svg", at + 1))
    ++count;
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(report, *boost::unit_test::precondition(has_gnuplot))

BOOST_AUTO_TEST_CASE(what_follows_from_the_method_is_no_setting_that_differs) {
  const Folders folders;
  const auto log = [](const std::string& method, const char* numbers, const char* fingerprint) {
    std::string text = whole_log(method, 1, 0.5);
    const std::string before = R"("trainable_adapter":10)";
    return text.replace(text.find(before), before.size(),
                        std::string(R"("trainable_adapter":)") + numbers +
                            R"(,"fingerprint_of_frozen_weights":")" + fingerprint + "\"");
  };
  const std::string runs =
      folders.add("a", log("lora", "10", "1f")) + " " + folders.add("b", log("full", "4", "2f"));
  check_has(page_of(folders, runs), "method = full");
  check_has(page_of(folders, runs), "trainable_adapter = ", false);
  check_has(page_of(folders, runs), "fingerprint_of_frozen_weights", false);
  const std::string other_model = folders.add("c", log("metatt4d", "10", "3f"));
  check_has(page_of(folders, runs + " " + other_model), "fingerprint_of_frozen_weights = 3f");
}

BOOST_AUTO_TEST_CASE(runs_that_differ_in_their_seed_are_one_group_with_students_interval) {
  const Folders folders;
  std::string runs;
  for (const int seed : {1, 2, 3})
    runs += folders.add("lora-" + std::to_string(seed), whole_log("lora", seed, seed)) + " ";
  runs += folders.add("again", whole_log("lora", 3, 7)) + " ";
  runs += folders.add("open", start("lora", 4) + "\n" + step + "\n") + " ";
  runs += folders.add("vera", whole_log("vera", 1, 0.5));
  const std::string page = page_of(folders, runs);
  // By hand: of 1, 2, 3 the mean is 2, the deviation 1, and 4.303 / √3 = 2.4843.
  check_has(page,
            "1: lora</td><td>rte</td><td>accuracy</td><td>3</td><td>7</td>"
            "<td>2.0000 ± 2.4843</td><td>20.0000 ± 24.8434</td><td>2.0 ± 0.0</td>");
  check_has(page,
            "2: vera</td><td>rte</td><td>accuracy</td><td>1</td><td>7</td><td>0.5000</td>"
            "<td>5.0000</td>");
  check_has(page, "again: repeats seed 3 with the same settings, not counted in means");
  check_has(page, "open: not ended (interrupted, killed or running), drawn up to step 1, not");
  check_has(page, "1 (3 seeds): lora");
  check_has(page, "Groups of equal numbers are drawn side by side.");
  check_has(page, "task = rte");
  check_has(page, "seed = 1", false);  // not what all share
}

BOOST_AUTO_TEST_CASE(real_runs_become_a_page_that_needs_no_other_file_and_pictures_beside_it) {
  const Folders folders;
  const std::string suite = folders.path("suite"), encoder = folders.path("encoder");
  BOOST_REQUIRE(run("suite --output_dir " + suite).exit_code == 0);
  const std::string size =
      " --threads 1 --hidden_size 16 --num_hidden_layers 2 "
      "--intermediate_size 32 --num_attention_heads 2 --max_steps 8 ";
  BOOST_REQUIRE(run("pretrain --corpus " + suite + "/corpus.txt --tokenizer " + suite + size +
                    "--output_dir " + encoder)
                    .exit_code == 0);
  const Run tuned = run("finetune --threads 1 --model " + encoder + " --task cola --data " + suite +
                        " --max_train_samples 64 --rank_schedule 0:4,1:3,2:2 --output_dir " +
                        folders.path("run"));
  BOOST_REQUIRE_MESSAGE(tuned.exit_code == 0, tuned.output);
  const Run result = run("report " + folders.path("run") + " " + encoder);
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  const std::string page = metatt::tn::read_file(folders.folder / "run/report.html");
  // Metric against parameters, time and memory; loss, rate, dev loss, metric; ranks, entropy,
  // weight and two spectra before and after.
  BOOST_TEST(pictures_in(page) == 14u);
  for (const char* text :
       {"Training loss", "Learning rate", "Development loss", "Rank of each bond: run",
        "Entanglement entropy at each sweep: run", "Discarded weight at each sweep: run",
        "σ before the sweep at step 4: run", "σ after the sweep at step 4: run", "bond 3, rank 3"})
    check_has(page, text);
  for (const char* text : {"<script", "src=", "url(", "@import"}) check_has(page, text, false);
  std::size_t files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(folders.folder / "run/report_files")) {
    ++files;
    check_has(page, metatt::tn::read_file(entry.path()));
  }
  BOOST_TEST(files == 14u);
  // Cores 16×2, 2×2×2, 2×2×2, 2×16.
  check_has(page, "<td>" + std::to_string(32 + 8 + 8 + 32) + "</td>");
  // The card says with what the run ended, with a head of 16×16 + 16 (pooler) and 16×2 + 2.
  const std::string card = metatt::tn::read_file(folders.folder / "run/README.md");
  check_has(card, "| ranks | 2 |");
  check_has(card, "| trained parameters | " + std::to_string(80 + 272 + 34) + " |");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_drawn_is_left_out_and_said) {
  const Folders folders;
  const std::string run = folders.add(
      "run", start("lora", 1) + "\n" +
                 R"({"event":"step","step":1,"loss":null,"learning_rate":1e-3,"seconds":1})" +
                 "\n" + step + "\n" + sweep(bond("[1.0,0.5,0.0]", "0.0")) +
                 sweep(bond("[1.0,0.5,0.1]", "0.1")) +
                 R"({"event":"error","message":"the loss is <nan>"})" + "\n");
  const std::string page = page_of(folders, run);
  check_has(page, "<figcaption>1 value is left out: not finite.</figcaption>");
  check_has(page, "1 value is left out: not finite, or zero on a logarithmic axis.");
  check_has(page, "run: failed, drawn up to step 1, not counted in means: the loss is &lt;nan&gt;");
}

BOOST_AUTO_TEST_CASE(names_are_shown_as_they_are) {
  const Folders folders;
  const std::string name = "a&b<c>_\"d\"`e`@f^g%h\\";
  folders.add(name, start("lora", 1) + "\n" + step + "\n" + sweep(bond("[1.0,0.5,0.1]", "0.1")));
  const std::string page = page_of(folders, "'" + folders.path(name) + "'");
  const std::string shown = "a&amp;b&lt;c&gt;_&quot;d&quot;`e`@f^g%h\\";
  check_has(page, "<td class=\"text\">" + shown + "</td>");
  check_has(page, "<h2>Ranks of " + shown + "</h2>");
  check_has(page, "Rank of each bond: a&amp;b&lt;c");
  check_has(page, "a&b", false);
  check_has(page, "<c>", false);
}

BOOST_AUTO_TEST_CASE(only_a_last_line_that_a_kill_has_cut_may_be_broken) {
  const Folders folders;
  const std::string log = start("lora", 1) + "\n" + step + "\n";
  const std::string cut = page_of(folders, folders.add("cut", log + step.substr(0, 20)));
  check_has(cut, "cut: not ended (interrupted, killed or running), log cut in its last line");
  const auto refused = [&](const std::string& text, const std::string& fragment) {
    check_refused("report " + folders.add("bad", text), fragment);
  };
  refused(log + step.substr(0, 20) + "\n", "bad/log.jsonl: line 3: ");
  refused(start("lora", 1) + "\n" + step.substr(0, 20) + "\n" + step + "\n", "line 2: ");
  refused(log + "{\"event\":\"dance\"}\n", "line 3: expected the event start, step, eval");
  refused(log + "{\"event\":\"step\"}\n", "line 3: field \"step\"");
  refused(log + sweep("{}"), "line 3: field \"bond\"");
  refused(log + sweep(bond("[\"x\"]", "0")), "line 3: field \"spectrum\": expected numbers");
  refused(step + "\n", "line 1: expected the event start first");
  refused("", "log.jsonl: expected the event start, found none");
  BOOST_TEST(!std::filesystem::exists(folders.folder / "bad/report.html"));
}

BOOST_AUTO_TEST_CASE(a_resumed_run_is_said_to_be_one) {
  const Folders folders;
  std::string again = start("lora", 1);
  again.insert(again.size() - 1, ",\"resumed_at\":1");
  const std::string page = page_of(
      folders, folders.add("run", start("lora", 1) + "\n" + step + "\n" +
                                      "{\"event\":\"checkpoint\",\"step\":1}\n" + again + "\n"));
  check_has(page, "killed or running), resumed after step 1, drawn up to step 1");
}

BOOST_AUTO_TEST_CASE(folders_without_a_run_and_foreign_files_are_refused) {
  const Folders folders;
  const std::string good = folders.add("good", whole_log("lora", 1, 0.5));
  folders.folder.write("none/notes.txt", "x");
  folders.folder.write("chain/dmrg.h5", "x");
  check_refused("report " + good + " " + folders.path("none"),
                "none: expected a run of metatt finetune or pretrain");
  check_refused("report " + good + " " + folders.path("chain"),
                "found 2 folders, " + folders.path("chain") + " not one of training");
  check_refused("report " + good + " " + good + "/.", "expected each run once");
  folders.folder.write("good/report_files/mine.txt", "x");
  check_refused("report " + good, "report_files: expected nothing but pictures");
  BOOST_TEST(!std::filesystem::exists(folders.folder / "good/report.html"));
}

BOOST_AUTO_TEST_SUITE_END()
