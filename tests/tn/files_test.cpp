#include "../file_testing.hpp"
#include "chain_testing.hpp"

#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/files/chain_files.hpp>

#include <chrono>
#include <limits>
#include <thread>

using namespace metatt::tn;
using namespace metatt::tn::testing;
using metatt::testing::check_error;
using metatt::testing::FileSizeLimit;
using metatt::testing::TemporaryFolder;

namespace {

template <class T>
bool same_bits(const BlockTensor<T>& a, const BlockTensor<T>& b) {
  if (a.legs() != b.legs() || a.blocks().size() != b.blocks().size()) return false;
  for (const auto& [key, block] : a.blocks()) {
    const Tensor<T>* other = b.find(key);
    if (other == nullptr || other->to_vector() != block.to_vector()) return false;
  }
  return true;
}

template <class T>
bool same_bits(const TensorTrain<T>& a, const TensorTrain<T>& b) {
  if (a.length() != b.length() || a.center() != b.center()) return false;
  for (Index k = 0; k < a.length(); ++k)
    if (!same_bits(a.core(k), b.core(k))) return false;
  return true;
}

const std::vector<std::string> neel{"up", "down", "up", "down", "up", "down"};

/// A file with a state in it.
std::filesystem::path saved_state(const TemporaryFolder& folder) {
  Hdf5Writer file(folder / "state.h5");
  const Sites sites = uniform_chain(6, spin_site(1).conserving({"2Sz"}));
  save(file, "state", random_state<double>(sites, 5, 3, neel));
  file.commit();
  return folder / "state.h5";
}

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(numbers_and_texts_come_back_as_they_were) {
  const TemporaryFolder folder;
  const std::vector<Complex> complex{{1.5, -2}, {0, 1e-300}};
  const std::vector<Index> whole{1, -(Index{1} << 60)};
  const std::vector<float> narrow{0.1F, std::numeric_limits<float>::infinity()};
  Hdf5Writer out(folder / "a.h5");
  out.write("group/inner/number", 0.1);
  out.write("count", Index{7});
  out.write("text", std::string("Schrödinger\n"));
  out.write("texts", std::vector<std::string>{"", "b"});
  out.write("no texts", std::vector<std::string>{});
  out.write<Complex>("complex", {2, 1}, complex);
  out.write<Index>("whole", {2}, whole);
  out.write<float>("narrow", {2}, narrow);
  out.write<double>("none", {0, 3}, {});
  out.commit();
  const Hdf5Reader in(folder / "a.h5");
  BOOST_TEST(in.read_number<double>("group/inner/number") == 0.1);
  BOOST_TEST(in.read_number<Index>("count") == 7);
  BOOST_TEST(in.read_text("text") == "Schrödinger\n");
  BOOST_TEST(in.read_texts("texts").at(1) == "b");
  BOOST_TEST(in.read_texts("no texts").empty());
  BOOST_TEST((in.read<Complex>("complex").shape == Shape{2, 1}));
  BOOST_TEST((in.read<Complex>("complex").values == complex));
  BOOST_TEST((in.read_values<Index>("whole", 2) == whole));
  BOOST_TEST((in.read_values<float>("narrow", 2) == narrow));
  BOOST_TEST((in.read<double>("none").shape == Shape{0, 3}));
  BOOST_TEST((in.read_values<Complex>("narrow", 2)[0] == Complex(0.1F)));  // nothing is lost
  BOOST_TEST(in.contains("group/inner"));
  BOOST_TEST(in.names("group").size() == 1u);
  BOOST_TEST(in.names("/").front() == "complex");
  check_error([&] { in.names("count"); }, {"count", "expected a group"});
  BOOST_TEST(!in.contains("group/other/number"));
  check_error([&] { in.read<float>("group/inner/number"); }, {"a.h5", "32-bit", "64-bit"});
  check_error([&] { in.read<double>("complex"); }, {"complex", "expected 64-bit floating-point"});
  check_error([&] { in.read<double>("count"); }, {"count", "64-bit integers"});
  check_error([&] { in.read<double>("text"); }, {"text"});
  check_error([&] { in.read_text("count"); }, {"count", "expected text of a fixed length"});
  check_error([&] { in.read<double>("group"); }, {"group", "expected an array"});
  check_error([&] { in.read_values<Index>("whole", 3); }, {"expected 3 numbers, found 2"});
}

BOOST_AUTO_TEST_CASE(states_and_operators_come_back_to_the_last_bit) {
  const TemporaryFolder folder;
  const Sites dense = uniform_chain(6, spin_site(1)),
              charged = uniform_chain(6, spin_site(1).conserving({"2Sz", "parity"}));
  const auto real = random_state<double>(charged, 6, 1, neel);
  auto complex = random_state<Complex>(dense, 6, 2);
  complex.orthogonalise(3);
  const auto single = TensorTrain<float>::random(Shape{3, 1, 4}, Shape{2, 2}, 5);
  const auto mpo = matrix_product_operator<double>(heisenberg(6), charged);
  Hdf5Writer out(folder / "a.h5");
  save(out, "deep/real", real);
  save(out, "complex", complex);
  save(out, "single", single);
  save(out, "mpo", mpo);
  out.commit();
  const Hdf5Reader in(folder / "a.h5");
  BOOST_TEST(same_bits(load_tensor_train<double>(in, "deep/real"), real));
  BOOST_TEST(same_bits(load_tensor_train<Complex>(in, "complex"), complex));
  BOOST_TEST(same_bits(load_tensor_train<float>(in, "single"), single));
  const auto again = load_operator<double>(in, "mpo");
  for (Index k = 0; k < 6; ++k) BOOST_TEST(same_bits(again.block_core(k), mpo.block_core(k)));
  BOOST_TEST(again.core(2).entries.size() == mpo.core(2).entries.size());
  BOOST_TEST((as_vector(load_tensor_train<Complex>(in, "deep/real")) - as_vector(real)).norm() ==
             0);
  BOOST_CHECK_THROW(load_tensor_train<double>(in, "complex"), Error);
  check_error([&] { load_tensor_train<double>(in, "mpo"); },
              {"mpo", "expected kind = TensorTrain, found MatrixProductOperator"});
  check_error([&] { load_operator<double>(in, "none"); }, {"none is not there"});
}

BOOST_AUTO_TEST_CASE(the_same_content_is_the_same_bytes) {
  const TemporaryFolder first, second;
  const auto early = saved_state(first);
  // HDF5's times are whole seconds.
  std::this_thread::sleep_for(std::chrono::milliseconds(1001));
  BOOST_TEST((read_file(early) == read_file(saved_state(second))));
}

BOOST_AUTO_TEST_CASE(files_that_are_no_such_files_are_refused_by_name) {
  const TemporaryFolder folder;
  const auto open = [&](const std::string& name) { Hdf5Reader{folder / name}; };
  check_error([&] { open("missing.h5"); }, {"missing.h5", "No such file"});
  folder.write("text.h5", "energy 1\n");
  check_error([&] { open("text.h5"); }, {"text.h5", "expected a whole HDF5 file"});
  folder.write("empty.h5", "");
  check_error([&] { open("empty.h5"); }, {"empty.h5"});
  std::filesystem::create_directory(folder / "folder.h5");
  check_error([&] { open("folder.h5"); }, {"found a folder"});
}

BOOST_AUTO_TEST_CASE(every_file_says_its_format_and_version) {
  const TemporaryFolder folder;
  const Hdf5Reader reader(saved_state(folder));
  reader.expect("/", "format", "metatt");
  reader.expect("/", "version", "1");
  check_error([&] { reader.expect("/", "version", "2"); }, {"state.h5", "version = 2", "found 1"});
  check_error([&] { reader.expect("/", "author", "me"); }, {"author", "found none"});
  check_error([&] { load_dmrg_result<double>(reader, "run"); }, {"run", "is not there"});
}

BOOST_AUTO_TEST_CASE(a_file_that_was_cut_is_refused) {
  const TemporaryFolder folder;
  const auto path = saved_state(folder);
  const std::string bytes = read_file(path);
  for (std::size_t size = 1; size < bytes.size(); size += bytes.size() / 97) {
    const auto cut = folder.write("cut.h5", bytes.substr(0, size));
    check_error([&] { Hdf5Reader{cut}; }, {"cut.h5", "expected a whole HDF5 file"});
  }
}

/// A block tensor of two legs as its file holds it, with what a test changes.
struct Parts {
  std::vector<std::string> quantities{"N"};
  std::vector<std::int32_t> moduli{0}, directions{1, -1}, charges{0, 1, 0, 1};
  std::vector<Index> sector_counts{2, 2}, dimensions{1, 2, 1, 2}, blocks{0, 0, 1, 1};
  std::vector<double> elements{1, 2, 3, 4, 5};

