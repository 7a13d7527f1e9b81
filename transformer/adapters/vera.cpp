#include <metatt/transformer/adapters/vera.hpp>

#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::transformer {

namespace {

constexpr double initial_d = 0.1;

}  // namespace

template <class T>
Vera<T>::Vera(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
              const std::map<std::string, Shape>& shapes)
    : Adapter<T>(settings, config), weights_(weights) {
  const auto [d_in, d_out] = largest_extents(settings, config);
  const Index r = settings.rank;
  const auto bound = [](Index inputs) { return std::sqrt(6 / static_cast<double>(inputs)); };
  U_ = add_adapter_tensor(weights, "adapter.U",
                          uniform_matrix<T>(d_in, r, bound(d_in), settings.seed, 0), shapes, false);
  V_ = add_adapter_tensor(weights, "adapter.V",
                          uniform_matrix<T>(r, d_out, bound(r), settings.seed, 1), shapes, false);
  for (Index layer = 0; layer < config.num_hidden_layers; ++layer)
    for (const MatrixType type : settings.targets) {
      const std::string name = site_name(layer, type);
      Tensor<T> d({r});
      tn::backend::fill(tn::backend::queue(), r, static_cast<T>(initial_d), d.mutable_data());
      const auto b = Tensor<T>::zeros({matrix_extents(config, type).d_out});
      sites_.push_back({layer, type, add_adapter_tensor(weights, name + ".d", d, shapes),
                        add_adapter_tensor(weights, name + ".b", b, shapes)});
    }
}

template <class T>
UpdateTable<T> Vera<T>::updates(autodiff::Tape<T>& tape, Index /*task*/) const {
  UpdateTable<T> table;
  const Variable<T> U = weights_.use(tape, U_), V = weights_.use(tape, V_);
  for (const Site& site : sites_) {
    const Index d_out = matrix_extents(this->config_, site.type).d_out;
    const Variable<T> rows = autodiff::constant(tn::leading_columns(V.value, d_out));
    table.set(site.layer, site.type,
              {autodiff::scale_columns(tape, U, weights_.use(tape, site.d)),
               {},
               0,
               autodiff::scale_columns(tape, rows, weights_.use(tape, site.b)),
               static_cast<T>(this->settings_.alpha),
               0,
               d_out});
  }
  return table;
}

template <class T>
std::vector<typename Weights<T>::Id> Vera<T>::tensors() const {
  std::vector<Id> ids{U_, V_};
  for (const Site& site : sites_) {
    ids.push_back(site.d);
    ids.push_back(site.b);
  }
  return ids;
}

template class Vera<float>;
template class Vera<double>;

}  // namespace metatt::transformer
