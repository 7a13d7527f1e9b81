/// metatt dmrg and metatt report.

#include "program_testing.hpp"

#include <filesystem>
#include <map>

using namespace metatt::testing;

BOOST_AUTO_TEST_SUITE(chain_program)

BOOST_AUTO_TEST_CASE(dmrg_finds_the_states_of_a_chain) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  const Run result =
      run("dmrg --model tfim --sites 10 --states 2 --cutoff 1e-14 --conserve none"
          " --energy_tolerance 1e-12 --output_dir " +
          out);
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  // Closed forms: E0 = 1 − 1 / sin(π / (4N + 2)), and the gap of the free fermions.
  BOOST_TEST(result.has("state 0, energy -12.3814899997, variance"));
  BOOST_TEST(result.has("state 1, energy -12.0825696253, variance"));
  BOOST_TEST(!result.has("not converged"));
  for (const char* file : {"dmrg.h5", "results.json", "sweeps.jsonl", "state_0_bonds.csv",
                           "state_1_sites.csv", "state_0_correlations.csv"})
    BOOST_TEST(std::filesystem::exists(folder / "out" / file));
  check_refused("dmrg --model tfim --sites 10 --output_dir " + out, "found files in it");
  check_refused("suite --output_dir " + out, "holds states of a chain already");
}

BOOST_AUTO_TEST_CASE(a_report_is_one_page_with_pictures,
                     *boost::unit_test::precondition(has_gnuplot)) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  BOOST_REQUIRE(run("dmrg --model heisenberg --sites 6 --sweeps 3 --output_dir " + out).exit_code ==
                0);
  const Run result = run("report " + out);
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  const std::string page = metatt::tn::read_file(folder / "out/report.html");
  std::size_t pictures = 0;
  for (std::size_t at = page.find("<svg"); at != std::string::npos; at = page.find("<svg", at + 1))
    ++pictures;
  BOOST_TEST(pictures == 4u);  // energy, entropy, Sz, correlations
  BOOST_TEST(page.find("Connected ⟨Sz Sz⟩") != std::string::npos);
  BOOST_TEST(page.find("<script") == std::string::npos);
  BOOST_TEST(page.ends_with("</html>\n"));
  check_refused("report " + (folder / "none").string(), "dmrg.h5");
  check_refused("report " + out + " --output " + (folder / "none/page.html").string(),
                "none/page.html");
}

BOOST_AUTO_TEST_CASE(dmrg_says_where_a_start_led_to_a_state_that_is_not_the_lowest) {
  const TemporaryFolder folder;
  const std::string common = "dmrg --model heisenberg --sites 6 --conserve none --states 2 ";
  // All spins up is an eigenstate, and no product with H leads out of it.
  const Run stuck =
      run(common + "--start first --random_bond 0 --output_dir " + (folder / "stuck").string());
  BOOST_TEST(stuck.has("energy 1.25"));
  BOOST_TEST(stuck.has("warning: state 1 lies below state 0"));
  const Run found = run(common + "--start first --output_dir " + (folder / "found").string());
  BOOST_TEST(found.has("state 0, energy -2.49357713"));
  BOOST_TEST(!found.has("warning"));
}

