/// Several tasks in one adapter, and one more, as their users meet them.

#include "program_testing.hpp"

#include <metatt/transformer/json.hpp>

#include <nlohmann/json.hpp>

using namespace metatt::testing;

namespace {

/// A small adapter of two tasks of the suite.
struct TwoTasks {
  SmallModel small;
  std::string out = (small.folder / "two").string();
  std::string train = "finetune --threads 1 --model " + small.encoder +
                      " --task cola,stsb --data " + small.suite +
                      " --adapter metatt4+1d --max_train_samples 48 --num_train_epochs 2 "
                      "--learning_rate 1e-2 --output_dir ";

  explicit TwoTasks(const std::string& ranks = " --rank 2") {
    const Run trained = run(train + out + ranks);
    BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.output);
  }
  std::string add(const std::string& task, const std::string& output) const {
    return "add-task --threads 1 --adapter " + out + " --task " + task + " --data " + small.suite +
           " --max_train_samples 48 --num_train_epochs 2 --output_dir " +
           (small.folder / output).string();
  }
  nlohmann::json json(const std::string& file) const {
    const auto path = (small.folder / file).string();
    return metatt::transformer::parse_json(metatt::tn::read_file(path), path);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(multi_task_program)

BOOST_AUTO_TEST_CASE(tasks_are_trained_together_and_each_has_its_metric) {
  const TwoTasks two;
  const auto results = two.json("two/eval_results.json");
  const double cola = results["eval_cola_matthews_correlation"],
               stsb = (results["eval_stsb_pearson"].get<double>() +
                       results["eval_stsb_spearmanr"].get<double>()) /
                      2;
  BOOST_TEST(results["eval_average"].get<double>() == (cola + stsb) / 2,
             boost::test_tools::tolerance(1e-9));
  BOOST_TEST(
      (two.json("two/metatt_config.json")["tasks"] == std::vector<std::string>{"cola", "stsb"}));

  const std::string adapter = " --adapter " + two.out + " --data " + two.small.suite;
  const std::string file = (two.small.folder / "eval.json").string();
  const Run all = run("eval" + adapter + " --threads 1 --output_file " + file);
  BOOST_TEST(all.has("examples of cola, loss "));
  BOOST_TEST(all.has("examples of stsb, loss "));
  BOOST_TEST(two.json("eval.json")["eval_cola_matthews_correlation"].get<double>() == cola);
  BOOST_TEST(run("eval" + adapter + " --task stsb").has("pearson"));
  BOOST_TEST(run("predict" + adapter + " --task stsb --split dev")
                 .output.starts_with("index\tprediction"));
  for (const std::string task : {"cola", "stsb"}) {
    const std::string merged = (two.small.folder / ("merged-" + task)).string();
    BOOST_TEST(run("merge --adapter " + two.out + " --task " + task + " --output_dir " + merged)
                   .exit_code == 0);
    BOOST_TEST(run("eval --model " + merged + " --task " + task + " --data " + two.small.suite)
                   .exit_code == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_task_is_added_and_the_others_stay_as_they_are) {
  const TwoTasks two;
  const Run added = run(two.add("rte", "three"));
  BOOST_REQUIRE_MESSAGE(added.exit_code == 0, added.output);
  BOOST_TEST(added.has("adapter parameters 4, "));  // 2 × 2
  const auto evaluate = [&](const std::string& adapter) {
    const std::string file = (two.small.folder / "eval.json").string();
    BOOST_REQUIRE(run("eval --threads 1 --adapter " + adapter + " --data " + two.small.suite +
                      " --output_file " + file)
                      .exit_code == 0);
    return two.json("eval.json");
  };
  const auto before = evaluate(two.out), after = evaluate((two.small.folder / "three").string());
  for (const auto& [name, value] : before.items())
    if (name != "eval_loss" && name != "eval_average") BOOST_TEST(after[name] == value, name);
  BOOST_TEST(after.contains("eval_rte_accuracy"));
  BOOST_TEST(!before.contains("eval_rte_accuracy"));
}

BOOST_AUTO_TEST_CASE(a_task_that_is_being_added_goes_on_with_the_same_adapter_only) {
  const TwoTasks two;
  const std::string out = (two.small.folder / "three").string();
  BOOST_REQUIRE(run(two.add("rte", "three")).exit_code == 0);
  const std::string whole = metatt::tn::read_file(out + "/metatt_adapter.safetensors");
  const auto interrupt = [&] {  // as a kill behind the first epoch leaves it
    std::filesystem::remove_all(out + "/checkpoint-6");
    std::filesystem::remove(out + "/metatt_adapter.safetensors");
  };
  interrupt();
  const Run resumed = run(two.add("rte", "three") + " --resume");
  BOOST_TEST(resumed.has("resumed after step 3 of 6"));
  BOOST_TEST(metatt::tn::read_file(out + "/metatt_adapter.safetensors") == whole);
  interrupt();
  BOOST_REQUIRE(run(two.train + two.out + " --rank 2 --seed 7 --overwrite_output_dir").exit_code ==
                0);
  const Run other = run(two.add("rte", "three") + " --resume");
  BOOST_TEST(other.exit_code == 2);
  BOOST_TEST(!other.has("resumed"));
}

BOOST_AUTO_TEST_CASE(a_run_of_several_tasks_that_was_interrupted_ends_with_the_same_bits) {
  const TwoTasks two(" --rank_schedule 0:3,1:2");
  const std::string again = (two.small.folder / "again").string();
  const std::string command = two.train + again + " --rank_schedule 0:3,1:2";
  BOOST_REQUIRE(run(command).exit_code == 0);
  // As a kill behind the first epoch leaves it.
  const std::string last = again + "/checkpoint-12";
  BOOST_REQUIRE(std::filesystem::exists(last));
  std::filesystem::remove_all(last);
  for (const char* file : {"metatt_adapter.safetensors", "train_results.json"})
    std::filesystem::remove(again + "/" + file);
  const Run resumed = run(command + " --resume");
  BOOST_TEST(resumed.has("resumed after step 6 of 12"));
  BOOST_TEST(metatt::tn::read_file(again + "/metatt_adapter.safetensors") ==
             metatt::tn::read_file(two.out + "/metatt_adapter.safetensors"));
}

BOOST_AUTO_TEST_CASE(what_tasks_cannot_be_is_refused) {
  const TwoTasks two;
  const std::string adapter = " --adapter " + two.out + " --data " + two.small.suite;
  const std::string none = " --output_dir " + (two.small.folder / "none").string();
  check_refused("eval" + adapter + " --task rte",
                "expected one that the adapter has, cola, stsb; found \"rte\"");
  check_refused("eval" + adapter + " --split dev", "--split: is for one task");
  check_refused("predict" + adapter + " --split dev", "--task: expected one of the 2");
  check_refused("merge --adapter " + two.out + none, "found none");
  check_refused("export --adapter " + two.out + " --task qnli" + none, "found \"qnli\"");
  check_refused(two.add("cola", "none"), "does not have, cola, stsb; found \"cola\"");
  check_refused(two.add("colla", "none"), "colla");
  check_refused(two.small.finetune("none") + "--task cola,cola", "each task once");
  check_refused(two.small.finetune("none") + "--task_temperature 2", "is for several tasks");
  check_refused("finetune --adapter full --task cola,stsb --model " + two.small.encoder +
                    " --data " + two.small.suite + none,
                "a whole model has one head");
  BOOST_REQUIRE(run(two.small.finetune("one")).exit_code == 0);
  check_refused("add-task --adapter " + (two.small.folder / "one").string() +
                    " --task stsb --data " + two.small.suite + none,
                "found metatt4d");
  BOOST_TEST(!std::filesystem::exists(two.small.folder / "none"));
}

BOOST_AUTO_TEST_SUITE_END()
