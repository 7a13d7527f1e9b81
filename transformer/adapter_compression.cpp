#include <metatt/transformer/adapter_compression.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/rank_adaptation.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace metatt::transformer {

namespace {

/// Relative weight of what the first decomposition drops: an error of 1e-14, what double precision
/// cannot tell from the rounding errors of the factors.
constexpr double rounding_weight = 1e-28;

/// One matrix's update in the middle tensor.
struct Site {
  Index place;  ///< along the joined inner modes
  const Adapter<double>::LoraFactors* factors;
  Index first_row = 0;  ///< in both stacks
  Index rank() const { return factors->A.extent(0); }
};

AdapterSettings settings_of(std::span<const LoraUpdates> tasks, const std::string& kind) {
  if (kind != "metatt4d" && kind != "metatt4+1d")
    tn::fail("kind: expected metatt4d or metatt4+1d, found \"", kind, "\"");
  if (tasks.empty()) tn::fail("compress: expected updates of at least one task, found none");
  if (kind == "metatt4d" && tasks.size() > 1)
    tn::fail("kind: expected metatt4+1d for ", tasks.size(), " tasks, found metatt4d");
  std::set<MatrixType> types;
  for (const LoraUpdates& updates : tasks)
    for (const auto& [site, factors] : updates) types.insert(site.second);
  AdapterSettings settings;
  settings.kind = kind;
  settings.tasks = static_cast<Index>(tasks.size());
  settings.targets.assign(types.begin(), types.end());
  return settings;
}

/// All updates, with their places in the stacks of factors.
std::vector<Site> sites_of(std::span<const LoraUpdates> tasks, const AdapterSettings& settings) {
  std::vector<Site> sites;
  Index row = 0;
  for (std::size_t task = 0; task < tasks.size(); ++task)
    for (const auto& [where, factors] : tasks[task]) {
      const auto& targets = settings.targets;
      const Index type = std::ranges::find(targets, where.second) - targets.begin();
      const Index slice = where.first * settings.tasks + static_cast<Index>(task);
      sites.push_back({slice * static_cast<Index>(targets.size()) + type, &factors, row});
      row += sites.back().rank();
    }
  return sites;
}

/// The factors of all sites one below the other as L·Q: the rows of L belong to the sites, Q is an
/// orthonormal basis of what they span. Narrower factors are filled up with zeros.
template <class Rows>
tn::Lq<double> stacked(const std::vector<Site>& sites, Index width, const Rows& rows_of) {
  auto stack = Tensor<double>::zeros({sites.back().first_row + sites.back().rank(), width});
  for (const Site& site : sites) {
    const Tensor<double> rows = rows_of(*site.factors);
    const Index own = rows.extent(1);
    tn::backend::copy_matrix(tn::backend::queue(), site.rank(), own, rows.data(), own,
                             stack.mutable_data() + site.first_row * width, width);
  }
  return tn::lq(stack);
}

/// The tensor between the two bases, p × inner modes × q.
Tensor<double> middle_tensor(const std::vector<Site>& sites, const Tensor<double>& left,
                             const Tensor<double>& right, const std::vector<Index>& inner) {
  const Index p = left.extent(1), q = right.extent(1);
  const Index places = tn::element_count(inner);
  Shape shape{p};
  shape.insert(shape.end(), inner.begin(), inner.end());
  shape.push_back(q);
  auto middle = Tensor<double>::zeros(shape);
  for (const Site& site : sites) {
    const Index end = site.first_row + site.rank();
    const auto block = tn::matrix_product(left.slice(site.first_row, end),
                                          right.slice(site.first_row, end), tn::Transpose::yes);
    tn::backend::copy_matrix(tn::backend::queue(), p, q, block.data(), q,
                             middle.mutable_data() + site.place * q, places * q);
  }
  return middle;
}

/// The train of the middle with its end cores in the full width.
void leave_bases(tn::TensorTrain<double>& train, const Tensor<double>& left,
                 const Tensor<double>& right) {
  const Index last = train.length() - 1;
  const Tensor<double> first_core = train.dense_core(0), last_core = train.dense_core(last);
  const Index r1 = first_core.extent(2), rn = last_core.extent(0);
  train.set_core(
      0, tn::matrix_product(left, first_core.reshaped({left.extent(0), r1}), tn::Transpose::yes)
             .reshaped({1, left.extent(1), r1}));
  train.set_core(last, tn::matrix_product(last_core.reshaped({rn, right.extent(0)}), right)
                           .reshaped({rn, right.extent(1), 1}));
}

void check_target(const RankTarget& target, const std::vector<Index>& modes) {
  const std::size_t bonds = modes.size() - 1;
  if (target.ranks.size() > 1 && target.ranks.size() != bonds)
    tn::fail("rank: expected one for all bonds or ", bonds, ", one for each bond, found ",
             target.ranks.size());
  if (!target.ranks.empty() && target.budget.maximum_parameters != tn::unlimited)
    tn::fail("compress: expected ranks or a number of parameters, found both");
  check_budget("parameters", target.budget, modes);
}

tn::SweepReport<double> round(tn::TensorTrain<double>& train, const RankTarget& target) {
  constexpr auto mode = tn::SweepMode::rounding;
  constexpr auto before = tn::TrainBefore::spectra;
  if (target.ranks.empty()) return tn::sweep_within(train, target.budget, mode, before);
  std::vector<tn::TruncationPolicy> policies;
  for (std::size_t bond = 0; bond + 1 < static_cast<std::size_t>(train.length()); ++bond)
    policies.push_back({.maximum_rank = target.rank(bond), .cutoff = target.budget.cutoff});
  return tn::sweep<double>(train, policies, mode, before);
}

std::vector<std::string> bond_names(const std::string& kind) {
  std::vector<std::string> names;
  std::string left = "input";
  for (const CoreMode mode : inner_modes_of(kind)) {
    names.push_back(left + " | " + core_mode_name(mode));
    left = core_mode_name(mode);
  }
  names.push_back(left + " | output");
  return names;
}

}  // namespace