BOOST_AUTO_TEST_CASE(dmrg_takes_models_from_files) {
  const TemporaryFolder folder;
  const std::string text =
      "site spin 1/2\nstart up down\neverywhere 0.5*i S+ 0 S- 1\neverywhere -0.5*i S- 0 S+ 1\n";
  const std::string model = folder.write("current.txt", text).string(),
                    bad = folder.write("bad.txt", text + "term 1 Sq 0\n").string(),
                    one_way = folder
                                  .write("one_way.txt",
                                         "site spin 1/2\nstart up down\n"
                                         "everywhere 1 S+ 0 S- 1\n")
                                  .string();
  const std::string out = " --sites 8 --output_dir " + (folder / "out").string();
  const Run result = run("dmrg --cutoff 1e-14 --input " + model + out);
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  BOOST_TEST(result.has("complex"));
  BOOST_TEST(result.has("energy -2.3793852416, variance"));  // a gauge of the XX chain: Σ cos(πk/9)
  check_refused("dmrg --input " + bad + out, "bad.txt: line 5: ");
  check_refused("dmrg --input " + one_way + " --overwrite_output_dir" + out, "Hermitian");
  check_refused("dmrg --input missing.txt" + out, "missing.txt: expected a file");
  check_refused("dmrg" + out, "expected --model NAME or --input FILE");
  check_refused("dmrg --model xx --input " + model + out, "--model excludes --input");
  check_refused("dmrg --model ising" + out, "expected one of heisenberg");
  check_refused("dmrg --model xx --parameters J=2" + out, "no parameter J");
  check_refused("dmrg --model xx --parameters J" + out, "NAME=NUMBER");
  check_refused("dmrg --model xx --correlate Sz" + out, "two operators as A:B");
  check_refused("dmrg --model xx --measure Sq" + out, "Sq");
  check_refused("dmrg --model xx --measure Sz,Sz" + out, "Sz is there twice");
  check_refused("dmrg --model xx --correlate Sx:Sx --overwrite_output_dir" + out,
                "change the conserved charge");
  check_refused("dmrg --model tv --measure C --overwrite_output_dir" + out, "fermionic");
  check_refused("dmrg --model xx --conserve none --measure Sy --overwrite_output_dir" + out,
                "operator is complex");
  check_refused("dmrg --model heisenberg --parameters J=1,J=2" + out, "J is there twice");
  check_refused("dmrg --model heisenberg --parameters J=1x" + out, "expected a number");
  check_refused("dmrg --model xx --sweeps 2 --maximum_bond 1,2,3" + out, "at most 2 values");
  check_refused(
      "dmrg --model heisenberg --sites 4 --states 7 --output_dir " + (folder / "o").string(),
      "the sector has 6, found 7");
  check_refused("dmrg --input " + folder.write("latin.txt", "# caf\xe9\n" + text).string() + out,
                "latin.txt: expected text in UTF-8");
  check_refused("dmrg --model xx --maximum_bond 0" + out, "maximum_bond");
  check_refused("dmrg --model xx --sites 8", "--output_dir");
}

BOOST_AUTO_TEST_CASE(every_sweep_is_a_row_on_the_terminal_and_a_line_of_the_log) {
  const TemporaryFolder folder;
  const Run result =
      run("dmrg --model heisenberg --sites 8 --sweeps 3 --energy_tolerance 0 --solver davidson"
          " --output_dir " +
          (folder / "out").string());
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  BOOST_TEST(result.has(
      "sweep           energy    change   bond  discarded  residual   entropy       s     MB"));
  for (const char* row : {"\n    0 ", "\n    1 ", "\n    2 "}) BOOST_TEST(result.has(row));
  const std::string log = metatt::tn::read_file(folder / "out/sweeps.jsonl");
  std::size_t lines = 0, at = 0;
  while ((at = log.find("\"event\":\"sweep\"", at) + 1) > 0) ++lines;
  BOOST_TEST(lines == 3u);
  for (const char* key : {"energy", "energy_change", "maximum_bond", "discarded_weight", "residual",
                          "centre_entropy", "variance", "products", "seconds", "peak_bytes"})
    BOOST_TEST(log.find("\"" + std::string(key) + "\":") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_full_disk_costs_no_finished_sweep) {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  const std::string command =
      "dmrg --model heisenberg --sites 8 --energy_tolerance 0 --noise 0 --output_dir " + out +
      " --maximum_bond 8 --sweeps ";
  BOOST_REQUIRE(run(command + "2").exit_code == 0);
  const std::string before = metatt::tn::read_file(folder / "out/dmrg.h5");
  const auto contents = [&] {
    std::map<std::string, std::string> files;
    for (const auto& file : std::filesystem::directory_iterator(folder / "out"))
      files[file.path().filename().string()] = metatt::tn::read_file(file.path());
    files.erase("sweeps.jsonl.partial");  // the log of the run that failed
    return files;
  };
  const auto all = contents();
  {
    const metatt::testing::FileSizeLimit limit(8192);
    const Run full = run(command + "4 --resume");
    BOOST_TEST(full.exit_code == 2);
    BOOST_TEST(full.has("cannot be written"));
  }
  BOOST_TEST((contents() == all));
  const Run resumed = run(command + "4 --resume");
  BOOST_REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.output);
  BOOST_TEST(metatt::tn::read_file(folder / "out/dmrg.h5") != before);
}

