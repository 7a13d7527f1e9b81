/// The program as its users meet it: started as a process, judged by exit code and output.

#include "../transformer/file_testing.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

using metatt::testing::TemporaryFolder;

namespace {

struct Run {
  int exit_code;
  std::string output;  ///< both streams

  bool has(const std::string& text) const { return output.find(text) != std::string::npos; }
  auto lines() const { return std::count(output.begin(), output.end(), '\n'); }
};

Run run(const std::string& arguments) {
  const std::string command = std::string(METATT_PROGRAM) + " " + arguments + " 2>&1";
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
void check_refused(const std::string& arguments, const std::string& fragment) {
  const Run result = run(arguments);
  BOOST_TEST(result.exit_code == 2);
  BOOST_TEST(result.lines() == 1);
  BOOST_CHECK_MESSAGE(result.has(fragment), "expected \"" << fragment << "\" in " << result.output);
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
            suite + "/corpus.txt --vocab " + suite + "/vocab.txt --output_dir " + encoder);
    BOOST_REQUIRE_MESSAGE(pretrained.exit_code == 0, pretrained.output);
  }
  std::string finetune(const std::string& output) const {
    return "finetune --model " + encoder + " --task cola --data " + suite + " --output_dir " +
           (folder / output).string() + " --max_train_samples 64 --rank 2 --num_train_epochs 1 ";
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(program)

BOOST_AUTO_TEST_CASE(it_says_its_version_and_helps) {
  BOOST_TEST(run("--version").has("metatt "));
  const Run help = run("finetune --help");
  BOOST_TEST(help.exit_code == 0);
  for (const char* flag :
       {"--learning_rate", "--rank_schedule", "--config", "--per_device_train_batch_size"})
    BOOST_TEST(help.has(flag));
}

BOOST_AUTO_TEST_CASE(unknown_words_get_the_nearest_known_one) {
  check_refused("finetun", "did you mean \"finetune\"");
  check_refused("finetune --lerning_rate 1", "did you mean \"--learning_rate\"");
  check_refused("bench stp", "did you mean \"step\"");
  check_refused("bench step --sample 3", "did you mean \"--samples\"");
}

BOOST_AUTO_TEST_CASE(a_config_file_gives_settings_that_the_command_line_overrides) {
  const SmallModel small;
  const auto config = small.folder.write(
      "run.conf", "# a run\nlearning_rate = 0.002\nseed=7\ntarget_modules = key,value\n");
  const Run result = run(small.finetune("out") + "--config " + config.string() + " --seed 8");
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  const std::string log = metatt::transformer::read_file(small.folder / "out/log.jsonl");
  BOOST_TEST(log.find("\"learning_rate\":0.002") != std::string::npos);
  BOOST_TEST(log.find("\"seed\":8") != std::string::npos);
  const std::string record =
      metatt::transformer::read_file(small.folder / "out/metatt_config.json");
  BOOST_TEST(record.find("\"key\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_config_file_with_an_unknown_setting_is_refused_by_line) {
  const TemporaryFolder folder;
  const auto config = folder.write("bad.conf", "seed = 1\nlerning_rate = 2\n");
  check_refused("finetune --config " + config.string(), "line 2: unknown setting \"lerning_rate\"");
  check_refused("finetune --config " + (folder / "none").string(), "none");
}

BOOST_AUTO_TEST_CASE(training_evaluation_export_and_merging_agree) {
  const SmallModel small;
  const Run trained = run(small.finetune("out"));
  BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.output);
  const std::string adapter = (small.folder / "out").string();
  const auto results = [&](const std::string& name) {
    return metatt::transformer::read_file(small.folder / name);
  };
  const auto loss = [&](const std::string& name) {
    const std::string text = results(name), key = "\"eval_loss\": ";
    return std::stod(text.substr(text.find(key) + key.size()));
  };
  const std::string evaluate = "eval --data " + small.suite + " --output_file ";
  BOOST_TEST(
      run(evaluate + (small.folder / "again").string() + " --adapter " + adapter).exit_code == 0);
  BOOST_TEST(results("again") == results("out/eval_results.json"));
  const std::string merged = (small.folder / "merged").string();
  BOOST_TEST(run("merge --adapter " + adapter + " --output_dir " + merged).exit_code == 0);
  BOOST_TEST(run(evaluate + (small.folder / "whole").string() + " --task cola --model " + merged)
                 .exit_code == 0);
  BOOST_TEST(loss("whole") == loss("out/eval_results.json"), boost::test_tools::tolerance(1e-6));
  const std::string lora = (small.folder / "lora").string();
  BOOST_TEST(
      run("export --format peft-lora --adapter " + adapter + " --output_dir " + lora).exit_code ==
      0);
  BOOST_TEST(run("inspect " + adapter + "/metatt_adapter.safetensors").has("ranks 2×2×2"));
}

BOOST_AUTO_TEST_CASE(a_folder_holds_the_files_of_one_method) {
  const SmallModel small;
  BOOST_REQUIRE(run(small.finetune("adapter")).exit_code == 0);
  BOOST_REQUIRE(run(small.finetune("whole") + "--adapter full").exit_code == 0);
  check_refused(small.finetune("adapter") + "--overwrite_output_dir --adapter full",
                "holds an adapter already (metatt_adapter.safetensors)");
  check_refused(small.finetune("whole") + "--overwrite_output_dir",
                "holds a model already (model.safetensors)");
  const std::string other = "expected another folder for the results than one that is read";
  check_refused(small.finetune("encoder") + "--overwrite_output_dir --adapter full", other);
  const std::string adapter = (small.folder / "adapter").string();
  for (const char* command : {"merge", "export"}) {
    const std::string into =
        std::string(command) + " --overwrite_output_dir --adapter " + adapter + " --output_dir ";
    check_refused(into + small.encoder, other);
    check_refused(into + adapter, other);
  }
  check_refused("export --overwrite_output_dir --adapter " + adapter + " --output_dir " +
                    (small.folder / "whole").string(),
                "holds a model already");
}

BOOST_AUTO_TEST_CASE(a_merged_model_cuts_texts_as_its_adapter_was_trained) {
  const SmallModel small;
  BOOST_REQUIRE(run(small.finetune("out") + "--max_seq_length 6").exit_code == 0);
  const std::string merged = (small.folder / "merged").string();
  BOOST_REQUIRE(
      run("merge --adapter " + (small.folder / "out").string() + " --output_dir " + merged)
          .exit_code == 0);
  const std::string evaluate = "eval --task cola --data " + small.suite + " --model " + merged;
  const auto result = [](const Run& done) {
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.output);
    return done.output.substr(done.output.find("result: "));
  };
  BOOST_TEST(result(run(evaluate)) == result(run(evaluate + " --max_seq_length 6")));
  BOOST_TEST(result(run(evaluate)) != result(run(evaluate + " --max_seq_length 64")));
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_is_an_error_of_evaluation) {
  const SmallModel small;
  BOOST_REQUIRE(run(small.finetune("whole") + "--adapter full").exit_code == 0);
  const auto weights = small.folder / "whole/model.safetensors";
  std::string bytes = metatt::transformer::read_file(weights);
  for (std::size_t i = bytes.size() - 1024; i < bytes.size(); i += 4)  // 2¹²⁷ each
    bytes.replace(i, 4, std::string("\0\0\0\x7f", 4));
  metatt::transformer::write_file_atomically(weights, bytes);
  const Run result = run("eval --task cola --data " + small.suite + " --model " +
                         (small.folder / "whole").string());
  BOOST_TEST(result.exit_code == 2);
  BOOST_CHECK_MESSAGE(result.has("eval: the loss on 800 examples is"), result.output);
}

BOOST_AUTO_TEST_CASE(pretraining_refuses_what_it_cannot_learn_from_before_it_writes) {
  const SmallModel small;
  const auto blank = small.folder.write("blank.txt", " \n\t\n\n");
  const auto no_mask = small.folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n");
  const auto gap = small.folder.write("gap.txt", "[PAD]\n[UNK]\n[CLS]\n\n[SEP]\n[MASK]\na\n");
  const std::string suite = small.suite, output = (small.folder / "never").string();
  const auto command = [&](const std::string& corpus, const std::string& vocabulary) {
    return "pretrain --output_dir " + output + " --corpus " + corpus + " --vocab " + vocabulary;
  };
  for (const auto& [arguments, fragment] : {
           std::pair(command(blank.string(), suite + "/vocab.txt"), "blank.txt: expected lines"),
           std::pair(command(suite + "/corpus.txt", no_mask.string()), "[MASK]"),
           std::pair(command(suite + "/corpus.txt", gap.string()), "gap.txt"),
       }) {
    const Run result = run(arguments);
    BOOST_TEST(result.exit_code == 2);
    BOOST_CHECK_MESSAGE(result.has(fragment), result.output);
    BOOST_TEST(!std::filesystem::exists(output));
  }
}

BOOST_AUTO_TEST_CASE(pretraining_that_diverges_leaves_a_model_that_can_be_read) {
  const SmallModel small;
  const std::string output = (small.folder / "exploded").string();
  const Run result =
      run("pretrain --hidden_size 16 --num_hidden_layers 1 --intermediate_size 16"
          " --num_attention_heads 2 --max_steps 9 --learning_rate 1e30 --warmup_ratio 0 --corpus " +
          small.suite + "/corpus.txt --vocab " + small.suite + "/vocab.txt --output_dir " + output);
  BOOST_TEST(result.exit_code == 2);
  BOOST_CHECK_MESSAGE(result.has("the last good state is in"), result.output);
  BOOST_TEST(run("inspect " + output + "/model.safetensors").exit_code == 0);
}

BOOST_AUTO_TEST_CASE(bad_input_is_refused_before_anything_is_written) {
  const SmallModel small;
  const std::string base = small.finetune("never");
  for (const auto& [arguments, fragment] :
       std::initializer_list<std::pair<std::string, std::string>>{
           {base + "--rank_schedule 0:4", "excludes"},
           {base + "--alpha nan", "alpha"},
           {base + "--learning_rate nan", "learning_rate"},
           {base + "--per_device_train_batch_size 9223372036854775807", "batch_size"},
           {base + "--max_seq_length 2", "max_seq_length"},
           {base + "--target_modules query,query", "target_modules"}}) {
    const Run result = run(arguments);
    BOOST_TEST(result.exit_code == 2);
    BOOST_CHECK_MESSAGE(result.has(fragment),
                        "expected \"" << fragment << "\" in " << result.output);
    BOOST_TEST(!std::filesystem::exists(small.folder / "never"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