CompressedUpdates compress_updates(std::span<const LoraUpdates> tasks, const std::string& kind,
                                   const ModelConfig& config, const RankTarget& target) {
  AdapterSettings settings = settings_of(tasks, kind);
  check_adapter_settings(settings, config);
  const std::vector<Index> modes = train_modes(settings, config);
  check_target(target, modes);
  const std::vector<Site> sites = sites_of(tasks, settings);
  const auto left = stacked(sites, modes.front(), [](const auto& factors) { return factors.A; });
  const auto right = stacked(sites, modes.back(),
                             [](const auto& factors) { return scaled_transpose(factors.B, 1.0); });
  const std::vector<Index> inner(modes.begin() + 1, modes.end() - 1);
  const tn::TruncationPolicy exact{.cutoff = rounding_weight};
  auto train =
      tn::TensorTrain<double>::from_dense(middle_tensor(sites, left.l, right.l, inner), exact)
          .train;
  if (train.norm() == 0) tn::fail("compress: all updates are zero");
  leave_bases(train, left.q, right.q);
  auto report = round(train, target);
  CompressedUpdates result{
      std::move(settings), std::move(train), bond_names(kind), {}, report.error_bound};
  for (std::size_t k = 0; k < report.bonds.size(); ++k)
    result.spectra.push_back({std::move(report.spectra_before[k]), report.bonds[k].truncation});
  return result;
}

