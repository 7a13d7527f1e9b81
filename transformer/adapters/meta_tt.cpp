#include <metatt/transformer/adapters/meta_tt.hpp>

#include <metatt/autodiff/ops_embedding.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/rank_adaptation.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::transformer {

namespace {

std::vector<std::string> split_codes(const std::string& text, std::size_t count) {
  std::vector<std::string> codes;
  if (text.empty()) {
    codes.assign(count, "id");
    codes.front() = "ze";
    return codes;
  }
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('-', begin), text.size());
    codes.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  const auto known = [](const std::string& code) {
    return code == "ze" || code == "id" || code == "no" || code == "or";
  };
  if (codes.size() != count || !std::ranges::all_of(codes, known))
    tn::fail("initialisation: expected ", count,
             " codes out of ze, id, no, or joined by \"-\", found \"", text, "\"");
  if (std::ranges::count(codes, "ze") != 1)
    tn::fail(
        "initialisation: expected exactly one ze (none changes the model at the start, two stop "
        "all "
        "gradients), found \"",
        text, "\"");
  return codes;
}

/// As a matrix: what is left of the last mode × the last mode for the end cores, else one slice.
template <class T>
Tensor<T> initial_matrix(const std::string& code, Index rows, Index columns, std::uint64_t seed,
                         std::uint64_t stream) {
  if (code == "ze") return Tensor<T>::zeros({rows, columns});
  if (code == "id") return tn::identity<T>(rows, columns);
  Tensor<T> normal = tn::random_normal<T>({rows, columns}, seed, stream);
  if (code == "or") return rows >= columns ? tn::qr(normal).q : tn::lq(normal).q;
  tn::backend::scale(tn::backend::queue(), normal.size(),
                     static_cast<T>(1 / std::sqrt(static_cast<double>(rows))),
                     normal.mutable_data());
  return normal;
}

template <class T>
Tensor<T> initial_core(Index k, const std::string& code, const Shape& shape, std::uint64_t seed) {
  const auto stream = static_cast<std::uint64_t>(k) << 32;
  if (shape.size() == 2) return initial_matrix<T>(code, shape[0], shape[1], seed, stream);
  Tensor<T> core(shape);
  for (Index s = 0; s < shape[1]; ++s) {
    const Tensor<T> slice =
        initial_matrix<T>(code, shape[0], shape[2], seed, stream + static_cast<std::uint64_t>(s));
    tn::backend::copy_matrix(tn::backend::queue(), shape[0], shape[2], slice.data(), shape[2],
                             core.mutable_data() + s * shape[2], shape[1] * shape[2]);
  }
  return core;
}

/// Some slices of a core, rank × slices × width, as rank × (as many · width).
template <class T>
Variable<T> side_by_side(autodiff::Tape<T>& tape, const Variable<T>& core,
                         const std::vector<Index>& slices) {
  const Index rank = core.value.extent(0), count = core.value.extent(1);
  std::vector<std::int32_t> rows;
  for (Index row = 0; row < rank; ++row)
    for (const Index slice : slices) rows.push_back(static_cast<std::int32_t>(row * count + slice));
  Variable<T> columns = autodiff::gather_rows(
      tape, core,
      Tensor<std::int32_t>::from({std::ssize(rows)}, std::span<const std::int32_t>(rows)));
  columns.value = columns.value.reshaped({rank, std::ssize(slices) * core.value.extent(2)});
  return columns;
}

/// Cores 1 … end − 1 of a train as one, C[·, l·M + m, ·] = G2[l]·G3[m]: one product of matrices for
/// all slices of each core.
template <class T>
Variable<T> product_of_cores(autodiff::Tape<T>& tape, const std::vector<Variable<T>>& G,
                             Index end) {
  Variable<T> C = G[1];
  for (Index k = 2; k < end; ++k) {
    const Variable<T>& next = G[static_cast<std::size_t>(k)];
    C = autodiff::matmul(
        tape, C, next,
        {C.value.extent(0), C.value.extent(1) * next.value.extent(1), next.value.extent(2)});
  }
  return C;
}

}  // namespace

