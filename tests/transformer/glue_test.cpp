#include <boost/test/unit_test.hpp>

#include <metatt/transformer/glue.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using boost::unit_test::precondition;
using metatt::testing::check_error;
using metatt::testing::has_shared_data;
using metatt::testing::shared_data;
using metatt::testing::TemporaryFolder;

BOOST_AUTO_TEST_SUITE(glue)

const std::string mrpc_header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";

std::vector<GlueRow> read_text(const char* task, const std::string& text) {
  const TemporaryFolder folder;
  folder.write("train.tsv", text);
  return read_glue(folder.path(), find_glue_task(task), "train");
}

void check_refused(const char* task, const std::string& text,
                   std::initializer_list<std::string_view> fragments) {
  check_error([&] { read_text(task, text); }, {"train.tsv"});
  check_error([&] { read_text(task, text); }, fragments);
}

BOOST_AUTO_TEST_CASE(quotes_are_text_and_columns_are_found_by_the_header) {
  const auto rows = read_text("mrpc", mrpc_header + "1\t7\t8\t\"A b\t'c' \"\"d\n0\t9\t10\te\tf\n");
  BOOST_REQUIRE(rows.size() == 2u);
  BOOST_TEST(rows[0].sentence1 == "\"A b");
  BOOST_TEST(rows[0].sentence2.value() == "'c' \"\"d");
  BOOST_TEST(rows[0].label == 1);
  BOOST_TEST(rows[1].label == 0);
  const auto swapped = read_text("rte", "label\tsentence2\tsentence1\nnot_entailment\tb\ta\n");
  BOOST_TEST(swapped.at(0).sentence1 == "a");
  BOOST_TEST(swapped.at(0).label == 1);
}

BOOST_AUTO_TEST_CASE(a_file_without_header_keeps_its_first_line) {
  const auto rows = read_text("cola", "gj04\t1\t\tHe sleeps.\ngj04\t0\t*\tHe sleep.");
  BOOST_REQUIRE(rows.size() == 2u);
  BOOST_TEST(rows[0].sentence1 == "He sleeps.");
  BOOST_TEST(!rows[0].sentence2.has_value());
  BOOST_TEST(rows[1].sentence1 == "He sleep.");
  BOOST_TEST(rows[1].label == 0);
}

BOOST_AUTO_TEST_CASE(byte_order_mark_carriage_returns_and_a_missing_last_newline_are_accepted) {
  const std::string plain = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n";
  const std::string windows =
      "\xEF\xBB\xBFindex\tsentence1\tsentence2\tlabel\r\n0\ta\tb\tentailment";
  for (const std::string& text : {plain, windows, windows + "\r\n"}) {
    const auto rows = read_text("rte", text);
    BOOST_REQUIRE(rows.size() == 1u);
    BOOST_TEST(rows[0].sentence1 == "a");
    BOOST_TEST(rows[0].label == 0);
  }
}

BOOST_AUTO_TEST_CASE(scores_are_read_as_numbers) {
  const auto rows = read_text("stsb", "sentence1\tsentence2\tscore\na\tb\t3.250\nc\td\t0\n");
  BOOST_TEST(rows.at(0).label == 3.25);
  BOOST_TEST(rows.at(1).label == 0);
}

BOOST_AUTO_TEST_CASE(wrong_lines_are_refused_with_file_and_line) {
  check_refused("mrpc", mrpc_header + "1\t7\t8\ta\tb\n1\t7\t8\ta\n",
                {":3:", "5 columns", "found 4"});
  check_refused("mrpc", mrpc_header + "1\t7\t8\ta\tb\n\n", {":3:", "found 1"});
  check_refused("mrpc", mrpc_header + "2\t7\t8\ta\tb\n", {":2:", "Quality", "0, 1", "found \"2\""});
  check_refused("mrpc", mrpc_header + "1\t7\t8\t\tb\n",
                {":2:", "#1 String", "expected a sentence"});
  check_refused("mrpc", "Quality\t#1 ID\n1\t7\n", {":1:", "#1 String", "Quality, #1 ID"});
  for (const char* score : {"nan", "inf", "5.5", "-1", "", "3.0x", " 3"}) {
    check_refused("stsb", std::string("sentence1\tsentence2\tscore\na\tb\t") + score + "\n",
                  {":2:", "score", std::string("found \"") + score + "\""});
  }
}

