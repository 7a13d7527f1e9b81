/// metatt compress, and what export, merge and the others do with its results.

#include "../fixture_testing.hpp"
#include "program_testing.hpp"

using namespace metatt;
using namespace metatt::testing;

namespace {

void check_done(const std::string& arguments) {
  const Run result = run(arguments);
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
}

/// An encoder's LoRA, also in PEFT's layout.
struct SmallLora : SmallModel {
  std::string lora = (folder / "lora").string(), peft = (folder / "peft").string();

  SmallLora() {
    check_done(training("lora") + "--adapter lora --rank 2 --learning_rate 1e-2");
    check_done("export --adapter " + lora + " --output_dir " + peft);
  }
  std::string compress(const std::string& output, const std::string& adapter) const {
    return "compress --model " + encoder + " --adapter " + adapter + " --output_dir " +
           (folder / output).string() + " ";
  }
  /// Loss on the dev rows.
  double loss(const std::string& adapter) const {
    const std::string file = (folder / "eval.json").string();
    check_done("eval --adapter " + adapter + " --data " + suite + " --output_file " + file);
    return eval_loss(file);
  }
};

/// A decoder and two LoRA of it in PEFT's layout.
struct TwoLoras {
  TemporaryFolder folder;
  std::string base = (folder / "base").string(), out = (folder / "out").string();