std::vector<CoreMode> inner_modes_of(const std::string& kind) {
  using enum CoreMode;
  if (kind == "metatt4d") return {layer, matrix_type};
  if (kind == "metatt5d") return {layer, matrix_type, head};
  if (kind == "metatt4+1d") return {layer, task, matrix_type};
  if (kind == "metatt5+1d") return {layer, task, matrix_type, head};
  tn::fail("adapter: expected metatt4d, metatt5d, metatt4+1d or metatt5+1d, found \"", kind, "\"");
}

std::vector<CoreMode> inner_modes(const AdapterSettings& settings) {
  const auto usual = inner_modes_of(settings.kind);
  if (settings.core_order.empty()) return usual;
  if (!std::ranges::is_permutation(settings.core_order, usual)) {
    const auto list = [](const std::vector<CoreMode>& modes) {
      std::vector<std::string> names;
      std::ranges::transform(modes, std::back_inserter(names), core_mode_name);
      return tn::joined(names);
    };
    tn::fail("core_order: expected each of ", list(usual), " once, as ", settings.kind,
             " has them, found ", list(settings.core_order));
  }
  return settings.core_order;
}

std::vector<Index> train_modes(const AdapterSettings& settings, const ModelConfig& config) {
  const auto [d_in, d_out] = largest_extents(settings, config);
  std::vector<Index> modes{d_in};
  Index last = d_out;
  for (const CoreMode mode : inner_modes(settings)) {
    if (mode == CoreMode::layer) modes.push_back(config.num_hidden_layers);
    if (mode == CoreMode::task) modes.push_back(settings.tasks);
    if (mode == CoreMode::matrix_type) modes.push_back(static_cast<Index>(settings.targets.size()));
    if (mode == CoreMode::head) {
      modes.push_back(head_blocks(config, d_out));
      last = config.head_size();
    }
  }
  modes.push_back(last);
  return modes;
}

bool has_task_mode(const std::string& kind) {
  return is_one_train(kind) && std::ranges::count(inner_modes_of(kind), CoreMode::task) > 0;
}

template <class T>
MetaTT<T>::MetaTT(const AdapterSettings& settings, const ModelConfig& config, Weights<T>& weights,
                  const std::map<std::string, Shape>& shapes)
    : Adapter<T>(settings, config), weights_(weights), inner_(inner_modes(settings)) {
  const auto codes = split_codes(settings.initialisation, inner_.size() + 2);
  const auto sizes = modes(), ranks = shapes.empty() ? fresh_ranks() : stored_ranks(shapes);
  for (std::size_t k = 0; k < codes.size(); ++k) {
    const auto place = static_cast<Index>(k);
    Shape shape{sizes[k]};
    if (k > 0) shape.insert(shape.begin(), ranks[k - 1]);
    if (k < ranks.size()) shape.push_back(ranks[k]);
    ids_.push_back(
        weights.add(core_name(place), initial_core<T>(place, codes[k], shape, settings.seed)));
    if (!settings.only_task_core || is_task_core(place))
      weights.train(ids_.back(), WeightGroup::decayed);
  }
}

template <class T>
bool MetaTT<T>::is_task_core(Index k) const {
  return k > 0 && k <= static_cast<Index>(inner_.size()) &&
         inner_[static_cast<std::size_t>(k - 1)] == CoreMode::task;
}

template <class T>
Index MetaTT<T>::head_core() const {
  return std::ranges::find(inner_, CoreMode::head) - inner_.begin() + 1;
}

/// The ranks of a fresh adapter.
template <class T>
std::vector<Index> MetaTT<T>::fresh_ranks() const {
  const AdapterSettings& settings = this->settings_;
  const auto possible = tn::maximal_ranks(modes());
  auto ranks = settings.ranks;
  if (ranks.empty()) ranks.assign(possible.size(), settings.rank);
  if (ranks.size() != possible.size())
    tn::fail("rank: expected one for all bonds or ", possible.size(), ", one for each bond of ",
             settings.kind, ", found ", ranks.size());
  for (std::size_t k = 0; k < ranks.size(); ++k)
    if (ranks[k] < 1) tn::fail("rank: expected at least 1 at bond ", k + 1, ", found ", ranks[k]);
  return wanted_ranks({ranks}, modes(), possible, "rank");
}