BOOST_AUTO_TEST_CASE(files_without_rows_are_refused) {
  check_refused("cola", "", {"at least one row", "found 0 lines"});
  check_refused("mrpc", mrpc_header, {"a header and at least one row", "found 1 lines"});
}

BOOST_AUTO_TEST_CASE(texts_without_labels_are_read_for_predictions) {
  const TemporaryFolder folder;
  folder.write("test.tsv", "index\tsentence\n0\tone two\n1\tthree\n");
  folder.write("dev.tsv", "gj04\t1\t\ta b\ngj04\t0\t*\tc d\n");
  const GlueTask& cola = find_glue_task("cola");
  const auto test = read_glue_texts(folder.path(), cola, "test");
  BOOST_TEST_REQUIRE(test.size() == 2U);
  BOOST_TEST(test[0].sentence1 == "one two");
  BOOST_TEST(test[1].label == 0);
  BOOST_TEST(read_glue_texts(folder.path(), cola, "dev")[0].sentence1 == "a b");  // no header
  check_error([&] { read_glue(folder.path(), cola, "test"); }, {"train or dev", "test"});
  folder.write("test.tsv", "index\twords\n0\tone\n");
  check_error([&] { read_glue_texts(folder.path(), cola, "test"); },
              {"test.tsv:1", "\"sentence\""});
}