  TwoLoras() {
    const auto corpus = folder.write("corpus.txt", std::string(200, 'a') + std::string(200, 'b'));
    check_done(
        "pretrain --objective causal --tokenizer bytes --hidden_size 16 --num_hidden_layers 2 "
        "--num_attention_heads 2 --intermediate_size 32 --max_seq_length 16 --max_steps 3 "
        "--corpus " +
        corpus.string() + " --output_dir " + base);
    for (const std::string task : {"0", "1"}) {
      const auto texts = folder.write(task + ".jsonl", "{\"text\": \"abc" + task + "\"}\n");
      check_done("finetune --model " + base + " --adapter lora --rank 2 --learning_rate 1e-2 " +
                 "--train_file " + texts.string() + " --output_dir " + name("lora", task));
      check_done("export --adapter " + name("lora", task) + " --output_dir " + name("peft", task));
    }
    check_done("compress --model " + base + " --adapter " + name("peft", "0") + " --adapter " +
               name("peft", "1") + " --output_dir " + out);
  }
  std::string name(const std::string& what, const std::string& task) const {
    return (folder / (what + task)).string();
  }
  double loss(const std::string& model, const std::string& task) const {
    const std::string file = (folder / "eval.json").string();
    check_done("eval " + model + " --validation_file " + name(task, ".jsonl") + " --output_file " +
               file);
    return eval_loss(file);
  }
};

BOOST_AUTO_TEST_SUITE(compress_program)

BOOST_AUTO_TEST_CASE(a_compressed_lora_at_full_rank_evaluates_as_the_lora_does) {
  const SmallLora small;
  const Run result = run(small.compress("tt", small.peft) + "--task_name cola");
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  BOOST_TEST(result.has("feed_forward") == false);
  BOOST_TEST(result.has("total: norm "));
  const std::string out = (small.folder / "tt").string();
  const double expected = small.loss(small.lora);
  BOOST_TEST(std::abs(small.loss(out) - expected) < 1e-5);
  const auto json = read_json(out + "/compression.json");
  BOOST_TEST(json["relative_error"].get<double>() < 1e-5);
  // Two layers of two matrices of width 16.
  BOOST_TEST(json["parameters_before"] == 2 * 2 * 2 * (16 + 16));
  BOOST_TEST((json["modes"] == std::vector<int>{16, 2, 2, 16}));
  const auto lines = tn::split_lines(tn::read_file(out + "/compression.csv"));
  BOOST_TEST(lines.size() == 5U);
  BOOST_TEST(lines[0] == "task,layer,matrix_type,norm,error,relative_error");
  BOOST_TEST(lines[4].starts_with("cola,1,value,"));
  // And so does what is exported from the result and compressed again.
  const std::string again = (small.folder / "again").string();
  check_done("export --adapter " + out + " --output_dir " + again);
  check_done(small.compress("tt2", again) +
             "--task_name cola --kind metatt4+1d --max_seq_length 9");
  const auto record = read_json(small.folder / "tt2/metatt_config.json");
  BOOST_TEST(record["max_seq_length"] == 9);
  BOOST_TEST((record["modes"] == std::vector<int>{16, 2, 1, 2, 16}));
  check_done(small.compress("tt3", again) + "--task_name cola");
  BOOST_TEST(std::abs(small.loss((small.folder / "tt3").string()) - expected) < 1e-5);
}

BOOST_AUTO_TEST_CASE(ranks_a_cutoff_and_a_budget_are_kept) {
  const SmallLora small;
  const auto summary = [&](const std::string& arguments) {
    check_done(small.compress("tt", small.peft) + "--task_name cola --overwrite_output_dir " +
               arguments);
    return read_json(small.folder / "tt/compression.json");
  };
  BOOST_TEST((summary("--rank 2")["ranks"] == std::vector<int>{2, 2, 2}));
  BOOST_TEST((summary("--rank 3,2,1")["ranks"] == std::vector<int>{3, 2, 1}));
  const auto cut = summary("--cutoff 0.1");
  BOOST_TEST(std::pow(cut["relative_error"].get<double>(), 2) <= 0.1);
  BOOST_TEST(cut["error"].get<double>() <= cut["error_bound"].get<double>() * (1 + 1e-5));
  BOOST_TEST(summary("--parameters 100")["parameters"].get<int>() <= 100);
}

BOOST_AUTO_TEST_CASE(a_larger_rank_than_updates_have_keeps_no_rounding_errors) {
  const SmallLora small;
  check_done(small.compress("tt", small.peft) + "--task_name cola --rank 2");
  check_done("export --adapter " + (small.folder / "tt").string() +
             " --format peft-lora --output_dir " + (small.folder / "exact").string());
  for (const char* target : {"--rank 5", "--parameters 400"}) {
    check_done(small.compress("again", (small.folder / "exact").string()) + "--task_name cola " +
               "--overwrite_output_dir " + target);
    const auto summary = read_json(small.folder / "again/compression.json");
    BOOST_TEST((summary["ranks"] == std::vector<int>{2, 2, 2}));
    BOOST_TEST(summary["relative_error"].get<double>() < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(what_compress_cannot_do_is_refused) {
  const SmallLora small;
  const std::string compress = small.compress("tt", small.peft);
  check_refused(compress, "expected --task, the task");
  check_refused(compress + "--task_name mnli", "has shape 2×16, expected 3×16");
  check_refused(compress + "--task_name colla", "colla");
  check_refused(compress + "--task_name cola --adapter " + small.peft + "2",
                "the task of each LoRA's head, 2 of them, found 1");
  check_refused(compress + "--task_name cola,cola --adapter " + small.peft, "each task once");
  check_refused(compress + "--task_name cola --kind lora", "expected metatt4d or metatt4+1d");
  check_refused(compress + "--task_name cola --rank 2 --cutoff 0.1", "excludes");
  check_refused(compress + "--task_name cola --rank 1,2", "expected one for all bonds or 3");
  check_refused(compress + "--task_name cola --cutoff 2", "expected a number from 0 to 1");
  check_refused(compress + "--task_name cola --parameters 35", "expected at least 36");
  check_refused(small.compress("tt", small.lora) + "--task_name cola", "adapter_config.json");
  check_refused(small.compress("peft", small.peft) + "--task_name cola",
                "expected another folder for the results");
  BOOST_TEST(!std::filesystem::exists(small.folder / "tt"));
}

BOOST_AUTO_TEST_CASE(several_loras_of_a_decoder_become_tasks_that_are_asked_for_by_name) {
  const TwoLoras two;
  const auto record = read_json(two.out + "/metatt_config.json");
  BOOST_TEST(record["adapter"] == "metatt4+1d");
  BOOST_TEST((record["tasks"] == std::vector<std::string>{"peft0", "peft1"}));
  for (const std::string task : {"0", "1"}) {
    const std::string merged = two.name("merged", task);
    check_done("merge --adapter " + two.out + " --task peft" + task + " --output_dir " + merged);
    check_done("export --adapter " + two.out + " --task peft" + task + " --output_dir " +
               two.name("again", task));
    const double own = two.loss("--adapter " + two.name("lora", task), task);
    BOOST_TEST(std::abs(two.loss("--model " + merged, task) - own) < 1e-4);
    const std::string chosen = "--adapter " + two.out + " --task peft" + task;
    BOOST_TEST(std::abs(two.loss(chosen, task) - own) < 1e-4);
    check_done("generate " + chosen + " --prompt a --max_new_tokens 2");
  }
  const std::string out = " --output_dir " + two.name("none", "");
  for (const std::string command : {"export", "merge"}) {
    check_refused(command + " --adapter " + two.out + out,
                  "task: expected one that the adapter has, peft0, peft1; found none");
    check_refused(command + " --adapter " + two.out + " --task lora" + out, "found \"lora\"");
    check_refused(command + " --adapter " + two.name("lora", "0") + " --task peft1" + out,
                  "has, causal_lm; found");
  }
  for (const std::string command : {"generate --prompt a", "choose --data DATA"})
    check_refused(command + " --task peft0 --model " + two.base, "--task requires --adapter");
  check_refused("generate --adapter " + two.out + " --prompt a",
                "task: expected one that the adapter has, peft0, peft1; found none");
  check_refused("compress --model " + two.base + " --adapter " + two.name("peft", "0") +
                    " --adapter " + two.name("peft", "1") + " --kind metatt4d" + out,
                "expected metatt4+1d for 2 tasks");
  BOOST_TEST(!std::filesystem::exists(two.name("none", "")));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