/// Those of the cores in a file.
template <class T>
std::vector<Index> MetaTT<T>::stored_ranks(const std::map<std::string, Shape>& stored) const {
  std::vector<Index> ranks;
  const auto sizes = modes();
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    const std::string name = core_name(static_cast<Index>(k));
    const auto found = stored.find(name);
    if (found == stored.end()) tn::fail(this->settings_.kind, ": there is no \"", name, "\"");
    const Shape& given = found->second;
    const bool last = k + 1 == sizes.size();
    Shape expected{sizes[k]};
    if (k > 0) expected.insert(expected.begin(), ranks.back());
    if (!last) expected.push_back(given.empty() ? 0 : given.back());
    if (given != expected)
      tn::fail(this->settings_.kind, ": \"", name, "\" has shape ", tn::shape_text(given),
               ", expected ", tn::shape_text(expected));
    if (expected.back() < 1)
      tn::fail(this->settings_.kind, ": \"", name, "\" has rank 0, expected at least 1");
    if (!last) ranks.push_back(given.back());
  }
  return ranks;
}

template <class T>
Index MetaTT<T>::target(MatrixType type) const {
  const auto& targets = this->settings_.targets;
  const auto place = std::ranges::find(targets, type);
  if (place == targets.end())
    tn::fail(this->settings_.kind, ": ", matrix_type_name(type), " is not adapted");
  return place - targets.begin();
}

template <class T>
Index MetaTT<T>::slice(Index k, Index layer, MatrixType type, Index head) const {
  switch (inner_[static_cast<std::size_t>(k - 1)]) {
    case CoreMode::layer:
      return layer;
    case CoreMode::task:
      return 0;
    case CoreMode::matrix_type:
      return target(type);
    case CoreMode::head:
      break;
  }
  return head;
}

template <class T>
Index MetaTT<T>::joined_slice(Index end, Index layer, MatrixType type, Index head) const {
  Index joined = 0;
  for (Index k = 1; k < end; ++k) {
    const Index slices = is_task_core(k) ? 1 : weights_.shape(core(k))[1];
    joined = joined * slices + slice(k, layer, type, head);
  }
  return joined;
}

template <class T>
Variable<T> MetaTT<T>::task_slice(autodiff::Tape<T>& tape, Index k, Index task) const {
  const Variable<T> whole = weights_.use(tape, core(k));
  const Index rows = whole.value.extent(0), tasks = whole.value.extent(1);
  if (task < 0 || task >= tasks)
    tn::fail(this->settings_.kind, ": expected a task 0 … ", tasks - 1, ", found ", task);
  Variable<T> slice = side_by_side(tape, whole, {task});
  slice.value = slice.value.reshaped({rows, 1, whole.value.extent(2)});
  return slice;
}

template <class T>
std::vector<Variable<T>> MetaTT<T>::cores_of(autodiff::Tape<T>& tape, Index task) const {
  std::vector<Variable<T>> G;
  for (Index k = 0; k < cores(); ++k)
    G.push_back(is_task_core(k) ? task_slice(tape, k, task) : weights_.use(tape, core(k)));
  return G;
}

template <class T>
UpdateTable<T> MetaTT<T>::updates(autodiff::Tape<T>& tape, Index task) const {
  const std::vector<Variable<T>> G = cores_of(tape, task);
  const Index heads = head_core(), last = cores() - 1;
  if (heads == last) return updates_of_slices(tape, G, last, G.back());
  if (heads + 1 < last) return updates_of_head_blocks(tape, G);
  const Variable<T>& blocks = G[static_cast<std::size_t>(heads)];
  return updates_of_slices(tape, G, heads,
                           autodiff::matmul(tape, blocks, G.back(),
                                            {blocks.value.extent(0),
                                             blocks.value.extent(1) * this->config_.head_size()}));
}

