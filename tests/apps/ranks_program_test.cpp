/// metatt ranks as its users meet it.

#include "program_testing.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

using namespace metatt::testing;

namespace {

/// The lines of a table by the names of its columns.
std::vector<std::map<std::string, std::string>> read_table(const std::filesystem::path& file) {
  const auto split = [](const std::string& line) {
    std::vector<std::string> fields;
    std::istringstream in(line + ",");
    for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
    return fields;
  };
  std::vector<std::map<std::string, std::string>> table;
  const auto lines = metatt::tn::split_lines(metatt::tn::read_file(file));
  const auto names = split(lines.at(0));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto fields = split(lines[i]);
    BOOST_REQUIRE(fields.size() == names.size());
    auto& row = table.emplace_back();
    for (std::size_t c = 0; c < names.size(); ++c) row[names[c]] = fields[c];
  }
  return table;
}

const std::string small =
    "ranks --threads 1 --modes 6,3,2,5 --oversampling 4 --max_steps 60 --seeds 3 ";

}  // namespace

BOOST_AUTO_TEST_SUITE(ranks_program)

BOOST_AUTO_TEST_CASE(a_study_writes_tidy_tables_whose_summary_follows_from_the_runs) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  const Run study = run(small +
                        "--strategies fixed,shrink --start_rank 4 --learning_rate 0.01,0.03 "
                        "--equal_time "
                        "--output_dir " +
                        out);
  BOOST_REQUIRE_MESSAGE(study.exit_code == 0, study.output);
  const auto runs = read_table(folder / "out/runs.csv");
  BOOST_TEST(runs.size() == 2u * 2 * 2 * 3);
  std::map<std::string, std::map<std::string, std::vector<double>>> logs, tests;
  for (const auto& row : runs) {
    BOOST_TEST(row.at("status") == "done");
    BOOST_TEST(row.at("ranks") == "2-2-2");
    BOOST_TEST(row.at("parameters") == "42");  // 6·2 + 2·3·2 + 2·2·2 + 2·5
    if (row.at("comparison") != "steps") continue;
    logs[row.at("strategy")][row.at("learning_rate")].push_back(
        std::log10(std::stod(row.at("tensor_error"))));
    tests[row.at("strategy")][row.at("learning_rate")].push_back(
        std::log10(std::stod(row.at("test_error"))));
  }
  const auto mean = [](const std::vector<double>& v) { return (v[0] + v[1] + v[2]) / 3; };
  const auto half = [&](const std::vector<double>& v) {  // Student's t for two degrees of freedom
    double squares = 0;
    for (const double x : v) squares += (x - mean(v)) * (x - mean(v));
    return 4.303 * std::sqrt(squares / 2 / 3);
  };
  const auto summary = read_table(folder / "out/summary.csv");
  BOOST_TEST(summary.size() == 4u);
  std::vector<std::vector<double>> best;
  for (const auto& row : summary) {
    if (row.at("comparison") != "steps") continue;
    const std::string& rate = row.at("best_learning_rate");
    const auto& strategy = row.at("strategy");
    for (const auto& [other, values] : tests[strategy])
      BOOST_TEST(mean(tests[strategy][rate]) <= mean(values));
    const auto& values = best.emplace_back(logs[strategy][rate]);
    BOOST_TEST(std::stod(row.at("log10_tensor_error")) == mean(values),
               boost::test_tools::tolerance(1e-12));
    BOOST_TEST(std::stod(row.at("log10_tensor_error_half_width")) == half(values),
               boost::test_tools::tolerance(1e-12));
  }
  const std::vector<double> paired{best[1][0] - best[0][0], best[1][1] - best[0][1],
                                   best[1][2] - best[0][2]};
  BOOST_TEST(std::stod(summary[1].at("log10_difference_to_first")) == mean(paired),
             boost::test_tools::tolerance(1e-10));
  BOOST_TEST(std::stod(summary[1].at("log10_difference_half_width")) == half(paired),
             boost::test_tools::tolerance(1e-10));
  // At equal time a strategy has as many steps as take what the first one took, of equal steps.
  std::map<std::string, double> seconds, steps;
  for (const auto& row : runs) {
    if (row.at("comparison") == "steps")
      seconds[row.at("strategy")] += std::stod(row.at("seconds"));
    if (row.at("comparison") == "time") steps[row.at("strategy")] = std::stod(row.at("steps"));
  }
  BOOST_TEST(steps["fixed"] == 60);
  const double fewest = 14;  // that four changes need
  const double wanted = std::max(fewest, 60 * seconds["fixed"] / seconds["shrink"]);
  BOOST_TEST(std::abs(steps["shrink"] - wanted) <= 1);  // a half may round either way
  // Sweeps of "shrink" from 4 by 2 in four changes, two of which change nothing more.
  const auto sweeps = read_table(folder / "out/rank_sweeps.csv");
  BOOST_TEST(sweeps.front().at("strategy") == "shrink");
  BOOST_TEST(!read_table(folder / "out/curves.csv").empty());
}

