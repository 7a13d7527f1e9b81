#include <metatt/transformer/adapters/adapter.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/transformer/adapters/adalora.hpp>
#include <metatt/transformer/adapters/dora.hpp>
#include <metatt/transformer/adapters/lora.hpp>
#include <metatt/transformer/adapters/lorta.hpp>
#include <metatt/transformer/adapters/lotr.hpp>
#include <metatt/transformer/adapters/meta_tt.hpp>
#include <metatt/transformer/adapters/vera.hpp>

#include <algorithm>
#include <functional>

namespace metatt::transformer {

namespace {

constexpr std::array<const char*, matrix_type_count> type_names{"query",
                                                                "key",
                                                                "value",
                                                                "attention_output",
                                                                "feed_forward_up",
                                                                "feed_forward_down",
                                                                "feed_forward_gate"};

constexpr std::array<const char*, 4> mode_names{"layer", "task", "matrix_type", "head"};

template <class T>
using Maker = std::unique_ptr<Adapter<T>> (*)(const AdapterSettings&, const ModelConfig&,
                                              Weights<T>&, const std::map<std::string, Shape>&);

/// Whether ranks can change in training, and of what.
enum class Ranks { fixed, of_trains, of_triplets };

template <class T>
struct Kind {
  Maker<T> make;
  Ranks ranks;
  bool one_train = false;
};

template <class T, class Adapter>
std::unique_ptr<transformer::Adapter<T>> make(const AdapterSettings& settings,
                                              const ModelConfig& config, Weights<T>& weights,
                                              const std::map<std::string, Shape>& shapes) {
  return std::make_unique<Adapter>(settings, config, weights, shapes);
}

/// The table of adapters: a new one is a line here and a file of its own.
template <class T>
const std::map<std::string, Kind<T>>& kinds() {
  static const std::map<std::string, Kind<T>> table{
      {"adalora", {make<T, AdaLora<T>>, Ranks::of_triplets}},
      {"dora", {make<T, Dora<T>>, Ranks::of_trains}},
      {"lora", {make<T, Lora<T>>, Ranks::of_trains}},
      {"lorta", {make<T, Lorta<T>>, Ranks::fixed}},
      {"lotr", {make<T, Lotr<T>>, Ranks::of_trains}},
      {"metatt4+1d", {make<T, MetaTT<T>>, Ranks::of_trains, /*one_train=*/true}},
      {"metatt4d", {make<T, MetaTT<T>>, Ranks::of_trains, /*one_train=*/true}},
      {"metatt5+1d", {make<T, MetaTT<T>>, Ranks::of_trains, /*one_train=*/true}},
      {"metatt5d", {make<T, MetaTT<T>>, Ranks::of_trains, /*one_train=*/true}},
      {"vera", {make<T, Vera<T>>, Ranks::fixed}},
  };
  return table;
}

MatrixType find_matrix_type(const std::string& name) {
  std::string known;
  for (int i = 0; i < matrix_type_count; ++i) {
    if (name == type_names[static_cast<std::size_t>(i)]) return static_cast<MatrixType>(i);
    known += (i ? ", " : "") + std::string(type_names[static_cast<std::size_t>(i)]);
  }
  tn::fail("target_modules: expected names out of ", known, "; found \"", name, "\"");
}

CoreMode find_core_mode(const std::string& name) {
  for (std::size_t i = 0; i < mode_names.size(); ++i)
    if (name == mode_names[i]) return static_cast<CoreMode>(i);
  tn::fail("core_order: expected names out of layer, task, matrix_type, head; found \"", name,
           "\"");
}

}  // namespace

std::string matrix_type_name(MatrixType type) {
  return type_names.at(static_cast<std::size_t>(type));
}

std::vector<MatrixType> find_matrix_types(const std::vector<std::string>& names) {
  std::vector<MatrixType> types;
  std::ranges::transform(names, std::back_inserter(types), find_matrix_type);
  return types;
}

std::string core_mode_name(CoreMode mode) {
  return mode_names.at(static_cast<std::size_t>(mode));
}

std::vector<CoreMode> find_core_modes(const std::vector<std::string>& names) {
  std::vector<CoreMode> modes;
  std::ranges::transform(names, std::back_inserter(modes), find_core_mode);
  return modes;
}

const char* module_of(const Family& family, MatrixType type) {
  const ModuleNames& names = family.names;
  switch (type) {
    case MatrixType::query:
      return names.query;
    case MatrixType::key:
      return names.key;
    case MatrixType::value:
      return names.value;
    case MatrixType::attention_output:
      return names.attention_output;
    case MatrixType::feed_forward_up:
      return names.up;
    case MatrixType::feed_forward_down:
      return names.down;
    case MatrixType::feed_forward_gate:
      return names.gate;
  }
  return nullptr;
}

std::vector<MatrixType> matrix_types(const Family& family) {
  std::vector<MatrixType> types;
  for (int t = 0; t < matrix_type_count; ++t)
    if (const auto type = static_cast<MatrixType>(t);
        family.gated || type != MatrixType::feed_forward_gate)
      types.push_back(type);
  return types;
}

MatrixExtents matrix_extents(const ModelConfig& config, MatrixType type) {
  const Index d = config.hidden_size, f = config.intermediate_size;
  switch (type) {
    case MatrixType::query:
      return {d, config.query_width()};
    case MatrixType::key:
    case MatrixType::value:
      return {d, config.key_value_width()};
    case MatrixType::attention_output:
      return {config.query_width(), d};
    case MatrixType::feed_forward_gate:
    case MatrixType::feed_forward_up:
      return {d, f};
    case MatrixType::feed_forward_down:
      break;
  }
  return {f, d};
}

namespace {

/// What all matrices share may well be larger than each (VeRA's factors are random).
void check_rank(const AdapterSettings& settings) {
  if (is_one_train(settings.kind)) return;  // the bonds have limits of their own
  constexpr Index most = 65536;
  if (settings.rank < 1 || settings.rank > most)
    tn::fail("rank: expected 1 … ", most, ", found ", settings.rank);
}

/// Of trains and triplets, which start with one rank that every matrix can have.
void check_first_rank(const AdapterSettings& settings, const ModelConfig& config) {
  if (is_one_train(settings.kind)) return;
  if (!has_trains(settings.kind) && !has_triplets(settings.kind)) return;
  for (const MatrixType type : settings.targets) {
    const auto [d_in, d_out] = matrix_extents(config, type);
    if (settings.rank > std::min(d_in, d_out))
      tn::fail("rank: expected 1 … ", std::min(d_in, d_out), ", what ", matrix_type_name(type),
               " (", d_in, "×", d_out, ") can have, found ", settings.rank);
  }
}

}  // namespace

void check_adapter_settings(const AdapterSettings& settings, const ModelConfig& config) {
  if (settings.targets.empty()) tn::fail("target_modules: an adapter needs at least one matrix");
  if (std::adjacent_find(settings.targets.begin(), settings.targets.end(),
                         std::greater_equal<>()) != settings.targets.end())
    tn::fail(
        "target_modules: expected each name once, in the order query, key, value, "
        "attention_output, feed_forward_up, feed_forward_down, feed_forward_gate");
  if (!config.family().gated && settings.targets.back() == MatrixType::feed_forward_gate)
    tn::fail("target_modules: feed_forward_gate: the family \"", config.model_type,
             "\" has no gate");
  if (settings.tasks < 1) tn::fail("tasks: expected at least 1, found ", settings.tasks);
  check_rank(settings);
  if (!(settings.alpha > 0) || settings.alpha > 1e6)
    tn::fail("alpha: expected a positive factor up to 1e6, found ", settings.alpha);
}

namespace {

/// The factors that an update has.
template <class T>
std::vector<Variable<T>*> factors_of(autodiff::LowRankUpdate<T>& update) {
  std::vector<Variable<T>*> factors{&update.U, &update.V};
  if (!update.C.empty()) factors.push_back(&update.C);
  return factors;
}

}  // namespace

template <class T>
void UpdateTable<T>::append_factors(Index layer, std::vector<Variable<T>>& factors) const {
  for (auto [place, update] : updates_)
    if (place.first == layer)
      for (const Variable<T>* factor : factors_of(update)) factors.push_back(*factor);
  for (const auto& [place, gain] : gains_)
    if (place.first == layer) factors.push_back(gain);
}

template <class T>
UpdateTable<T> UpdateTable<T>::with_factors(Index layer,
                                            std::span<const Variable<T>> factors) const {
  UpdateTable result;
  std::size_t next = 0;
  for (auto [place, update] : updates_) {
    if (place.first != layer) continue;
    for (Variable<T>* factor : factors_of(update)) *factor = factors[next++];
    result.set(layer, place.second, std::move(update));
  }
  for (const auto& [place, gain] : gains_)
    if (place.first == layer) result.set_gain(layer, place.second, factors[next++]);
  return result;
}

template class UpdateTable<float>;
template class UpdateTable<double>;

namespace {

/// The columns of C·V that an update uses, r × width, or of V where there is no C.
template <class T>
Tensor<T> right_factor(const autodiff::LowRankUpdate<T>& update) {
  auto& queue = tn::backend::queue();
  const Tensor<T>&C = update.C.value, &V = update.V.value;
  const Index rank = V.extent(0), ldv = V.extent(1);
  Tensor<T> right({C.empty() ? rank : C.extent(0), update.width});
  if (C.empty())
    tn::backend::copy_matrix(queue, rank, update.width, V.data(), ldv, right.mutable_data(),
                             update.width);
  else
    tn::backend::gemm(queue, tn::Transpose::no, tn::Transpose::no, C.extent(0), update.width, rank,
                      T(1), C.data() + update.slice * rank, C.extent(1) * rank, V.data(), ldv, T(0),
                      right.mutable_data(), update.width);
  return right;
}

/// U·C, n × r.
template <class T>
Tensor<T> left_factor(const autodiff::LowRankUpdate<T>& update, Index rows) {
  const Tensor<T>& C = update.C.value;
  const Index rank = update.V.value.extent(0), r1 = C.extent(0);
  Tensor<T> left({rows, rank});
  tn::backend::gemm(tn::backend::queue(), tn::Transpose::no, tn::Transpose::no, rows, rank, r1,
                    T(1), update.U.value.data(), r1, C.data() + update.slice * rank,
                    C.extent(1) * rank, T(0), left.mutable_data(), rank);
  return left;
}

/// The factors of the update of one matrix.
template <class T>
typename Adapter<T>::LoraFactors lora_factors_of(const autodiff::LowRankUpdate<T>& update,
                                                 Index d_in, bool keeps_U) {
  // The smaller one of the two ranks.
  if (!keeps_U && !update.C.empty() && update.C.value.extent(2) < update.C.value.extent(0)) {
    autodiff::LowRankUpdate<T> outer = update;
    outer.C = {};
    return {scaled_transpose(left_factor(update, d_in), T(1)),
            scaled_transpose(right_factor(outer), update.alpha)};
  }
  return {scaled_transpose(update.U.value.slice(0, d_in), T(1)),
          scaled_transpose(right_factor(update), update.alpha)};
}

}  // namespace

template <class T>
typename Adapter<T>::LoraFactors Adapter<T>::lora_factors(const UpdateTable<T>& updates,
                                                          Index layer, MatrixType type,
                                                          bool keeps_U) const {
  const autodiff::LowRankUpdate<T>* update = updates.of(layer, type);
  if (!update)
    tn::fail(settings_.kind, ": ", matrix_type_name(type), " of layer ", layer, " is not adapted");
  return lora_factors_of(*update, matrix_extents(config_, type).d_in, keeps_U);
}

template <class T>
Tensor<T> Adapter<T>::merged(const UpdateTable<T>& updates, Index layer, MatrixType type,
                             const Tensor<T>& weight) const {
  const autodiff::LowRankUpdate<T>* update = updates.of(layer, type);
  if (!update) return weight;
  const auto [A, B] = lora_factors_of(*update, matrix_extents(config_, type).d_in, false);
  auto& queue = tn::backend::queue();
  Tensor<T> sum = tn::matrix_product(B, A);
  tn::backend::add_scaled(queue, sum.size(), T(1), weight.data(), sum.mutable_data());
  const Variable<T> gain = updates.gain(layer, type);
  const Index width = sum.extent(1);
  if (!gain.empty()) {
    const auto factors = gain.value.to_vector();
    for (std::size_t row = 0; row < factors.size(); ++row)
      tn::backend::scale(queue, width, factors[row],
                         sum.mutable_data() + static_cast<Index>(row) * width);
  }
  return sum;
}

template class Adapter<float>;
template class Adapter<double>;

template <class T>
typename Weights<T>::Id add_adapter_tensor(Weights<T>& weights, const std::string& name,
                                           Tensor<T> value,
                                           const std::map<std::string, Shape>& shapes,
                                           bool trained) {
  const auto given = shapes.find(name);
  if (given != shapes.end() && given->second != value.shape())
    tn::fail("\"", name, "\" has shape ", tn::shape_text(given->second), ", expected ",
             tn::shape_text(value.shape()));
  const auto id = weights.add(name, std::move(value));
  if (trained) weights.train(id, WeightGroup::decayed);
  return id;
}

MatrixExtents largest_extents(const AdapterSettings& settings, const ModelConfig& config) {
  MatrixExtents largest{0, 0};
  for (const MatrixType type : settings.targets) {
    const MatrixExtents extents = matrix_extents(config, type);
    largest.d_in = std::max(largest.d_in, extents.d_in);
    largest.d_out = std::max(largest.d_out, extents.d_out);
  }
  return largest;
}

std::string site_name(Index layer, MatrixType type) {
  return "adapter.layer." + std::to_string(layer) + "." + matrix_type_name(type);
}

template <class T>
Tensor<T> uniform_matrix(Index rows, Index columns, double bound, std::uint64_t seed,
                         std::uint64_t stream) {
  Tensor<T> matrix({rows, columns});
  tn::backend::random_uniform(tn::backend::queue(), matrix.size(), seed, stream,
                              matrix.mutable_data());
  auto values = matrix.to_vector();
  for (T& v : values) v = static_cast<T>((2 * static_cast<double>(v) - 1) * bound);
  return Tensor<T>::from({rows, columns}, std::span<const T>(values));
}

template <class T>
Tensor<T> normal_matrix(Index rows, Index columns, double deviation, std::uint64_t seed,
                        std::uint64_t stream) {
  Tensor<T> matrix = tn::random_normal<T>({rows, columns}, seed, stream);
  tn::backend::scale(tn::backend::queue(), matrix.size(), static_cast<T>(deviation),
                     matrix.mutable_data());
  return matrix;
}

#define METATT_INSTANTIATE(T)                                                            \
  template Weights<T>::Id add_adapter_tensor(Weights<T>&, const std::string&, Tensor<T>, \
                                             const std::map<std::string, Shape>&, bool); \
  template Tensor<T> uniform_matrix(Index, Index, double, std::uint64_t, std::uint64_t); \
  template Tensor<T> normal_matrix(Index, Index, double, std::uint64_t, std::uint64_t);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

template <class T>
Tensor<T> scaled_transpose(const Tensor<T>& matrix, T factor) {
  constexpr std::array<int, 2> swapped{1, 0};
  // With one row or column the permuted tensor shares the matrix's memory, perhaps the arena's.
  const Tensor<T> transposed = tn::permute<T>(matrix, swapped);
  Tensor<T> out(transposed.shape());
  tn::backend::copy(tn::backend::queue(), out.size(), transposed.data(), out.mutable_data());
  tn::backend::scale(tn::backend::queue(), out.size(), factor, out.mutable_data());
  return out;
}

template Tensor<float> scaled_transpose(const Tensor<float>&, float);
template Tensor<double> scaled_transpose(const Tensor<double>&, double);

template <class T>
std::unique_ptr<Adapter<T>> make_adapter(const AdapterSettings& settings, const ModelConfig& config,
                                         Weights<T>& weights,
                                         const std::map<std::string, Shape>& shapes) {
  check_adapter_settings(settings, config);
  if (shapes.empty()) check_first_rank(settings, config);  // else it is the largest of the file's
  const auto found = kinds<T>().find(settings.kind);
  if (found == kinds<T>().end())
    tn::fail("adapter: expected one of ", tn::joined(adapter_kinds()), "; found \"", settings.kind,
             "\"");
  return found->second.make(settings, config, weights, shapes);
}

std::vector<std::string> adapter_kinds() {
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds<float>()) names.push_back(name);
  return names;
}

bool is_one_train(const std::string& kind) {
  const auto found = kinds<float>().find(kind);
  return found != kinds<float>().end() && found->second.one_train;
}

namespace {

bool has_ranks(const std::string& kind, Ranks ranks) {
  const auto found = kinds<float>().find(kind);
  return found != kinds<float>().end() && found->second.ranks == ranks;
}

}  // namespace

bool has_trains(const std::string& kind) {
  return has_ranks(kind, Ranks::of_trains);
}

bool has_triplets(const std::string& kind) {
  return has_ranks(kind, Ranks::of_triplets);
}

template std::unique_ptr<Adapter<float>> make_adapter(const AdapterSettings&, const ModelConfig&,
                                                      Weights<float>&,
                                                      const std::map<std::string, Shape>&);
template std::unique_ptr<Adapter<double>> make_adapter(const AdapterSettings&, const ModelConfig&,
                                                       Weights<double>&,
                                                       const std::map<std::string, Shape>&);

}  // namespace metatt::transformer
