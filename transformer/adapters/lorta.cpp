#include <metatt/transformer/adapters/lorta.hpp>

#include <cmath>

namespace metatt::transformer {

template <class T>
Lorta<T>::Lorta(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
                const std::map<std::string, Shape>& shapes)
    : Adapter<T>(settings, config), weights_(weights) {
  const auto [d_in, d_out] = largest_extents(settings, config);
  const Index r = settings.rank;
  std::uint64_t stream = 0;
  const auto add = [&](const char* name, Index rows, double deviation) {
    return add_adapter_tensor(
        weights, name, normal_matrix<T>(rows, r, deviation, settings.seed, stream++), shapes);
  };
  A_ = add("adapter.A", d_in, 1 / std::sqrt(static_cast<double>(d_in)));
  B_ = add_adapter_tensor(weights, "adapter.B", Tensor<T>::zeros({r, config.head_size()}), shapes);
  heads_ = add("adapter.H", head_blocks(config, d_out), 1);
  layers_ = add("adapter.L", config.num_hidden_layers, 1);
  types_ = add("adapter.M", static_cast<Index>(settings.targets.size()), 1);
}

template <class T>
UpdateTable<T> Lorta<T>::updates(autodiff::Tape<T>& tape, Index /*task*/) const {
  const auto core = [&](Id id) { return autodiff::diagonal_core(tape, weights_.use(tape, id)); };
  const Variable<T> A = weights_.use(tape, A_), heads = core(heads_);
  const auto& targets = this->settings_.targets;
  const auto types = static_cast<Index>(targets.size());
  const Index r = this->settings_.rank, layers = this->config_.num_hidden_layers;
  const Variable<T> C = autodiff::matmul(tape, core(layers_), core(types_), {r, layers * types, r});
  const Variable<T> V = autodiff::matmul(tape, heads, weights_.use(tape, B_),
                                         {r, heads.value.extent(1) * this->config_.head_size()});
  UpdateTable<T> table;
  for (Index layer = 0; layer < layers; ++layer)
    for (Index m = 0; m < types; ++m) {
      const MatrixType type = targets[static_cast<std::size_t>(m)];
      table.set(layer, type,
                {A, C, layer * types + m, V, static_cast<T>(this->settings_.alpha), 0,
                 matrix_extents(this->config_, type).d_out});
    }
  return table;
}

template class Lorta<float>;
template class Lorta<double>;

}  // namespace metatt::transformer