BOOST_AUTO_TEST_CASE(final_ranks_are_the_planted_ones_and_found_by_those_who_are_not_told) {
  const TemporaryFolder folder;
  const Run study = run(small +
                        "--true_ranks 1 --strategies fixed,shrink_cutoff,two_site,prune "
                        "--two_site_steps 7 --learning_rate 0.03 --output_dir " +
                        (folder / "out").string());
  BOOST_REQUIRE_MESSAGE(study.exit_code == 0, study.output);
  for (const auto& row : read_table(folder / "out/runs.csv"))
    if (row.at("strategy") != "shrink_cutoff") BOOST_TEST(row.at("ranks") == "1-1-1");
  for (const auto& row : read_table(folder / "out/summary.csv"))
    BOOST_TEST(row.at("ranks_found").empty() == (row.at("strategy") != "shrink_cutoff"));
  // Every strategy is measured at the same moments, also while two cores are merged.
  std::map<std::string, std::set<std::string>> moments;
  for (const auto& row : read_table(folder / "out/curves.csv"))
    moments[row.at("strategy")].insert(row.at("step"));
  BOOST_TEST(moments["fixed"].size() == 61u);
  BOOST_TEST((moments["two_site"] == moments["fixed"]));
  // Pruning cuts no singular values off.
  for (const auto& row : read_table(folder / "out/rank_sweeps.csv"))
    BOOST_TEST(row.at("discarded_weight").empty() == (row.at("strategy") == "prune"));
}

BOOST_AUTO_TEST_CASE(lists_of_a_config_file_may_have_blanks) {
  const TemporaryFolder folder;
  const auto config = folder.write(
      "study.conf",
      "modes = 6, 3, 2, 5\noversampling = 4\nstrategies = fixed , grow\nmax_steps = 60\n"
      "learning_rate = 0.01\nseeds = 1\n");
  const Run study = run("ranks --threads 1 --config " + config.string() + " --output_dir " +
                        (folder / "out").string());
  BOOST_REQUIRE_MESSAGE(study.exit_code == 0, study.output);
  BOOST_TEST(read_table(folder / "out/runs.csv").size() == 2u);
}

BOOST_AUTO_TEST_CASE(every_strategy_runs_on_a_teacher_and_the_same_study_has_the_same_errors) {
  const TemporaryFolder folder;
  std::vector<std::string> errors;
  for (const char* name : {"a", "b"}) {
    const Run study =
        run("ranks --threads 1 --problem teacher --modes 6,2,2,6 --oversampling 2 "
            "--max_steps 40 --seeds 1 --learning_rate 0.01 --output_dir " +
            (folder / name).string());
    BOOST_REQUIRE_MESSAGE(study.exit_code == 0, study.output);
    std::string all;
    for (const auto& row : read_table(folder / name / "runs.csv"))
      all += row.at("tensor_error") + " ";
    errors.push_back(all);
  }
  BOOST_TEST(errors[0] == errors[1]);
  BOOST_TEST(std::ranges::count(errors[0], ' ') == 9);
}

