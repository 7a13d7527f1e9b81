#include <metatt/transformer/adapters/lora.hpp>

#include <cmath>

namespace metatt::transformer {

namespace {

/// That of a file whose ranks have been adapted.
Index stored_rank(const std::map<std::string, Shape>& shapes, const std::string& name,
                  Index otherwise) {
  const auto found = shapes.find(name);
  return found != shapes.end() && found->second.size() == 2 && found->second[1] > 0
             ? found->second[1]
             : otherwise;
}

}  // namespace

template <class T>
Lora<T>::Lora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
              const std::map<std::string, Shape>& shapes)
    : Lora(settings, config, weights, shapes,
           {[&](Index d_in, std::uint64_t stream) {
              return uniform_matrix<T>(d_in, settings.rank,
                                       1 / std::sqrt(static_cast<double>(d_in)), settings.seed,
                                       stream);
            },
            [&](Index d_out, std::uint64_t) {
              return Tensor<T>::zeros({settings.rank, d_out});
            }}) {}

template <class T>
Lora<T>::Lora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
              const std::map<std::string, Shape>& shapes, const InitialFactors& initial)
    : Adapter<T>(settings, config), weights_(weights) {
  std::uint64_t stream = 0;
  for (Index layer = 0; layer < config.num_hidden_layers; ++layer)
    for (const MatrixType type : settings.targets) {
      const auto [d_in, d_out] = matrix_extents(config, type);
      const std::string name = site_name(layer, type);
      const Index rank = stored_rank(shapes, name + ".U", settings.rank);
      const bool fresh = rank == settings.rank;
      const auto zeros = [](Index rows, Index columns) {
        return Tensor<T>::zeros({rows, columns});
      };
      const auto U = add_adapter_tensor(
          weights, name + ".U", fresh ? initial.U(d_in, stream) : zeros(d_in, rank), shapes);
      const auto V = add_adapter_tensor(
          weights, name + ".V", fresh ? initial.V(d_out, stream) : zeros(rank, d_out), shapes);
      sites_.push_back({layer, type, U, V});
      ++stream;
    }
}

template <class T>
autodiff::LowRankUpdate<T> Lora<T>::update(autodiff::Tape<T>& tape, const Site& site,
                                           Variable<T> U) const {
  return {std::move(U),
          {},
          0,
          weights_.use(tape, site.V),
          static_cast<T>(this->settings_.alpha),
          0,
          matrix_extents(this->config_, site.type).d_out};
}

template <class T>
UpdateTable<T> Lora<T>::updates(autodiff::Tape<T>& tape, Index /*task*/) const {
  UpdateTable<T> table;
  for (const Site& site : sites_)
    table.set(site.layer, site.type, update(tape, site, weights_.use(tape, site.U)));
  return table;
}

template <class T>
std::vector<typename Weights<T>::Id> Lora<T>::tensors() const {
  std::vector<Id> ids;
  for (const Site& site : sites_) {
    ids.push_back(site.U);
    ids.push_back(site.V);
  }
  return ids;
}

template <class T>
std::vector<std::vector<typename Weights<T>::Id>> Lora<T>::trains() const {
  std::vector<std::vector<Id>> trains;
  for (const Site& site : sites_) trains.push_back({site.U, site.V});
  return trains;
}

template class Lora<float>;
template class Lora<double>;

}  // namespace metatt::transformer
