#include <metatt/transformer/adapters/lotr.hpp>

#include <cmath>

namespace metatt::transformer {

namespace {

/// Those of a file whose ranks have been adapted.
std::pair<Index, Index> stored_ranks(const std::map<std::string, Shape>& shapes,
                                     const std::string& name, Index otherwise) {
  const auto found = shapes.find(name);
  if (found == shapes.end() || found->second.size() != 3 || found->second[0] < 1 ||
      found->second[2] < 1)
    return {otherwise, otherwise};
  return {found->second[0], found->second[2]};
}

}  // namespace

template <class T>
Lotr<T>::Lotr(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
              const std::map<std::string, Shape>& shapes)
    : Adapter<T>(settings, config), weights_(weights) {
  const Index r = settings.rank, layers = config.num_hidden_layers;
  std::uint64_t stream = 0;
  const auto normal = [&](Index rows, Index columns) {
    return normal_matrix<T>(rows, columns, 1 / std::sqrt(static_cast<double>(rows)), settings.seed,
                            stream++);
  };
  for (const MatrixType type : settings.targets) {
    const auto [d_in, d_out] = matrix_extents(config, type);
    const std::string name = "adapter." + matrix_type_name(type);
    const auto [left, right] = stored_ranks(shapes, name + ".C", r);
    const auto U = add_adapter_tensor(weights, name + ".U", normal(d_in, left), shapes);
    const auto C =
        add_adapter_tensor(weights, name + ".C", Tensor<T>::zeros({left, layers, right}), shapes);
    const auto V = add_adapter_tensor(weights, name + ".V", normal(right, d_out), shapes);
    factors_.push_back({type, U, C, V});
  }
}

template <class T>
UpdateTable<T> Lotr<T>::updates(autodiff::Tape<T>& tape, Index /*task*/) const {
  UpdateTable<T> table;
  for (const Factors& factors : factors_) {
    const Variable<T> U = weights_.use(tape, factors.U), C = weights_.use(tape, factors.C),
                      V = weights_.use(tape, factors.V);
    for (Index layer = 0; layer < this->config_.num_hidden_layers; ++layer)
      table.set(layer, factors.type,
                {U, C, layer, V, static_cast<T>(this->settings_.alpha), 0, V.value.extent(1)});
  }
  return table;
}

template <class T>
std::vector<typename Weights<T>::Id> Lotr<T>::tensors() const {
  std::vector<Id> ids;
  for (const Factors& factors : factors_) ids.insert(ids.end(), {factors.U, factors.C, factors.V});
  return ids;
}

template <class T>
std::vector<std::vector<typename Weights<T>::Id>> Lotr<T>::trains() const {
  std::vector<std::vector<Id>> trains;
  for (const Factors& factors : factors_) trains.push_back({factors.U, factors.C, factors.V});
  return trains;
}

template class Lotr<float>;
template class Lotr<double>;

}  // namespace metatt::transformer
