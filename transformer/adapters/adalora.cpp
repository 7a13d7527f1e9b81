#include <metatt/transformer/adapters/adalora.hpp>

namespace metatt::transformer {

namespace {

/// V streams follow those of U.
constexpr std::uint64_t second_factor = std::uint64_t{1} << 32;
constexpr double deviation = 0.02;

}  // namespace

template <class T>
AdaLora<T>::AdaLora(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
                    const std::map<std::string, Shape>& shapes)
    : Lora<T>(settings, config, weights, shapes,
              {[&](Index d_in, std::uint64_t stream) {
                 return normal_matrix<T>(d_in, settings.rank, deviation, settings.seed, stream);
               },
               [&](Index d_out, std::uint64_t stream) {
                 return normal_matrix<T>(settings.rank, d_out, deviation, settings.seed,
                                         second_factor + stream);
               }}) {
  for (const auto& site : this->sites_)
    E_.push_back(add_adapter_tensor(weights, site_name(site.layer, site.type) + ".E",
                                    Tensor<T>::zeros({weights.shape(site.U)[1]}), shapes));
}

template <class T>
UpdateTable<T> AdaLora<T>::updates(autodiff::Tape<T>& tape, Index /*task*/) const {
  UpdateTable<T> table;
  for (std::size_t i = 0; i < E_.size(); ++i) {
    const auto& site = this->sites_[i];
    table.set(site.layer, site.type,
              this->update(tape, site,
                           autodiff::scale_columns(tape, this->weights_.use(tape, site.U),
                                                   this->weights_.use(tape, E_[i]))));
  }
  return table;
}

template <class T>
std::vector<typename Weights<T>::Id> AdaLora<T>::tensors() const {
  auto ids = Lora<T>::tensors();
  ids.insert(ids.end(), E_.begin(), E_.end());
  return ids;
}

template <class T>
std::vector<typename Adapter<T>::Triplet> AdaLora<T>::triplets() const {
  std::vector<typename Adapter<T>::Triplet> triplets;
  for (std::size_t i = 0; i < E_.size(); ++i)
    triplets.push_back({this->sites_[i].U, E_[i], this->sites_[i].V});
  return triplets;
}

template class AdaLora<float>;
template class AdaLora<double>;

}  // namespace metatt::transformer
