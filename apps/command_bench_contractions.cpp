/// metatt bench contractions: contractions of two tensors against the floor of products and memory.

#include <metatt/apps/bench_timing.hpp>
#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/contract.hpp>

#include <algorithm>
#include <iomanip>
#include <iostream>

namespace metatt::apps {

namespace {

using tn::Index;

/// One of the 48 contractions of TCCG (Springer and Bientinesi, arXiv:1607.00145), as "C-A-B" with
/// column-major tensors, and the extents of a, b, c, … in double precision.
struct Contraction {
  int number;
  const char* text;
  std::vector<Index> extents;
};

/// Of each kind one: a tensor times a matrix, the change to molecular orbitals, coupled clusters
/// with doubles (no. 20 with extents of 36 instead of 72) and with triples.
const std::vector<Contraction>& contractions() {
  static const std::vector<Contraction> all{
      {1, "abc-bda-dc", {312, 312, 24, 312}},
      {6, "abcde-efbad-cf", {48, 32, 24, 32, 48, 32}},
      {9, "abcd-ea-ebcd", {72, 72, 72, 72, 72}},
      {13, "ab-acd-dbc", {312, 296, 296, 312}},
      {17, "abc-adc-bd", {312, 312, 296, 296}},
      {19, "abcd-adec-ebd", {72, 72, 72, 72, 72}},
      {20, "abcd-aebf-dfce", {36, 36, 36, 36, 36, 36}},
      {31, "abcdef-dega-gfbc", {24, 16, 16, 24, 16, 16, 24}},
      {40, "abcdef-gdab-efgc", {24, 16, 16, 16, 24, 16, 24}},
      {48, "abcdef-gfbc-dega", {24, 16, 16, 24, 16, 16, 24}},
  };
  return all;
}

/// The same with row-major tensors, whose indices stand in the opposite order.
struct RowMajor {
  std::string indices, a, b, c;

  explicit RowMajor(const std::string& text) {
    const std::size_t first = text.find('-'), second = text.find('-', first + 1);
    c = reversed(text.substr(0, first));
    a = reversed(text.substr(first + 1, second - first - 1));
    b = reversed(text.substr(second + 1));
    indices = a + "," + b + "->" + c;
  }

 private:
  static std::string reversed(std::string word) {
    std::ranges::reverse(word);
    return word;
  }
};

tn::Shape shape_of(const std::string& indices, const std::vector<Index>& extents) {
  tn::Shape shape;
  for (const char index : indices) shape.push_back(extents[static_cast<std::size_t>(index - 'a')]);
  return shape;
}

double product_of(const std::vector<Index>& extents) {
  double product = 1;
  for (const Index extent : extents) product *= static_cast<double>(extent);
  return product;
}

/// GB/s of a copy far larger than the caches, reading and writing counted.
double copy_rate() {
  static const tn::Tensor<double> from = tn::Tensor<double>::zeros({Index{1} << 25});
  static tn::Tensor<double> to = tn::Tensor<double>::zeros({Index{1} << 25});
  const double ms = milliseconds_of(
      [] { tn::backend::copy(tn::backend::queue(), from.size(), from.data(), to.mutable_data()); });
  return 2e-6 * sizeof(double) * static_cast<double>(from.size()) / ms;
}

/// The floor: the products at the rate of dgemm, or every element read or written once at the rate
/// of a copy, whichever takes longer. Both rates are measured beside each sample.
nlohmann::json measure(const Contraction& contraction, Index samples,
                       LargeProduct<double>& product) {
  const RowMajor form(contraction.text);
  const auto shape_a = shape_of(form.a, contraction.extents),
             shape_b = shape_of(form.b, contraction.extents),
             shape_c = shape_of(form.c, contraction.extents);
  const auto A = tn::random_normal<double>(shape_a, 1), B = tn::random_normal<double>(shape_b, 2);
  const double gflop = 2e-9 * product_of(contraction.extents);
  const double gigabytes =
      1e-9 * sizeof(double) * (product_of(shape_a) + product_of(shape_b) + product_of(shape_c));
  tn::contract(form.indices, A, B);  // the memory pool is warm after that
  std::vector<double> times, rates, copies, of_rate, of_floor;
  for (Index i = 0; i < samples; ++i) {
    rates.push_back(product.rate());
    copies.push_back(copy_rate());
    times.push_back(milliseconds_of([&] { tn::contract(form.indices, A, B); }));
    const double products = 1e3 * gflop / rates.back();
    of_rate.push_back(products / times.back());
    of_floor.push_back(std::max(products, 1e3 * gigabytes / copies.back()) / times.back());
  }
  return {{"number", contraction.number},
          {"contraction", contraction.text},
          {"extents", contraction.extents},
          {"gflop", gflop},
          {"gigabytes", gigabytes},
          {"milliseconds", times},
          {"median_ms", median(times)},
          {"dgemm_gflops", median(rates)},
          {"copy_gigabytes_per_second", median(copies)},
          {"share_of_dgemm", median(of_rate)},
          {"share_of_floor", median(of_floor)}};
}

void print_contraction(const nlohmann::json& line) {
  const auto number = [&](const char* key, int digits) {
    return fixed(line[key].get<double>(), digits);
  };
  std::cout << std::setw(3) << line["number"].get<int>() << "  " << std::left << std::setw(18)
            << line["contraction"].get<std::string>() << std::right << std::setw(7)
            << number("gflop", 2) << std::setw(7) << number("gigabytes", 2) << std::setw(9)
            << number("median_ms", 1) << std::setw(13) << number("share_of_dgemm", 3)
            << std::setw(13) << number("share_of_floor", 3) << std::setw(10)
            << number("dgemm_gflops", 0) << std::setw(9) << number("copy_gigabytes_per_second", 1)
            << std::endl;
}

void bench_contractions(Index samples, const std::vector<int>& numbers, const std::string& path) {
  BenchRecords records(path);
  print_backend();
  std::cout << "contractions of TCCG, double precision, median of " << samples
            << "\n no  contraction         GFLOP     GB       ms  of dgemm's   of floor's"
               "   GFLOP/s     GB/s\n";
  LargeProduct<double> product;
  for (const Contraction& contraction : contractions()) {
    if (!numbers.empty() && std::ranges::count(numbers, contraction.number) == 0) continue;
    nlohmann::json line = measure(contraction, samples, product);
    print_contraction(line);
    records.add(std::move(line));
  }
  records.commit();
}

}  // namespace

void add_bench_contractions(CLI::App& bench) {
  struct Options {
    Index samples = 7;
    std::vector<int> numbers;
    std::string json;
  };
  auto o = std::make_shared<Options>();
  CLI::App* command =
      add_command(bench, "contractions", "Contractions of two tensors, a subset of TCCG");
  std::vector<std::string> numbers;
  for (const Contraction& contraction : contractions())
    numbers.push_back(std::to_string(contraction.number));
  command->add_option("--numbers", o->numbers, "Some of them, by the numbers of TCCG")
      ->delimiter(',')
      ->check(one_of(numbers));
  command->add_option("--samples", o->samples, "Runs of each")->transform(whole_number(1));
  command->add_option("--json", o->json, "The same as JSON");
  command->callback([o] { bench_contractions(o->samples, o->numbers, o->json); });
}

}  // namespace metatt::apps
