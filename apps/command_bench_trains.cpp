/// metatt bench trains: how the cost of trains grows with rank and length, beside what theory says.

#include <metatt/apps/bench_timing.hpp>
#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/chain/fitting.hpp>
#include <metatt/tn/chain/matrix_product_state.hpp>
#include <metatt/tn/chain/operator_application.hpp>
#include <metatt/tn/cross_interpolation.hpp>
#include <metatt/transformer/rank_adaptation.hpp>

#include <cmath>
#include <iomanip>
#include <iostream>

namespace metatt::apps {

namespace {

using tn::Index;

/// Prepares a case of a rank and a length, and returns what is to be timed.
using Prepare = std::function<std::function<void()>(Index rank, Index length)>;

/// Of a cost that grows, by theory, with the cube of a large rank and with the length.
struct Operation {
  std::string name;
  std::vector<Index> ranks;
  std::vector<Index> lengths;
  Prepare prepare;
};

/// A function of this rank in every bond: a sum of waves of Σ x, two ranks each.
std::function<double(std::span<const Index>)> waves(Index rank) {
  return [rank](std::span<const Index> x) {
    double sum = 0, value = 0;
    for (const Index i : x) sum += static_cast<double>(i);
    for (Index k = 1; k <= rank / 2; ++k)
      value += std::cos(0.37 * static_cast<double>(k) * sum + static_cast<double>(k * k));
    return value;
  };
}

std::function<void()> cross(Index rank, Index length) {
  return [f = waves(rank), modes = std::vector<Index>(static_cast<std::size_t>(length), 24)] {
    tn::cross_interpolation<double>(f, modes, {.tolerance = 1e-9});
  };
}

/// A train of twice the rank that has the rank.
std::function<void()> rounding(Index rank, Index length) {
  const std::vector<Index> modes(static_cast<std::size_t>(length), 4),
      ranks(static_cast<std::size_t>(length - 1), rank);
  const auto train = tn::TensorTrain<double>::random(modes, ranks, 1);
  return [twice = train + train, rank] {
    auto copy = twice;
    tn::sweep(copy, {.maximum_rank = rank}, tn::SweepMode::rounding);
  };
}

/// The train of all updates of a transformer of width 1024 and six matrices a layer, to half its
/// rank as training does it, with the spectra before and after and AdamW's moments carried along;
/// 24 layers make it RoBERTa's large size.
Prepare adapter_sweep(tn::SweepMode mode) {
  return [mode](Index rank, Index layers) -> std::function<void()> {
    const std::vector<Index> modes{1024, layers, 6, 1024}, ranks(3, rank);
    const auto random = [&](std::uint64_t seed) {
      return tn::TensorTrain<double>::random(modes, ranks, seed);
    };
    const transformer::TrainWithMoments trained{random(1), transformer::dense_cores(random(2)),
                                                transformer::dense_cores(random(3))};
    return [trained, rank, mode] {
      auto copy = trained;
      transformer::RankAdaptation(mode, transformer::OptimizerState::project)
          .truncate(copy, {{rank / 2}});
    };
  };
}

struct Product {
  tn::MatrixProductOperator<double> mpo;
  tn::TensorTrain<double> state;
};

Product heisenberg(Index bond, Index length) {
  tn::OperatorSum H;
  for (Index i = 0; i + 1 < length; ++i) {
    H += 0.5 * tn::op("S+", i) * tn::op("S-", i + 1) + 0.5 * tn::op("S-", i) * tn::op("S+", i + 1);
    H += tn::op("Sz", i) * tn::op("Sz", i + 1);
  }
  const tn::Sites sites = tn::uniform_chain(length, tn::spin_site(2));
  return {tn::matrix_product_operator<double>(H, sites), tn::random_state<double>(sites, bond, 1)};
}

Prepare application(tn::Application method) {
  return [method](Index rank, Index length) -> std::function<void()> {
    return [product = heisenberg(rank, length), rank, method] {
      tn::apply(product.mpo, product.state, {.maximum_rank = rank}, method);
    };
  };
}

std::function<void()> fit(Index rank, Index length) {
  return [product = heisenberg(rank, length), rank] {
    tn::fit(product.mpo, product.state, product.state, {.maximum_bond = rank, .sweeps = 1});
  };
}

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all{
      {"TT-cross", {8, 16, 32}, {12, 24}, cross},
      {"rounding", {32, 64, 128}, {24, 48}, rounding},
      {"adapter's sweep, rounding", {16, 32, 64}, {24, 48}, adapter_sweep(tn::SweepMode::rounding)},
      {"adapter's sweep, paper", {16, 32, 64}, {24, 48}, adapter_sweep(tn::SweepMode::paper)},
      {"apply, exact", {32, 64, 128}, {24, 48}, application(tn::Application::exact)},
      {"apply, density matrix",
       {32, 64, 128},
       {24, 48},
       application(tn::Application::density_matrix)},
      {"apply, zip-up", {32, 64, 128}, {24, 48}, application(tn::Application::zip_up)},
      {"fit of H·ψ, a sweep", {32, 64, 128}, {24, 48}, fit},
  };
  return all;
}

/// Exponent p of a time that grows as size^p between two sizes.
double exponent(double before, double after, Index from, Index to) {
  return std::log(after / before) / std::log(static_cast<double>(to) / static_cast<double>(from));
}

nlohmann::json measure(const Operation& operation, Index samples) {
  const auto time = [&](Index rank, Index length) {
    const auto work = operation.prepare(rank, length);
    work();
    std::vector<double> times;
    for (Index i = 0; i < samples; ++i) times.push_back(milliseconds_of(work));
    return median(times);
  };
  nlohmann::json line{
      {"operation", operation.name}, {"ranks", operation.ranks}, {"lengths", operation.lengths}};
  std::vector<double> times, exponents;
  for (const Index rank : operation.ranks) times.push_back(time(rank, operation.lengths[0]));
  for (std::size_t i = 1; i < times.size(); ++i)
    exponents.push_back(
        exponent(times[i - 1], times[i], operation.ranks[i - 1], operation.ranks[i]));
  const std::size_t middle = operation.ranks.size() / 2;
  const double longer = time(operation.ranks[middle], operation.lengths[1]);
  line["milliseconds"] = times;
  line["rank_exponents"] = exponents;
  line["length_exponent"] =
      exponent(times[middle], longer, operation.lengths[0], operation.lengths[1]);
  return line;
}

void print_operation(const nlohmann::json& line) {
  std::cout << line["operation"].get<std::string>() << ": length "
            << line["lengths"][0].get<Index>() << ", rank";
  for (std::size_t i = 0; i < line["ranks"].size(); ++i)
    std::cout << (i ? ", " : " ") << line["ranks"][i].get<Index>() << " "
              << fixed(line["milliseconds"][i].get<double>(), 1) << " ms";
  std::cout << "; exponents of the rank";
  for (const auto& value : line["rank_exponents"])
    std::cout << " " << fixed(value.get<double>(), 2);
  std::cout << " (theory 3), of the length " << fixed(line["length_exponent"].get<double>(), 2)
            << " (theory 1)" << std::endl;
}

void bench_trains(Index samples, const std::string& path) {
  BenchRecords records(path);
  print_backend();
  for (const Operation& operation : operations()) {
    nlohmann::json line = measure(operation, samples);
    print_operation(line);
    records.add(std::move(line));
  }
  records.commit();
}

}  // namespace

void add_bench_trains(CLI::App& bench) {
  struct Options {
    Index samples = 5;
    std::string json;
  };
  auto o = std::make_shared<Options>();
  CLI::App* command = add_command(
      bench, "trains", "How interpolation, rounding and operators grow with rank and length");
  command->add_option("--samples", o->samples, "Runs of each")->transform(whole_number(1));
  command->add_option("--json", o->json, "The same as JSON");
  command->callback([o] { bench_trains(o->samples, o->json); });
}

}  // namespace metatt::apps