  BlockTensor<double> through(const std::filesystem::path& path) const {
    Hdf5Writer out(path);
    out.describe("x", "kind", "BlockTensor");
    out.write("x/quantities", quantities);
    const auto write = [&]<class Number>(const char* name, const std::vector<Number>& values) {
      out.write<Number>(std::string("x/") + name, {static_cast<Index>(values.size())}, values);
    };
    write("moduli", moduli);
    write("directions", directions);
    write("charges", charges);
    write("sector_counts", sector_counts);
    write("dimensions", dimensions);
    write("blocks", blocks);
    write("elements", elements);
    out.commit();
    return load_block_tensor<double>(Hdf5Reader(path), "x");
  }
};

BOOST_AUTO_TEST_CASE(tensors_that_contradict_themselves_are_refused) {
  const TemporaryFolder folder;
  const auto path = folder / "parts.h5";
  BOOST_TEST(Parts{}.through(path).stored_elements() == 5);
  const auto refused = [&](auto change, const std::vector<std::string_view>& fragments) {
    Parts parts;
    change(parts);
    check_error([&] { parts.through(path); }, fragments);
  };
  refused([](Parts& p) { p.moduli = {0, 0}; }, {"moduli", "expected 1 numbers, found 2"});
  refused([](Parts& p) { p.moduli = {1}; }, {"parts.h5: x: ", "1"});
  refused([](Parts& p) { p.directions = {1}; }, {"directions", "expected 2 numbers"});
  refused([](Parts& p) { p.charges.pop_back(); }, {"charges", "expected 4 numbers"});
  refused([](Parts& p) { p.sector_counts = {2, 3}; }, {"x: leg 1 has 3 sectors"});
  refused(
      [](Parts& p) {
        p.sector_counts = {2, 1};
      },
      {"x: has 4 sectors, of which its legs use 3"});
  refused([](Parts& p) { p.sector_counts = {-1, 5}; }, {"x: leg 0 has -1 sectors"});
  refused([](Parts& p) { p.sector_counts = {}, p.directions = {}; }, {"x: has no legs"});
  refused([](Parts& p) { p.dimensions[1] = 0; }, {"x: "});
  refused([](Parts& p) { p.blocks = {0, 0, 1}; }, {"x: has 3 block indices for 2 legs"});
  refused([](Parts& p) { p.blocks = {0, 0, 1, 2}; }, {"x: has a block in sector 2 of leg 1"});
  refused([](Parts& p) { p.blocks = {0, 1, 1, 1}; }, {"x: "});  // forbidden by the charges
  refused([](Parts& p) { p.elements.pop_back(); }, {"x: has 4 elements, too few"});
  refused([](Parts& p) { p.elements.push_back(6); }, {"x: has 6 elements, more than"});
}

BOOST_AUTO_TEST_CASE(an_output_folder_is_one_runs_at_a_time) {
  const TemporaryFolder folder;
  {
    const OutputFolder held = prepare_output_folder(folder / "out", false);
    const OutputFolder copy = held;
    BOOST_CHECK_THROW(prepare_output_folder(folder / "out", true), FolderInUse);
    check_error([&] { prepare_output_folder(folder / "out", true); }, {"out", "another run"});
  }
  prepare_output_folder(folder / "out", true);
}

BOOST_AUTO_TEST_CASE(a_file_on_a_full_disk_leaves_the_old_one) {
  const TemporaryFolder folder;
  const auto path = saved_state(folder);
  const std::string before = read_file(path);
  {
    const FileSizeLimit limit(20000);
    check_error(
        [&] {
          Hdf5Writer file(path);
          const std::vector<double> many(100000, 1.0);
          file.write<double>("many", {100000}, many);
          file.commit();
        },
        {"state.h5", "cannot be written"});
  }
  BOOST_TEST((read_file(path) == before));
  BOOST_TEST(!std::filesystem::exists(folder / "state.h5.partial"));
  { Hdf5Writer never_committed(path); }
  BOOST_TEST((read_file(path) == before));
  Hdf5Writer file(path);
  file.write("a", 1.0);
  check_error([&] { file.write("a", 2.0); }, {"state.h5", "a cannot be written", "exists"});
  file.commit();
  check_error([&] { file.write("b", 2.0); }, {"written after commit"});
  check_error([&] { Hdf5Writer nowhere(folder / "none/a.h5"); }, {"none/a.h5"});
}

template <class T>
void check_restart(const OperatorSum& H, const Sites& sites, const DmrgSettings& settings) {
  const TemporaryFolder folder;
  const auto mpo = matrix_product_operator<T>(H, sites);
  const auto start = random_state<T>(sites, 4, 7, neel);
  const auto whole = dmrg(mpo, start, settings);
  DmrgSettings half = settings;
  half.sweeps.resize(3);
  {
    Hdf5Writer file(folder / "run.h5");
    save(file, "run", dmrg(mpo, start, half));
    file.commit();
  }
  const auto resumed =
      dmrg(mpo, load_dmrg_result<T>(Hdf5Reader(folder / "run.h5"), "run"), settings);
  BOOST_TEST(resumed.energy == whole.energy);
  BOOST_TEST(same_bits(resumed.state, whole.state));
  BOOST_REQUIRE(resumed.further.size() == whole.further.size());
  for (std::size_t i = 0; i < whole.further.size(); ++i) {
    BOOST_TEST(resumed.further[i].energy == whole.further[i].energy);
    BOOST_TEST(same_bits(resumed.further[i].first_core, whole.further[i].first_core));
  }
  BOOST_REQUIRE(resumed.sweeps.size() == whole.sweeps.size());
  for (std::size_t i = 0; i < whole.sweeps.size(); ++i) {
    BOOST_TEST(resumed.sweeps[i].energy == whole.sweeps[i].energy);
    BOOST_TEST(resumed.sweeps[i].products == whole.sweeps[i].products);
    BOOST_TEST(resumed.sweeps[i].sweep == static_cast<Index>(i));
  }
  BOOST_TEST(resumed.converged == whole.converged);
}

BOOST_AUTO_TEST_CASE(a_run_of_dmrg_goes_on_with_the_same_bits) {
  const Sites dense = uniform_chain(6, spin_site(1)),
              charged = uniform_chain(6, spin_site(1).conserving({"2Sz"}));
  DmrgSettings settings;
  for (const double noise : {1e-4, 1e-5, 1e-6, 0.0, 0.0, 0.0, 0.0})
    settings.sweeps.push_back({.maximum_bond = 6, .cutoff = 1e-10, .noise = noise});
  OperatorSum H = heisenberg(6);
  H += 0.3 * op("Sz", 2);
  check_restart<double>(H, dense, settings);
  check_restart<double>(H, charged, settings);
  check_restart<Complex>(H, charged, settings);
  check_restart<float>(H, charged, settings);
  settings.sites = 1;
  check_restart<double>(H, charged, settings);
  settings.targets = 3;
  settings.solver = EigenSolver::davidson;
  check_restart<double>(H, charged, settings);
  settings.targets = 1;
  settings.energy_tolerance = 1e-3;  // ends early
  check_restart<double>(H, charged, settings);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