BOOST_AUTO_TEST_CASE(the_splits_without_labels_are_those_whose_files_are_there) {
  const TemporaryFolder folder;
  const auto found = [&](const char* task) {
    return test_splits(folder.path(), find_glue_task(task));
  };
  BOOST_TEST(found("cola").empty());
  folder.write("CoLA/test.tsv", "");
  BOOST_TEST(found("cola") == std::vector<std::string>{"test"}, boost::test_tools::per_element());
  folder.write("test_mismatched.tsv", "");
  BOOST_TEST(found("mnli") == std::vector<std::string>{"test_mismatched"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_folder_is_the_task_s_own_or_the_one_above) {
  const TemporaryFolder folder;
  folder.write("CoLA/dev.tsv", "s\t1\t\tWords.\n");
  const GlueTask& task = find_glue_task("cola");
  BOOST_TEST(read_glue(folder.path(), task, "dev").size() == 1u);
  BOOST_TEST(read_glue(folder / "CoLA", task, "dev").size() == 1u);
  check_error([&] { read_glue(folder.path(), task, "train"); },
              {"cola", "CoLA/train.tsv or ", (folder / "train.tsv").string(), "neither"});
  check_error([&] { read_glue(folder.path(), task, "test"); }, {"cola", "found \"test\""});
}

BOOST_AUTO_TEST_CASE(an_unknown_task_is_refused_with_the_names) {
  check_error([] { find_glue_task("mprc"); }, {"cola", "mrpc", "stsb", "found \"mprc\""});
}

BOOST_AUTO_TEST_CASE(each_task_is_judged_by_its_metrics) {
  const std::vector<double> predictions = {1, 1, 0, 0};
  const std::vector<double> labels = {1, 0, 0, 0};
  const auto mrpc = glue_metrics(find_glue_task("mrpc"), predictions, labels);
  BOOST_REQUIRE(mrpc.size() == 2u);
  BOOST_TEST(metric_name(mrpc[0].first) == "accuracy");
  BOOST_TEST(mrpc[0].second == 0.75);
  BOOST_TEST(metric_name(mrpc[1].first) == "f1");
  BOOST_CHECK_CLOSE(mrpc[1].second, 2.0 / 3.0, 1e-12);
  // By hand: covariance 1/8 over the root of 1/4 · 3/16.
  const auto stsb = glue_metrics(find_glue_task("stsb"), predictions, labels);
  BOOST_REQUIRE(stsb.size() == 2u);
  BOOST_CHECK_CLOSE(stsb[0].second, 0.5773502691896258, 1e-12);
  const auto cola = glue_metrics(find_glue_task("cola"), predictions, labels);
  BOOST_CHECK_CLOSE(cola.at(0).second, 0.5773502691896258, 1e-12);
  BOOST_TEST(metric_name(cola.at(0).first) == "matthews_correlation");
}

/// Rows and, for classes, rows of class 1 (-1: not counted).
void check_counts(const char* name, const char* split, std::size_t rows, long positive) {
  const auto read = read_glue(shared_data() / "glue", find_glue_task(name), split);
  BOOST_TEST(read.size() == rows);
  if (positive < 0) return;
  BOOST_TEST(std::count_if(read.begin(), read.end(),
                           [](const GlueRow& row) { return row.label == 1; }) == positive);
}

// Row counts as published with GLUE.
BOOST_AUTO_TEST_CASE(the_real_files_have_their_official_counts, *precondition(has_shared_data)) {
  check_counts("cola", "train", 8551, 6023);
  check_counts("cola", "dev", 1043, 721);
  check_counts("mrpc", "train", 3668, 2474);
  check_counts("mrpc", "dev", 408, 279);
  check_counts("stsb", "train", 5749, -1);
  check_counts("stsb", "dev", 1500, -1);
  check_counts("wnli", "train", 635, -1);
  check_counts("wnli", "dev", 71, -1);
  check_counts("qnli", "dev", 5463, -1);
}

BOOST_AUTO_TEST_CASE(rows_of_qqp_that_lack_columns_are_left_out_and_counted) {
  const TemporaryFolder folder;
  const std::string header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n";
  folder.write("QQP/train.tsv", header + "1\t1\t2\ta\tb\t1\n2\t3\t4\tc\n3\t5\t6\td\te\t0\n");
  const GlueTask& qqp = find_glue_task("qqp");
  std::size_t left_out = 0;
  const auto rows = read_glue(folder.path(), qqp, "train", &left_out);
  BOOST_TEST(left_out == 1u);
  BOOST_TEST_REQUIRE(rows.size() == 2u);
  BOOST_TEST(rows[1].sentence1 == "d");
  BOOST_TEST(*rows[1].sentence2 == "e");
  // A prediction is wanted for each, and a column too many is none that lacks.
  check_error([&] { read_glue_texts(folder.path(), qqp, "train"); }, {"train.tsv:3", "found 4"});
  folder.write("QQP/dev.tsv", header + "1\t1\t2\ta\tb\t1\tx\n");
  check_error([&] { read_glue(folder.path(), qqp, "dev", &left_out); }, {"dev.tsv:2", "found 7"});
}

BOOST_AUTO_TEST_CASE(mnli_and_sst2_have_their_own_files) {
  const TemporaryFolder folder;
  const std::string header = "index\tsentence1\tsentence2\tgold_label\n";
  for (const char* split : {"train", "dev_matched", "dev_mismatched"})
    folder.write(std::string("MNLI/") + split + ".tsv",
                 header + "0\t" + split + "\tb\tcontradiction\n");
  folder.write("MNLI/test_mismatched.tsv", "index\tsentence1\tsentence2\n0\tx\ty\n");
  const GlueTask& mnli = find_glue_task("mnli");
  for (const char* split : {"train", "dev_matched", "dev_mismatched"}) {
    const auto rows = read_glue(folder.path(), mnli, split);
    BOOST_TEST(rows[0].sentence1 == split);
    BOOST_TEST(rows[0].label == 2);
  }
  BOOST_TEST(read_glue_texts(folder.path(), mnli, "test_mismatched")[0].sentence1 == "x");
  check_error([&] { read_glue(folder.path(), mnli, "dev"); }, {"dev_matched, dev_mismatched"});
  folder.write("SST-2/train.tsv", "sentence\tlabel\nfine\t1\n");
  const auto rows = read_glue(folder.path(), find_glue_task("sst2"), "train");
  BOOST_TEST(rows[0].sentence1 == "fine");
  BOOST_TEST(!rows[0].sentence2);
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_text_are_refused_by_file_and_line) {
  const TemporaryFolder folder;
  const GlueTask& sst2 = find_glue_task("sst2");
  folder.write("train.tsv", "sentence\tlabel\nfine\t1\nf\xFFne\t1\n");
  check_error([&] { read_glue(folder.path(), sst2, "train"); }, {"train.tsv:3", "UTF-8"});
  check_error([&] { read_glue_texts(folder.path(), sst2, "train"); }, {"train.tsv:3", "UTF-8"});
  folder.write("train.tsv", std::string("sentence\tlabel\nfi\0ne\t1\n", 23));
  check_error([&] { read_glue(folder.path(), sst2, "train"); }, {"train.tsv:2", "a zero"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