namespace {

/// The cores as an adapter keeps them, with their names.
std::vector<NamedTensor<double>> named_cores(const tn::TensorTrain<double>& train) {
  std::vector<NamedTensor<double>> cores;
  for (Tensor<double>& core : stored_cores(train))
    cores.push_back({MetaTT<double>::core_name(static_cast<Index>(cores.size())), std::move(core)});
  return cores;
}

template <class T>
void set_tensor(AdaptedModel<T>& model, const std::string& name, const Tensor<double>& value) {
  model.weights().set_value(model.weights().find(name), tn::converted<T>(value));
}

/// The head of a task, from what PEFT saved whole.
template <class T>
void set_head(AdaptedModel<T>& model, const PeftLora& adapter, Index task) {
  const std::string file = adapter.tensors.string();
  std::map<std::string, Tensor<double>> saved;
  for (const auto& [name, tensor] : adapter.saved) saved[name] = tensor;
  Weights<T>& weights = model.weights();
  for (const auto& [own_name, id] : model.task_head(task)) {
    if (!weights.trainable(id)) continue;
    const std::string name = file_name(model.config().family(), own_name);
    const auto found = saved.find(name);
    if (found == saved.end())
      tn::fail(file, ": expected the head's tensor \"base_model.model.", name,
               "\" (modules_to_save), found none");
    if (found->second.shape() != weights.shape(id))
      tn::fail(file, ": \"base_model.model.", name, "\" has shape ",
               tn::shape_text(found->second.shape()), ", expected ",
               tn::shape_text(weights.shape(id)), " for this model and task");
    weights.set_value(id, tn::converted<T>(found->second));
    saved.erase(found);
  }
  if (!saved.empty())
    tn::fail(file, ": tensor \"base_model.model.", saved.begin()->first,
             "\" is neither a factor of LoRA nor a part of the head");
}

/// What an adapter has of a pooler.
std::vector<NamedTensor<double>> pooler_of(const PeftLora& adapter) {
  std::vector<NamedTensor<double>> pooler;
  for (const auto& saved : adapter.saved)
    if (saved.name.find("pooler.dense.") != std::string::npos) pooler.push_back(saved);
  return pooler;
}

bool equal(const std::vector<NamedTensor<double>>& a, const std::vector<NamedTensor<double>>& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.name == y.name && x.tensor.shape() == y.tensor.shape() &&
           x.tensor.to_vector() == y.tensor.to_vector();
  });
}

/// Whether the pooler was trained: it was if it was saved; else it is that of the base, if it has
/// one.
std::optional<bool> saved_pooler(std::span<const PeftLora> adapters) {
  const auto first = pooler_of(adapters.front());
  for (const PeftLora& adapter : adapters.subspan(1))
    if (!equal(pooler_of(adapter), first))
      tn::fail(adapter.tensors.string(), ": its pooler is not that of ",
               adapters.front().tensors.string(), ", but an adapter for several tasks has one for ",
               "all; compress them one by one, or train them with a pooler that stays as it is");
  return first.empty() ? std::nullopt : std::optional(true);
}

template <class T>
std::unique_ptr<AdaptedModel<T>> base_of(const std::filesystem::path& base,
                                         std::span<const PeftLora> adapters,
                                         const std::map<std::string, Shape>& shapes,
                                         AdapterRecord& record) {
  if (record.next_tokens) {
    for (const PeftLora& adapter : adapters)
      if (!adapter.saved.empty())
        tn::fail(adapter.tensors.string(), ": tensor \"base_model.model.",
                 adapter.saved.front().name, "\" is saved whole (modules_to_save), as the head of ",
                 "a classifier is: expected a task, which says what it is for");
    auto model = std::make_unique<CausalModelFolder<T>>(base, record.method, shapes);
    record.max_seq_length = model->sequence_length(record.max_seq_length);
    return model;
  }
  if (adapters.size() != record.tasks.size())
    tn::fail("task: expected a name for each LoRA, whose head it tells, found ",
             tn::joined(record.tasks), " for ", adapters.size());
  auto model =
      std::make_unique<ClassifierModel<T>>(base, task_heads(record.tasks), record.method,
                                           HeadSource::fresh, 0, shapes, saved_pooler(adapters));
  record.pooler_trained = model->pooler_trained();
  record.max_seq_length = model->sequence_length(record.max_seq_length);
  for (std::size_t i = 0; i < adapters.size(); ++i)
    set_head(*model, adapters[i], static_cast<Index>(i));
  return model;
}

}  // namespace

