#include "model_testing.hpp"

#include <metatt/transformer/class_labels.hpp>

using namespace metatt;
using namespace metatt::testing;

namespace {

BOOST_AUTO_TEST_SUITE(class_labels)

/// The outputs of the task's classes under these fields of config.json.
std::vector<Index> read(const char* task, const nlohmann::json& fields) {
  const TemporaryFolder folder;
  write_json(folder / "config.json", fields);
  return stored_outputs(folder / "config.json", find_glue_task(task));
}

nlohmann::json names(const std::vector<std::string>& labels) {
  nlohmann::json id2label;
  for (std::size_t i = 0; i < labels.size(); ++i) id2label[std::to_string(i)] = labels[i];
  return {{"id2label", id2label}};
}

void check_places(const char* task, const std::vector<std::string>& labels,
                  const std::vector<Index>& expected) {
  BOOST_TEST(read(task, names(labels)) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(outputs_are_found_by_the_names_of_the_classes) {
  check_places("rte", {"entailment", "not_entailment"}, {0, 1});
  check_places("rte", {"not_entailment", "entailment"}, {1, 0});
  // roberta-large-mnli
  check_places("mnli", {"CONTRADICTION", "NEUTRAL", "ENTAILMENT"}, {2, 1, 0});
  check_places("mnli", {"contradiction", "entailment", "neutral"}, {1, 2, 0});
  check_places("sst2", {"NEGATIVE", "POSITIVE"}, {0, 1});
  check_places("mrpc", {"equivalent", "not_equivalent"}, {1, 0});
  check_places("cola", {"1", "0"}, {1, 0});
  // wnli's classes in Hugging Face's data set are those of rte the other way round.
  check_places("wnli", {"not_entailment", "entailment"}, {0, 1});
}

BOOST_AUTO_TEST_CASE(outputs_without_names_are_in_the_order_of_the_task) {
  const std::vector<Index> in_order{0, 1, 2};
  for (const nlohmann::json& fields :
       {nlohmann::json{{"model_type", "bert"}}, nlohmann::json{{"id2label", nullptr}},
        names({"LABEL_0", "LABEL_1", "LABEL_2"})})
    BOOST_TEST(read("mnli", fields) == in_order, boost::test_tools::per_element());
  BOOST_TEST(read("stsb", names({"similarity"})) == std::vector<Index>{0},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(labels_of_another_task_are_refused_by_name) {
  const auto refuse = [](const char* task, const nlohmann::json& fields,
                         const std::vector<std::string_view>& fragments) {
    check_error([&] { read(task, fields); }, fragments);
  };
  refuse("rte", names({"negative", "positive"}),
         {"config.json", "\"id2label\"", "entailment, not_entailment", "\"positive\""});
  refuse("rte", names({"entailment", "entailment"}), {"\"id2label\"", "not_entailment"});
  refuse("rte", names({"entailment", "neutral", "contradiction"}), {"\"id2label\"", "found 3"});
  refuse("rte", {{"id2label", {{"0", "entailment"}, {"2", "not_entailment"}}}}, {"\"1\""});
  refuse("rte", {{"id2label", {{"0", 0}, {"1", 1}}}}, {"\"0\"", "string"});
  refuse("rte", {{"id2label", {"entailment", "not_entailment"}}}, {"\"id2label\"", "an object"});
  refuse("rte", {{"num_labels", 3}}, {"\"num_labels\"", "expected 2", "found 3"});
  refuse("stsb", {{"problem_type", "single_label_classification"}},
         {"\"problem_type\"", "expected \"regression\""});
  refuse("rte", {{"problem_type", "multi_label_classification"}},
         {"\"problem_type\"", "found \"multi_label_classification\""});
}

BOOST_AUTO_TEST_CASE(a_head_in_another_order_has_the_logits_of_the_task_s_classes) {
  const TemporaryFolder folder;
  write_small_model(folder / "base");
  const ClassifierModel<float> model(folder / "base", 3, Method::named("full", {}),
                                     HeadSource::fresh, 1);
  const tn::OutputFolder merged = tn::prepare_output_folder(folder / "merged", false);
  write_merged_model(merged, model, record_of("mnli", 12));
  auto config = parse_json(tn::read_file(merged / "config.json"), "config.json");
  config["id2label"] = {{"0", "contradiction"}, {"1", "entailment"}, {"2", "neutral"}};
  write_json(merged / "config.json", config);
  const TaskHead head{{}, 3, stored_outputs(merged / "config.json", find_glue_task("mnli"))};
  const ClassifierModel<float> read(merged.path, std::array{head}, Method::named("none", {}),
                                    HeadSource::from_model, 0);
  const Batch batch = pack(random_examples(4, 1));
  const auto stored = logits_of(model, batch), found = logits_of(read, batch);
  for (std::size_t row = 0; row < stored.size(); row += 3) {
    BOOST_TEST(found[row] == stored[row + 1]);      // entailment
    BOOST_TEST(found[row + 1] == stored[row + 2]);  // neutral
    BOOST_TEST(found[row + 2] == stored[row]);      // contradiction
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