BOOST_AUTO_TEST_CASE(a_run_whose_numbers_overflow_is_one_failed_run_of_the_study) {
  const TemporaryFolder folder;
  const Run study =
      run(small + "--strategies fixed,shrink --learning_rate 0.01,1e200 --output_dir " +
          (folder / "out").string());
  BOOST_REQUIRE_MESSAGE(study.exit_code == 0, study.output);
  for (const auto& row : read_table(folder / "out/runs.csv")) {
    BOOST_TEST((row.at("status") == "failed") == (row.at("learning_rate") != "0.01"));
    BOOST_TEST(row.at("error").empty() == (row.at("status") == "done"));
  }
  for (const auto& row : read_table(folder / "out/summary.csv")) {
    BOOST_TEST(row.at("best_learning_rate") == "0.01");
    BOOST_TEST(row.at("failures") == "0");
  }
}

BOOST_AUTO_TEST_CASE(a_study_becomes_a_page, *boost::unit_test::precondition(has_gnuplot)) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  BOOST_REQUIRE(
      run(small + "--strategies fixed,grow,shrink --learning_rate 0.01 --output_dir " + out)
          .exit_code == 0);
  const Run report = run("report " + out);
  BOOST_REQUIRE_MESSAGE(report.exit_code == 0, report.output);
  const std::string page = metatt::tn::read_file(folder / "out/report.html");
  for (const char* text : {"At equal steps", "How often the train is found", "How well it is found",
                           "Error, 4 targets", "Rank of bond 1, 4 targets", "Entropy of bond 2",
                           "Discarded weight of bond 1", "<td class=\"text\">grow</td>", "42"})
    BOOST_CHECK_MESSAGE(page.find(text) != std::string::npos, text);
  metatt::tn::write_file_atomically(folder / "out/curves.csv", "step,loss\n1\n");
  check_refused("report " + out, "curves.csv: row 1: expected 2 fields, found 1");
}

BOOST_AUTO_TEST_CASE(a_wrong_study_ends_before_its_first_run) {
  const TemporaryFolder folder;
  const std::string out = "--output_dir " + (folder / "out").string();
  check_refused(small + out + " --strategies fixed,guess", "expected fixed, shrink");
  check_refused(small + out + " --rank 2,2", "rank: expected a rank for all bonds or 3");
  check_refused(small + out + " --rank 5 --start_rank 4",
                "start_rank: expected at least the final ranks");
  check_refused(small + out + " --strategies fixed,two_site --cutoff 0.1",
                "--cutoff: expected a strategy that has a use for it (shrink_cutoff), found fixed, "
                "two_site");
  check_refused(small + out + " --strategies shrink_cutoff --rank 2",
                "--rank: expected a strategy");
  check_refused(small + out + " --seed 1 --seed 2", "--seed: expected once, found twice or more");
  check_refused(small + out + " --spectrum 3,2,1", "spectrum: expected 2 values");
  check_refused(small + out + " --problem teacher", "modes: expected D,L,2,D");
  check_refused(small + out + " --true_ranks 50", "true_ranks: expected at most ");
  check_refused(small + out + " --oversampling 0", "--oversampling");
  check_refused(small + out + " --strategies fixed,shrink,fixed",
                "--strategies: expected each strategy once, found fixed");
  metatt::tn::write_file_atomically(folder / "study.conf", "strategy = fixed\n");
  check_refused(small + out + " --config " + (folder / "study.conf").string(), "strategies");
  BOOST_TEST(!std::filesystem::exists(folder / "out"));
}

BOOST_AUTO_TEST_SUITE_END()