template <class T>
std::unique_ptr<AdaptedModel<T>> compressed_model(const std::filesystem::path& base,
                                                  const CompressedUpdates& compressed,
                                                  std::span<const PeftLora> adapters,
                                                  AdapterRecord& record) {
  record.method = Method::named(compressed.settings.kind, compressed.settings);
  const auto cores = named_cores(compressed.train);
  std::map<std::string, Shape> shapes;
  for (const auto& [name, core] : cores) shapes[name] = core.shape();
  auto model = base_of<T>(base, adapters, shapes, record);
  record.base_fingerprint = backbone_fingerprint(model->backbone());
  for (const auto& [name, core] : cores) set_tensor(*model, name, core);
  return model;
}

namespace {

/// ‖Σᵢ BᵢAᵢ‖ of some pairs of factors with a sign each.
double norm_of_sum(const std::vector<std::pair<double, Adapter<double>::LoraFactors>>& terms,
                   const MatrixExtents& extents) {
  Index rank = 0;
  for (const auto& term : terms) rank += term.second.A.extent(0);
  Tensor<double> A({rank, extents.d_in}), B({extents.d_out, rank});
  Index first = 0;
  for (const auto& [sign, factors] : terms) {
    const Index own = factors.A.extent(0);
    auto& queue = tn::backend::queue();
    tn::backend::copy(queue, factors.A.size(), factors.A.data(),
                      A.mutable_data() + first * extents.d_in);
    tn::backend::scale(queue, factors.A.size(), sign, A.mutable_data() + first * extents.d_in);
    tn::backend::copy_matrix(queue, extents.d_out, own, factors.B.data(), own,
                             B.mutable_data() + first, rank);
    first += own;
  }
  const Tensor<double> middle = tn::matrix_product(tn::qr(B).r, tn::lq(A).l);
  return tn::backend::norm(tn::backend::queue(), middle.size(), middle.data());
}

}  // namespace

template <class T>
std::vector<SiteError> site_errors(std::span<const LoraUpdates> tasks, const Adapter<T>& adapter,
                                   const ModelConfig& config) {
  std::vector<SiteError> sites;
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    autodiff::Tape<T> tape;
    const UpdateTable<T> updates = adapter.updates(tape, static_cast<Index>(task));
    for (Index layer = 0; layer < config.num_hidden_layers; ++layer)
      for (const MatrixType type : adapter.settings().targets) {
        const MatrixExtents extents = matrix_extents(config, type);
        const auto own = adapter.lora_factors(updates, layer, type);
        std::vector<std::pair<double, Adapter<double>::LoraFactors>> terms;
        SiteError site{static_cast<Index>(task), layer, type, 0, 0};
        if (const auto given = tasks[task].find({layer, type}); given != tasks[task].end()) {
          terms.emplace_back(1, given->second);
          site.norm = norm_of_sum(terms, extents);
        }
        const Adapter<double>::LoraFactors kept{tn::converted<double>(own.A),
                                                tn::converted<double>(own.B)};
        terms.emplace_back(-1, kept);
        site.error = norm_of_sum(terms, extents);
        sites.push_back(site);
      }
  }
  return sites;
}

TotalError total_error(std::span<const SiteError> sites) {
  TotalError total;
  for (const SiteError& site : sites) {
    total.norm = std::hypot(total.norm, site.norm);
    total.error = std::hypot(total.error, site.error);
  }
  return total;
}

#define METATT_INSTANTIATE(T)                                                                  \
  template std::unique_ptr<AdaptedModel<T>> compressed_model(                                  \
      const std::filesystem::path&, const CompressedUpdates&, std::span<const PeftLora>,       \
      AdapterRecord&);                                                                         \
  template std::vector<SiteError> site_errors(std::span<const LoraUpdates>, const Adapter<T>&, \
                                              const ModelConfig&);
METATT_INSTANTIATE(float)
METATT_INSTANTIATE(double)
#undef METATT_INSTANTIATE

}  // namespace metatt::transformer