template <class T>
UpdateTable<T> MetaTT<T>::updates_of_slices(autodiff::Tape<T>& tape,
                                            const std::vector<Variable<T>>& G, Index end,
                                            const Variable<T>& V) const {
  const Variable<T> C = product_of_cores(tape, G, end);
  UpdateTable<T> table;
  const auto alpha = static_cast<T>(this->settings_.alpha);
  for (Index layer = 0; layer < this->config_.num_hidden_layers; ++layer)
    for (const MatrixType type : this->settings_.targets) {
      const Index d_out = matrix_extents(this->config_, type).d_out;
      table.set(layer, type, {G[0], C, joined_slice(end, layer, type, 0), V, alpha, 0, d_out});
    }
  return table;
}

template <class T>
UpdateTable<T> MetaTT<T>::updates_of_head_blocks(autodiff::Tape<T>& tape,
                                                 const std::vector<Variable<T>>& G) const {
  const Index last = cores() - 1;
  const Variable<T> C = product_of_cores(tape, G, last);
  const Variable<T> CV = autodiff::matmul(
      tape, C, G.back(), {C.value.extent(0), C.value.extent(1), this->config_.head_size()});
  UpdateTable<T> table;
  const auto alpha = static_cast<T>(this->settings_.alpha);
  for (Index layer = 0; layer < this->config_.num_hidden_layers; ++layer)
    for (const MatrixType type : this->settings_.targets) {
      const Index d_out = matrix_extents(this->config_, type).d_out;
      std::vector<Index> slices;
      for (Index head = 0; head < head_blocks(this->config_, d_out); ++head)
        slices.push_back(joined_slice(last, layer, type, head));
      table.set(layer, type, {G[0], {}, 0, side_by_side(tape, CV, slices), alpha, 0, d_out});
    }
  return table;
}

template <class T>
tn::TensorTrain<double> MetaTT<T>::train() const {
  std::vector<Tensor<double>> stored;
  for (const auto id : ids_) stored.push_back(tn::converted<double>(weights_.value(id)));
  return train_of_cores(std::move(stored));
}

template <class T>
std::vector<Index> MetaTT<T>::ranks() const {
  std::vector<Index> ranks;
  for (Index k = 0; k + 1 < cores(); ++k) ranks.push_back(weights_.shape(core(k)).back());
  return ranks;
}

template <class T>
std::vector<std::string> MetaTT<T>::mode_names() const {
  std::vector<std::string> names{"input"};
  for (const CoreMode mode : inner_) names.push_back(core_mode_name(mode));
  names.emplace_back("output");
  return names;
}

tn::TensorTrain<double> train_of_cores(std::vector<Tensor<double>> stored) {
  if (stored.size() < 3)
    tn::fail("train_of_cores: expected at least 3 cores, found ", stored.size());
  for (std::size_t k = 0; k < stored.size(); ++k) {
    const bool first = k == 0, last = k + 1 == stored.size();
    Shape shape = stored[k].shape();
    if (shape.size() != (first || last ? 2u : 3u))
      tn::fail("\"", MetaTT<double>::core_name(static_cast<Index>(k)), "\" has shape ",
               tn::shape_text(shape), ", expected ", first || last ? 2 : 3, " modes");
    if (first) shape.insert(shape.begin(), 1);
    if (last) shape.push_back(1);
    stored[k] = stored[k].reshaped(shape);
  }
  return tn::TensorTrain<double>(std::move(stored));
}

std::vector<Tensor<double>> stored_cores(const tn::TensorTrain<double>& train) {
  std::vector<Tensor<double>> stored;
  for (Index k = 0; k < train.length(); ++k) {
    const Tensor<double> core = train.dense_core(k);
    Shape shape = core.shape();
    if (k == 0) shape.erase(shape.begin());
    if (k + 1 == train.length()) shape.pop_back();
    stored.push_back(core.reshaped(shape));
  }
  return stored;
}

template class MetaTT<float>;
template class MetaTT<double>;

}  // namespace metatt::transformer
