#include <metatt/transformer/lora.hpp>

#include <metatt/tn/contract.hpp>

#include <cmath>

namespace metatt::transformer {

namespace {

template <class T>
Tensor<T> kaiming_uniform(Index d_in, Index rank, std::uint64_t seed, std::uint64_t stream) {
  Tensor<T> U({d_in, rank});
  tn::backend::random_uniform(tn::backend::queue(), U.size(), seed, stream, U.mutable_data());
  const double bound = 1 / std::sqrt(static_cast<double>(d_in));
  auto values = U.to_vector();
  for (T& v : values) v = static_cast<T>((2 * static_cast<double>(v) - 1) * bound);
  return Tensor<T>::from({d_in, rank}, std::span<const T>(values));
}

template <class T>
Tensor<T> transposed(const Tensor<T>& matrix, T factor) {
  const std::array<int, 2> swapped{1, 0};
  Tensor<T> out = tn::permute(matrix, swapped);
  tn::backend::scale(tn::backend::queue(), out.size(), factor, out.mutable_data());
  return out;
}

}  // namespace

template <class T>
Lora<T>::Lora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
              const std::map<std::string, Shape>& shapes)
    : Adapter<T>(settings, config), weights_(weights) {
  const auto add = [&](const std::string& name, Tensor<T> value) {
    const auto given = shapes.find(name);
    if (given != shapes.end() && given->second != value.shape())
      tn::fail("lora: \"", name, "\" has shape ", tn::shape_text(given->second), ", expected ",
               tn::shape_text(value.shape()));
    const auto id = weights.add(name, std::move(value));
    weights.train(id, WeightGroup::decayed);
    return id;
  };
  std::uint64_t stream = 0;
  for (Index layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const MatrixType type : settings.targets) {
      const auto [d_in, d_out] = matrix_extents(config, type);
      const std::string site =
          "adapter.layer." + std::to_string(layer) + "." + matrix_type_name(type);
      const auto U =
          add(site + ".U", kaiming_uniform<T>(d_in, settings.rank, settings.seed, stream++));
      const auto V = add(site + ".V", Tensor<T>::zeros({settings.rank, d_out}));
      sites_.push_back({layer, type, U, V});
    }
  }
}

template <class T>
UpdateTable<T> Lora<T>::updates(autodiff::Tape<T>& tape) const {
  UpdateTable<T> table;
  for (const Site& site : sites_)
    table.set(site.layer, site.type,
              {weights_.use(tape, site.U),
               {},
               0,
               weights_.use(tape, site.V),
               static_cast<T>(this->settings_.alpha),
               0,
               matrix_extents(this->config_, site.type).d_out});
  return table;
}

template <class T>
std::vector<typename Weights<T>::Id> Lora<T>::tensors() const {
  std::vector<typename Weights<T>::Id> ids;
  for (const Site& site : sites_) {
    ids.push_back(site.U);
    ids.push_back(site.V);
  }
  return ids;
}

template <class T>
typename Adapter<T>::LoraFactors Lora<T>::lora_factors(Index layer, MatrixType type) const {
  for (const Site& site : sites_)
    if (site.layer == layer && site.type == type)
      return {transposed(weights_.value(site.U), T(1)),
              transposed(weights_.value(site.V), static_cast<T>(this->settings_.alpha))};
  tn::fail("Lora: ", matrix_type_name(type), " of layer ", layer, " is not adapted");
}

template class Lora<float>;
template class Lora<double>;

}  // namespace metatt::transformer
