/// The program as its users meet it: started as a process, judged by exit code and output.

#include <nlohmann/json.hpp>

#include "program_testing.hpp"

using namespace metatt::testing;

namespace {

/// finetune with a file of settings and nothing else is refused with the fragment.
void check_file_refused(const std::string& contents, const std::string& fragment) {
  const TemporaryFolder folder;
  check_refused("finetune --config " + folder.write("run.conf", contents).string(), fragment);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(program)

BOOST_AUTO_TEST_CASE(it_says_its_version_and_helps) {
  BOOST_TEST(run("--version").has("metatt "));
  const Run help = run("finetune --help");
  BOOST_TEST(help.exit_code == 0);
  for (const char* flag :
       {"--learning_rate", "--rank_schedule", "--config", "--per_device_train_batch_size"})
    BOOST_TEST(help.has(flag));
  BOOST_TEST(help.has("Usage: metatt finetune [OPTIONS]"));
  BOOST_TEST(run("bench step --help").has("Usage: metatt bench step [OPTIONS]"));
}

BOOST_AUTO_TEST_CASE(unknown_words_get_the_nearest_known_one) {
  check_refused("finetun", "did you mean \"finetune\"");
  check_refused("finetune --lerning_rate 1", "did you mean \"--learning_rate\"");
  check_refused("finetune --modle x", "did you mean \"--model\"");  // two letters swapped
  check_refused("bench stp", "did you mean \"step\"");
  check_refused("bench step --sample 3", "did you mean \"--samples\"");
  check_refused("finetune --batch_size 3", "did you mean \"--per_device_eval_batch_size\"");
  check_refused("finetune --warmup 3", "did you mean \"--warmup_ratio\"");
  check_refused("finetune --target query", "did you mean \"--target_modules\"");
  for (const char* typed : {"finetune --fp16", "generate --do_sample", "frobnicate"}) {
    const Run result = run(typed);
    BOOST_CHECK_MESSAGE(result.has("unknown argument") && !result.has("did you mean"),
                        result.output);
  }
  check_refused("finetune --overwrite_output_dir True", "unexpected argument \"True\"");
  check_refused("finetune -- --rank", "unexpected argument \"--rank\" after \"--\"");
}

BOOST_AUTO_TEST_CASE(a_config_file_gives_settings_that_the_command_line_overrides) {
  const SmallModel small;
  const auto config = small.folder.write(
      "run.conf", "# a run\nlearning_rate = 0.002\nseed=7\ntarget_modules = key,value\n");
  const Run result = run(small.finetune("out") + "--config " + config.string() + " --seed 8");
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  const std::string log = metatt::tn::read_file(small.folder / "out/log.jsonl");
  BOOST_TEST(log.find("\"learning_rate\":0.002") != std::string::npos);
  BOOST_TEST(log.find("\"seed\":8") != std::string::npos);
  const std::string record = metatt::tn::read_file(small.folder / "out/metatt_config.json");
  BOOST_TEST(record.find("\"key\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_folder_of_results_is_inspected_by_its_main_file) {
  const SmallModel small;
  BOOST_TEST(run("inspect " + small.encoder).output ==
             run("inspect " + small.encoder + "/model.safetensors").output);
  check_refused("inspect " + small.suite, "expected a safetensors file, or a folder with one of");
}

BOOST_AUTO_TEST_CASE(a_decoder_is_fine_tuned_on_texts_and_goes_on_with_them) {
  const TemporaryFolder folder;
  const auto corpus = folder.write("corpus.txt", std::string(200, 'a') + std::string(200, 'b'));
  const auto texts = folder.write("texts.jsonl",
                                  "{\"prompt\": \"ab\", \"completion\": \"c\"}\n"
                                  "{\"text\": \"abc abc\"}\n");
  const std::string base = (folder / "base").string(), out = (folder / "out").string();
  const Run pretrained =
      run("pretrain --objective causal --tokenizer bytes --hidden_size 16 --num_hidden_layers 1 "
          "--num_attention_heads 2 --intermediate_size 32 --max_seq_length 16 --max_steps 3 "
          "--corpus " +
          corpus.string() + " --output_dir " + base);
  BOOST_REQUIRE_MESSAGE(pretrained.exit_code == 0, pretrained.output);
  const std::string command = "finetune --model " + base + " --adapter lora --output_dir " + out;
  const Run tuned =
      run(command + " --train_file " + texts.string() + " --validation_file " + texts.string());
  BOOST_REQUIRE_MESSAGE(tuned.exit_code == 0, tuned.output);
  BOOST_TEST(tuned.has("2 training and 2 development texts"));
  BOOST_TEST(tuned.has("perplexity"));
  for (const char* file : {"metatt_adapter.safetensors", "trainer_state.json", "train_results.json",
                           "eval_results.json", "log.jsonl", "README.md", "runs"})
    BOOST_TEST(std::filesystem::exists(out + "/" + file), file);
  const auto json_of = [&](const std::string& file) {
    return nlohmann::json::parse(metatt::tn::read_file(out + "/" + file));
  };
  for (const char* field :
       {"train_loss", "train_runtime", "train_steps", "train_tokens_per_second", "peak_memory_mb"})
    BOOST_TEST(json_of("train_results.json").value(field, 0.0) > 0, field);
  BOOST_TEST(json_of("eval_results.json").contains("eval_perplexity"));
  BOOST_TEST(json_of("trainer_state.json").at("global_step") ==
             json_of("train_results.json").at("train_steps"));
  BOOST_TEST(metatt::tn::read_file(out + "/README.md")
                 .starts_with("---\nlibrary_name: metatt\nbase_model: "));
  BOOST_TEST(run("generate --adapter " + out + " --prompt ab --max_new_tokens 3").exit_code == 0);
  BOOST_TEST(run("eval --adapter " + out + " --validation_file " + texts.string())
                 .has("result: 2 texts, loss "));
  BOOST_TEST(
      run("export --adapter " + out + " --output_dir " + (folder / "peft").string()).exit_code ==
      0);
  check_refused(command + "2", "expected --task and --data, or --train_file");
  check_refused("eval --adapter " + out + " --data " + folder.path().string(),
                "found that of a language model");
}

BOOST_AUTO_TEST_CASE(the_command_line_drops_what_it_excludes_from_the_config_file) {
  const SmallModel small;
  const std::string base = "finetune --model " + small.encoder + " --task cola --data " +
                           small.suite + " --max_train_samples 64 --num_train_epochs 2 ";
  const auto rank = small.folder.write("rank.conf", "rank = 8\n");
  const auto schedule = small.folder.write("schedule.conf", "rank_schedule = 0:4,1:2\n");
  const Run swept = run(base + "--rank_schedule 0:3,1:2 --config " + rank.string() +
                        " --output_dir " + (small.folder / "swept").string());
  BOOST_CHECK_MESSAGE(swept.exit_code == 0 && swept.has("3→2"), swept.output);
  const Run weighted = run(base + "--rank_schedule 0:3,1:2 --activation_weighted --output_dir " +
                           (small.folder / "weighted").string());
  BOOST_CHECK_MESSAGE(weighted.exit_code == 0 && weighted.has("3→2"), weighted.output);
  const Run constant = run(base + "--rank=3 --config " + schedule.string() + " --output_dir " +
                           (small.folder / "constant").string());
  BOOST_CHECK_MESSAGE(constant.exit_code == 0 && !constant.has("sweep"), constant.output);
  check_file_refused("rank = 8\n\nrank_schedule = 0:4,1:2\n",
                     "run.conf: line 3: \"rank_schedule\" excludes \"rank\" of line 1");
}

BOOST_AUTO_TEST_CASE(a_bad_value_is_refused_with_what_was_expected_and_found) {
  for (const auto& [flag, message] : std::initializer_list<std::pair<std::string, std::string>>{
           {"--learning_rate abc", "--learning_rate: expected a number above 0, found \"abc\""},
           {"--learning_rate -1", "--learning_rate: expected a number above 0, found \"-1\""},
           {"--weight_decay inf", "--weight_decay: expected a number of at least 0, found \"inf\""},
           {"--warmup_ratio 2", "--warmup_ratio: expected a number from 0 to 1, found \"2\""},
           {"--alpha x", "--alpha: expected a number, found \"x\""},
           {"--num_train_epochs 2.5",
            "--num_train_epochs: expected a whole number of at least 1, found \"2.5\""},
           {"--num_train_epochs 0.0", "expected a whole number of at least 1, found \"0.0\""},
           {"--max_steps 99999999999999999999",
            "--max_steps: expected a whole number of at most 9223372036854775807"},
           {"--rank 0", "--rank: expected a whole number of at least 1, found \"0\""},
           {"--threads 2000", "--threads: expected a whole number of at most 1024, found \"2000\""},
           {"--seed -1", "--seed: expected a whole number of at least 0, found \"-1\""},
           {"--sweep papr", "--sweep: expected paper or rounding, found \"papr\""},
           {"--no_dropout=maybe", "--no_dropout: expected true or false, found \"maybe\""},
           {"--rank_schedule ''", "--rank_schedule: expected WHEN:WHAT,…, found \"\""},
           {"--output_dir ''", "--output_dir: expected a folder, found \"\""},
           {"--max_steps", "--max_steps: expected a value, found none"}})
    check_refused("finetune " + flag, message);
  check_refused("pretrain --hidden_size 0", "--hidden_size: expected a whole number of at least 1");
  check_refused("suite --seed x", "--seed: expected a whole number of at least 0, found \"x\"");
  check_refused("bench step --samples 1.5", "--samples: expected a whole number of at least 1");
}

BOOST_AUTO_TEST_CASE(a_whole_number_may_have_a_point_and_a_seed_all_64_bits) {
  const SmallModel small;
  const auto config =
      small.folder.write("run.conf", "num_train_epochs = 2.0\nseed = 18446744073709551615\n");
  const Run result = run("finetune --model " + small.encoder + " --task cola --data " +
                         small.suite + " --max_train_samples 16 --output_dir " +
                         (small.folder / "out").string() + " --config " + config.string());
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  BOOST_TEST(result.has("epoch 1: "));
  BOOST_TEST(!result.has("epoch 2: "));
  const std::string log = metatt::tn::read_file(small.folder / "out/log.jsonl");
  BOOST_TEST(log.find("\"seed\":18446744073709551615") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_error_in_a_config_file_names_its_line) {
  check_file_refused("# a run\nseed = 1\nlearning_rate = abc\n",
                     "run.conf: line 3: learning_rate: expected a number above 0, found \"abc\"");
  check_file_refused("\nno_dropout = maybe\n",
                     "run.conf: line 2: no_dropout: expected true or false, found \"maybe\"");
  check_file_refused("output_dir =\nseed = 1\n",
                     "run.conf: line 1: output_dir: expected a value, found none");
  check_file_refused("seed = 1\nrank = 2\nseed = 3\n",
                     "run.conf: line 3: \"seed\" repeats \"seed\" of line 1");
  check_file_refused("model = a\nmodel_name_or_path = b\n",
                     "line 2: \"model_name_or_path\" repeats \"model\" of line 1");
  check_file_refused("config = b\n",
                     "run.conf: line 1: \"config\" can be given on the command line only");
}

BOOST_AUTO_TEST_CASE(a_setting_that_is_wrong_for_the_run_is_found_in_its_file) {
  const SmallModel small;
  for (const auto& [line, fragment] :
       {std::pair("rank_schedule = 0:8,1:0", "run.conf: line 2: rank_schedule: "),
        std::pair("task = foo", "run.conf: line 2: task: "),
        std::pair("target_modules = foo", "run.conf: line 2: target_modules: ")}) {
    const auto config = small.folder.write("run.conf", "seed = 1\n" + std::string(line) + "\n");
    const Run result = run("finetune --config " + config.string() + " --adapter metatt4d --model " +
                           small.encoder + " --data " + small.suite + " --output_dir " +
                           (small.folder / "never").string() +
                           (std::string(line).starts_with("task") ? "" : " --task cola"));
    BOOST_TEST(result.exit_code == 2);
    BOOST_CHECK_MESSAGE(result.has(fragment), result.output);
  }
}

BOOST_AUTO_TEST_CASE(a_byte_order_mark_before_the_first_setting_is_skipped) {
  check_file_refused("\xEF\xBB\xBFseed = x\n", "run.conf: line 1: seed: expected a whole number");
}

BOOST_AUTO_TEST_CASE(lost_output_is_an_error) {
  const SmallModel small;
  for (const std::string& arguments :
       {"inspect " + small.encoder + "/model.safetensors",
        "suite --output_dir " + (small.folder / "lost").string(), std::string("--help")}) {
    const Run result = run(arguments, "2>&1 > /dev/full");
    BOOST_TEST(result.exit_code == 2);
    BOOST_TEST(result.output == "metatt: standard output could not be written\n");
  }
}

BOOST_AUTO_TEST_CASE(control_characters_do_not_reach_the_terminal) {
  check_file_refused("\x1b[31mé…\x7f\xc2\x9b = 1\n", "\"\\x1b[31mé…\\x7f\\xc2\\x9b\"");
  check_file_refused("a\rb = 1\n", "\"a\\x0db\"");
  check_file_refused("a\x9b\xc3 = 1\n", "\"a\\x9b\\xc3\"");
  const Run result = run("finetune --" + std::string(5000, 'x'));
  BOOST_TEST(result.output.size() < 2100);
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
    return metatt::tn::read_file(small.folder / name);
  };
  const std::string evaluate = "eval --data " + small.suite + " --output_file ";
  BOOST_TEST(
      run(evaluate + (small.folder / "again").string() + " --adapter " + adapter).exit_code == 0);
  BOOST_TEST(results("again") == results("out/eval_results.json"));
  const std::string merged = (small.folder / "merged").string();
  BOOST_TEST(run("merge --adapter " + adapter + " --output_dir " + merged).exit_code == 0);
  BOOST_TEST(run(evaluate + (small.folder / "whole").string() + " --task cola --model " + merged)
                 .exit_code == 0);
  BOOST_TEST(eval_loss(small.folder / "whole") == eval_loss(small.folder / "out/eval_results.json"),
             boost::test_tools::tolerance(1e-6));
  const std::string lora = (small.folder / "lora").string();
  BOOST_TEST(
      run("export --format peft-lora --adapter " + adapter + " --output_dir " + lora).exit_code ==
      0);
  BOOST_TEST(run("inspect " + adapter + "/metatt_adapter.safetensors").has("ranks 2×2×2"));
}

BOOST_AUTO_TEST_CASE(an_adapter_that_lora_cannot_express_leaves_no_folder_behind) {
  const SmallModel small;
  BOOST_REQUIRE(run(small.training("out") + "--adapter dora --rank 2").exit_code == 0);
  const auto exported = small.folder / "peft";
  check_refused(
      "export --adapter " + (small.folder / "out").string() + " --output_dir " + exported.string(),
      "export: dora also sets the norms of a matrix");
  BOOST_TEST(!std::filesystem::exists(exported));
}

BOOST_AUTO_TEST_CASE(a_folder_holds_the_files_of_one_method) {
  const SmallModel small;
  BOOST_REQUIRE(run(small.finetune("adapter")).exit_code == 0);
  BOOST_REQUIRE(run(small.full("whole")).exit_code == 0);
  check_refused(small.full("adapter") + "--overwrite_output_dir",
                "holds an adapter already (metatt_adapter.safetensors)");
  check_refused(small.finetune("whole") + "--overwrite_output_dir",
                "holds a model already (model.safetensors)");
  const std::string other = "expected another folder for the results than one that is read";
  check_refused(small.full("encoder") + "--overwrite_output_dir", other);
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
  BOOST_REQUIRE(run(small.full("whole")).exit_code == 0);
  const auto weights = small.folder / "whole/model.safetensors";
  std::string bytes = metatt::tn::read_file(weights);
  for (std::size_t i = bytes.size() - 1024; i < bytes.size(); i += 4)  // 2¹²⁷ each
    bytes.replace(i, 4, std::string("\0\0\0\x7f", 4));
  metatt::tn::write_file_atomically(weights, bytes);
  const Run result = run("eval --task cola --data " + small.suite + " --model " +
                         (small.folder / "whole").string());
  BOOST_TEST(result.exit_code == 2);
  BOOST_CHECK_MESSAGE(result.has("eval: the loss on 800 examples is"), result.output);
}

BOOST_AUTO_TEST_CASE(pretraining_refuses_what_it_cannot_learn_from_before_it_writes) {
  const SmallModel small;
  const auto blank = small.folder.write("blank.txt", " \n\t\n\n");
  const TemporaryFolder no_mask, gap;
  no_mask.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n");
  gap.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n\n[SEP]\n[MASK]\na\n");
  const std::string suite = small.suite, output = (small.folder / "never").string();
  const auto command = [&](const std::string& corpus, const std::filesystem::path& tokenizer) {
    return "pretrain --output_dir " + output + " --corpus " + corpus + " --tokenizer " +
           tokenizer.string();
  };
  for (const auto& [arguments, fragment] : {
           std::pair(command(blank.string(), suite), "blank.txt: expected lines"),
           std::pair(command(suite + "/corpus.txt", no_mask.path()), "[MASK]"),
           std::pair(command(small.encoder + "/model.safetensors", suite),
                     "expected UTF-8, found something else at byte "),
           std::pair(command(suite + "/corpus.txt", gap.path()), "vocab.txt"),
       }) {
    const Run result = run(arguments);
    BOOST_TEST(result.exit_code == 2);
    BOOST_CHECK_MESSAGE(result.has(fragment), result.output);
    BOOST_TEST(!std::filesystem::exists(output));
  }
}

BOOST_AUTO_TEST_CASE(alpha_is_divided_by_the_rank_or_its_root_if_asked) {
  const SmallModel small;
  for (const auto& [scaling, alpha] : std::initializer_list<std::pair<std::string, std::string>>{
           {"none", "2.0"}, {"rank", "0.5"}, {"root_rank", "1.0"}}) {
    const Run result =
        run(small.training(scaling) + "--adapter lora --rank 4 --alpha 2 --scaling " + scaling);
    BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
    const std::string record = metatt::tn::read_file(small.folder / scaling / "metatt_config.json");
    BOOST_CHECK_MESSAGE(record.find("\"alpha\": " + alpha) != std::string::npos, record);
  }
}

BOOST_AUTO_TEST_CASE(pretraining_that_diverges_leaves_a_model_that_can_be_read) {
  const SmallModel small;
  const std::string output = (small.folder / "exploded").string();
  const Run result =
      run("pretrain --hidden_size 16 --num_hidden_layers 1 --intermediate_size 16"
          " --num_attention_heads 2 --max_steps 9 --learning_rate 1e30 --warmup_ratio 0 --corpus " +
          small.suite + "/corpus.txt --tokenizer " + small.suite + " --output_dir " + output);
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
           {base + "--sweep paper", "--sweep: is for the changes of a --rank_schedule, found none"},
           {base + "--alpha nan", "alpha"},
           {base + "--learning_rate nan", "learning_rate"},
           {base + "--per_device_train_batch_size 9223372036854775807", "batch_size"},
           {base + "--max_seq_length 2", "max_seq_length"},
           {base + "--adapter full", "--rank: --adapter full has no use for it"},
           {small.training("never") + "--adapter vera --rank_schedule 0:4",
            "--rank_schedule: --adapter vera has no use for it"},
           {base + "--target_modules query,query", "target_modules"}}) {
    const Run result = run(arguments);
    BOOST_TEST(result.exit_code == 2);
    BOOST_CHECK_MESSAGE(result.has(fragment),
                        "expected \"" << fragment << "\" in " << result.output);
    BOOST_TEST(!std::filesystem::exists(small.folder / "never"));
  }
}

BOOST_AUTO_TEST_CASE(a_decoder_is_fine_tuned_merged_and_exported_as_a_classifier_of_pairs) {
  const TemporaryFolder folder;
  const auto in = [&](const char* name) { return (folder / name).string(); };
  BOOST_REQUIRE(run("suite --output_dir " + in("suite")).exit_code == 0);
  const Run pretrained =
      run("pretrain --objective causal --tokenizer bytes --hidden_size 16 --num_hidden_layers 2"
          " --num_attention_heads 2 --intermediate_size 32 --max_seq_length 48 --max_steps 2"
          " --corpus " +
          in("suite/corpus.txt") + " --output_dir " + in("gpt2"));
  BOOST_REQUIRE_MESSAGE(pretrained.exit_code == 0, pretrained.output);
  const Run trained =
      run("finetune --task rte --rank 2 --max_train_samples 48"
          " --num_train_epochs 1 --max_seq_length 40 --model " +
          in("gpt2") + " --data " + in("suite") + " --output_dir " + in("out"));
  BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.output);
  BOOST_TEST(trained.has("head parameters 32"));  // without bias

  BOOST_TEST(run("merge --adapter " + in("out") + " --output_dir " + in("merged")).exit_code == 0);
  BOOST_TEST(run("eval --task rte --data " + in("suite") + " --model " + in("merged") +
                 " --output_file " + in("whole"))
                 .exit_code == 0);
  BOOST_TEST(eval_loss(in("whole")) == eval_loss(in("out/eval_results.json")),
             boost::test_tools::tolerance(1e-6));
  const std::string config = metatt::tn::read_file(folder / "merged/config.json");
  for (const char* field :
       {"\"GPT2ForSequenceClassification\"", "\"pad_token_id\": 256", "\"not_entailment\": 1"})
    BOOST_TEST(config.find(field) != std::string::npos, field);
  BOOST_TEST(std::filesystem::exists(folder / "merged/tokenizer.json"));

  BOOST_TEST(run("export --adapter " + in("out") + " --output_dir " + in("lora")).exit_code == 0);
  const Run shown = run("inspect " + in("lora") + "/adapter_model.safetensors");
  BOOST_TEST(shown.has("base_model.model.transformer.h.1.attn.c_attn.lora_B.weight"));
  BOOST_TEST(shown.has("base_model.model.score.weight"));
  check_refused("eval --data " + in("suite") + " --task rte --model " + in("gpt2"),
                "expected a tensor \"score.weight\"");
  BOOST_TEST(run("finetune --task rte --max_seq_length 1 --model " + in("gpt2") + " --data " +
                 in("suite") + " --output_dir " + in("never"))
                 .has("max_seq_length: expected at least 2"));
}

BOOST_AUTO_TEST_SUITE_END()
