#include <metatt/transformer/adapters/dora.hpp>

#include <metatt/tn/contract.hpp>

#include <algorithm>

namespace metatt::transformer {

namespace {

template <class T>
std::vector<T> row_norms(const Tensor<T>& matrix) {
  std::vector<T> norms;
  for (Index row = 0; row < matrix.extent(0); ++row)
    norms.push_back(static_cast<T>(tn::backend::norm(tn::backend::queue(), matrix.extent(1),
                                                     matrix.data() + row * matrix.extent(1))));
  return norms;
}

}  // namespace

/// A matrix of the backbone, whose weights of some types lie one below the other in one tensor.
template <class T>
Tensor<T> Dora<T>::base(Index layer, MatrixType type) const {
  using enum MatrixType;
  const Family& family = this->config_.family();
  const ModuleNames& names = family.names;
  std::vector<MatrixType> joined{type};
  const char* module = module_of(family, type);
  if (type == query || type == key || type == value) {
    joined = {query, key, value};
    module = names.joined;
  } else if (family.gated && (type == feed_forward_gate || type == feed_forward_up)) {
    joined = {feed_forward_gate, feed_forward_up};
    module = names.gate_and_up;
  }
  Index row = 0;
  for (const MatrixType other : joined) {
    if (other == type) break;
    row += matrix_extents(this->config_, other).d_out;
  }
  const Tensor<T> weight = this->weights_.value(this->weights_.find(
      names.layers + std::to_string(layer) + "." + std::string(module) + ".weight"));
  return weight.slice(row, row + matrix_extents(this->config_, type).d_out);
}

template <class T>
Dora<T>::Dora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
              const std::map<std::string, Shape>& shapes)
    : Lora<T>(settings, config, weights, shapes) {
  for (const auto& site : this->sites_) {
    const auto norms = row_norms(base(site.layer, site.type));
    magnitudes_.push_back(add_adapter_tensor(
        weights, site_name(site.layer, site.type) + ".m",
        Tensor<T>::from({static_cast<Index>(norms.size())}, std::span<const T>(norms)), shapes));
  }
}

template <class T>
UpdateTable<T> Dora<T>::updates(autodiff::Tape<T>& tape, Index task) const {
  UpdateTable<T> table = Lora<T>::updates(tape, task);
  for (std::size_t i = 0; i < magnitudes_.size(); ++i) {
    const auto& site = this->sites_[i];
    const auto U = scaled_transpose(this->weights_.value(site.U), T(1));
    const auto V =
        scaled_transpose(this->weights_.value(site.V), static_cast<T>(this->settings_.alpha));
    Tensor<T> sum = tn::matrix_product(V, U);
    tn::backend::add_scaled(tn::backend::queue(), sum.size(), T(1),
                            base(site.layer, site.type).data(), sum.mutable_data());
    table.set_gain(
        site.layer, site.type,
        autodiff::quotient(tape, this->weights_.use(tape, magnitudes_[i]), row_norms(sum)));
  }
  return table;
}

template <class T>
std::vector<typename Weights<T>::Id> Dora<T>::tensors() const {
  auto ids = Lora<T>::tensors();
  ids.insert(ids.end(), magnitudes_.begin(), magnitudes_.end());
  return ids;
}

template class Dora<float>;
template class Dora<double>;

}  // namespace metatt::transformer
