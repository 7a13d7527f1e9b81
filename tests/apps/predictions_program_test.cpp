/// Predictions of classifiers, as the program writes them.

#include "program_testing.hpp"

#include <sstream>

using namespace metatt::testing;

BOOST_AUTO_TEST_SUITE(program)

BOOST_AUTO_TEST_CASE(predictions_of_a_classifier_are_a_table_of_labels) {
  const SmallModel small;
  BOOST_REQUIRE(run(small.finetune("out")).exit_code == 0);
  const auto folder = small.folder.write("test/test.tsv", "index\tsentence\n0\tone\n1\ttwo\n");
  const std::string adapter = " --adapter " + (small.folder / "out").string();
  const Run table = run("predict" + adapter + " --data " + folder.parent_path().string());
  BOOST_TEST(table.exit_code == 0);
  BOOST_TEST(table.lines() == 3);
  BOOST_TEST(table.output.starts_with("index\tprediction\n0\t"));
  // Where there are labels the two commands agree.
  const Run eval = run("eval" + adapter + " --data " + small.suite);
  BOOST_TEST(eval.has("result: 800 examples"));
  const std::string file = (small.folder / "dev.txt").string();
  BOOST_TEST(
      run("predict" + adapter + " --data " + small.suite + " --split dev --output_file " + file)
          .has("800 predictions"));
  check_refused("predict" + adapter + " --data " + small.suite + " --split none",
                "expected the file");
  check_refused("predict --data " + small.suite, "expected --adapter DIR, or --model DIR");
}

BOOST_AUTO_TEST_CASE(a_run_predicts_as_its_adapter_does_afterwards) {
  const SmallModel small;
  small.folder.write("suite/CoLA/test.tsv", "index\tsentence\n0\tone\n1\ttwo\n");
  const Run trained = run(small.finetune("out") + "--do_predict");
  BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.output);
  BOOST_TEST(trained.has("64 training and 800 development examples, 0 % padding (packed)"));
  BOOST_TEST(metatt::tn::read_file(small.folder / "out/log.jsonl").find("\"padding_share\":0") !=
             std::string::npos);
  for (const auto& [split, file] :
       {std::pair{"dev", "predict_results_cola_dev.txt"}, {"test", "predict_results_cola.txt"}}) {
    const auto again = small.folder / "again.txt";
    BOOST_REQUIRE(run("predict --adapter " + (small.folder / "out").string() + " --data " +
                      small.suite + " --split " + split + " --output_file " + again.string())
                      .exit_code == 0);
    BOOST_TEST(
        (metatt::tn::read_file(small.folder / "out" / file) == metatt::tn::read_file(again)));
  }
  BOOST_REQUIRE(run(small.finetune("out") + "--overwrite_output_dir").exit_code == 0);
  BOOST_TEST(!std::filesystem::exists(small.folder / "out/predict_results_cola.txt"));
  check_refused("finetune --model m --output_dir o --train_file t --do_predict", "--do_predict");
}

BOOST_AUTO_TEST_CASE(a_classifier_predicts_the_labels_that_its_config_names) {
  const SmallModel small;
  std::string training = small.training("whole") + "--adapter full";
  training.replace(training.find("--task cola"), 11, "--task rte ");
  BOOST_REQUIRE(run(training).exit_code == 0);
  const auto config = small.folder / "whole/config.json";
  const auto predictions = [&] {
    return run("predict --task rte --split dev --data " + small.suite + " --model " +
               (small.folder / "whole").string());
  };
  const std::string before = predictions().output;
  const std::string names = metatt::tn::read_file(config);
  const auto rename = [&](const std::string& first, const std::string& second) {
    std::string text = names;
    const auto begin = text.find("\"id2label\"");
    text.replace(begin, text.find('}', begin) + 1 - begin,
                 "\"id2label\": {\"0\": \"" + first + "\", \"1\": \"" + second + "\"}");
    metatt::tn::write_file_atomically(config, text);
  };
  rename("Not_Entailment", "Entailment");
  std::string swapped = predictions().output;
  BOOST_TEST(swapped != before);
  std::size_t rows = 0, same = 0;
  std::istringstream first(before), second(swapped);
  for (std::string a, b; std::getline(first, a) && std::getline(second, b); ++rows) same += a == b;
  BOOST_TEST(same == 1U);  // the header
  BOOST_TEST(rows > 100U);
  rename("yes", "no");
  BOOST_TEST(predictions().has("config.json: field \"id2label\""));
}

BOOST_AUTO_TEST_SUITE_END()