BOOST_AUTO_TEST_CASE(a_short_run_goes_on_with_more_sweeps) {
  // The usual schedule of two sweeps is the end of that of six; those made stay as they were.
  const TemporaryFolder folder;
  const std::string command =
      "dmrg --model heisenberg --sites 8 --energy_tolerance 0 --output_dir " +
      (folder / "out").string() + " --sweeps ";
  BOOST_REQUIRE(run(command + "2").exit_code == 0);
  const Run longer = run(command + "6 --resume");
  BOOST_REQUIRE_MESSAGE(longer.exit_code == 0, longer.output);
  BOOST_TEST(longer.has("    5 "));
  check_refused(command + "7 --resume --cutoff 1e-5", "resume with the same settings");
}

BOOST_AUTO_TEST_CASE(tensors_are_measured_against_the_floor) {
  const Run result = run("bench contractions --samples 1 --numbers 1,31");
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  BOOST_TEST(result.has("abc-bda-dc"));
  BOOST_TEST(result.has("abcdef-dega-gfbc"));
  check_refused("bench contractions --numbers 2", "expected 1, 6, 9");
  check_refused("bench trains --samples 0", "samples");
}

BOOST_AUTO_TEST_CASE(a_killed_run_of_dmrg_resumes_to_the_same_bits) {
  const TemporaryFolder folder;
  const std::string command =
      "dmrg --model hubbard --sites 6 --energy_tolerance 0 --maximum_bond 5,10 ";
  const std::string lengths = "--states 2 --sweeps 4 --output_dir ";
  const std::string whole = (folder / "whole").string(), killed = (folder / "killed").string();
  BOOST_REQUIRE(run(command + lengths + whole).exit_code == 0);
  run(command + lengths + killed + " & while [ ! -e " + killed +
          "/dmrg.h5 ]; do sleep 0.01; done; kill -9 $!",
      "> " + (folder / "log").string() + " 2>&1");
  const Run resumed = run(command + lengths + killed + " --resume");
  BOOST_REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.output);
  const auto results = [&](const std::string& name) {
    return metatt::tn::read_file(folder / name / "results.json");
  };
  BOOST_TEST(results("killed") == results("whole"));
  BOOST_TEST(run(command + lengths + whole + " --resume").has("nothing left to do"));
  BOOST_TEST(results("killed") == results("whole"));
  check_refused(command + lengths + killed + " --resume --seed 2",
                "was made with seed = 1, found 2");
  check_refused(command + lengths + killed + " --resume --cutoff 1e-9", "was made with sweep 0 = ");
  check_refused(command + "--sweeps 4 --states 1 --resume --output_dir " + killed,
                "holds 2 states, found --states 1");
  check_refused(command + "--sweeps 3 --states 2 --resume --output_dir " + killed,
                "has made 4 sweeps, found --sweeps 3");
  BOOST_TEST(run(command + "--sweeps 5 --states 2 --resume --output_dir " + killed).exit_code == 0);
  const std::string other = (folder / "other").string();
  folder.write("other/precious.txt", "mine");
  check_refused(command + lengths + other + " --resume", "found files in it");
  BOOST_TEST(run(command + lengths + (folder / "new").string() + " --resume").has("starting anew"));
  folder.write("killed/dmrg.h5", "no HDF5");
  check_refused(command + lengths + killed + " --resume", "expected a whole HDF5 file");
}

BOOST_AUTO_TEST_SUITE_END()
