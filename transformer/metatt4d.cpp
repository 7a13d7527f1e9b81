#include <metatt/transformer/metatt4d.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/decompositions.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::transformer {

namespace {

std::array<std::string, 4> split_codes(const std::string& text) {
  std::array<std::string, 4> codes;
  std::size_t count = 0, begin = 0;
  int zeros = 0;
  while (true) {
    const std::size_t end = text.find('-', begin);
    const std::string code = text.substr(begin, end == std::string::npos ? end : end - begin);
    const bool known = code == "ze" || code == "id" || code == "no" || code == "or";
    if (!known || count == 4)
      tn::fail(
          "initialisation: expected four codes out of ze, id, no, or joined by \"-\", found \"",
          text, "\"");
    zeros += code == "ze";
    codes[count++] = code;
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  if (count != 4 || zeros != 1)
    tn::fail(
        "initialisation: expected four codes with exactly one ze (none changes the model at the "
        "start, two stop all gradients), found \"",
        text, "\"");
  return codes;
}

std::array<Shape, 4> fresh_shapes(const AdapterSettings& settings, const ModelConfig& config) {
  Index d_in = 0, d_out = 0;
  for (const MatrixType type : settings.targets) {
    const MatrixExtents extents = matrix_extents(config, type);
    d_in = std::max(d_in, extents.d_in);
    d_out = std::max(d_out, extents.d_out);
  }
  const Index r = settings.rank;
  return {Shape{d_in, r}, Shape{r, config.num_hidden_layers, r},
          Shape{r, static_cast<Index>(settings.targets.size()), r}, Shape{r, d_out}};
}

/// Shapes of cores from a file: the ranks are the file's, the modes those of `shapes`.
std::array<Shape, 4> stored_shapes(const std::map<std::string, Shape>& stored,
                                   std::array<Shape, 4> shapes) {
  Index rank = 0;
  for (std::size_t k = 0; k < shapes.size(); ++k) {
    const std::string name = MetaTT4D<float>::core_name(static_cast<int>(k));
    const auto found = stored.find(name);
    if (found == stored.end()) tn::fail("metatt4d: there is no \"", name, "\"");
    const Shape& given = found->second;
    Shape& shape = shapes[k];
    if (k > 0) shape.front() = rank;
    if (k + 1 < shapes.size() && given.size() == shape.size()) shape.back() = given.back();
    if (given != shape)
      tn::fail("metatt4d: \"", name, "\" has shape ", tn::shape_text(given), ", expected ",
               tn::shape_text(shape));
    rank = shape.back();
    if (rank < 1) tn::fail("metatt4d: \"", name, "\" has rank 0, expected at least 1");
  }
  return shapes;
}

/// As a matrix: what is left of the last mode × the last mode for G1 and G4, one slice for G2, G3.
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

}  // namespace

template <class T>
MetaTT4D<T>::MetaTT4D(const AdapterSettings& settings, const ModelConfig& config,
                      Weights<T>& weights, const std::map<std::string, Shape>& shapes)
    : Adapter<T>(settings, config), weights_(weights) {
  const auto codes = split_codes(settings.initialisation);
  const auto fresh = fresh_shapes(settings, config);
  const auto core_shapes = shapes.empty() ? fresh : stored_shapes(shapes, fresh);
  for (int k = 0; k < cores; ++k) {
    const auto index = static_cast<std::size_t>(k);
    ids_[index] = weights.add(core_name(k), initial_core(k, codes[index], core_shapes[index]));
    weights.train(ids_[index], WeightGroup::decayed);
  }
}

template <class T>
Tensor<T> MetaTT4D<T>::initial_core(int k, const std::string& code, const Shape& shape) const {
  const auto stream = static_cast<std::uint64_t>(k) << 32;
  if (shape.size() == 2)
    return initial_matrix<T>(code, shape[0], shape[1], this->settings_.seed, stream);
  Tensor<T> core(shape);
  for (Index s = 0; s < shape[1]; ++s) {
    const Tensor<T> slice = initial_matrix<T>(code, shape[0], shape[2], this->settings_.seed,
                                              stream + static_cast<std::uint64_t>(s));
    tn::backend::copy_matrix(tn::backend::queue(), shape[0], shape[2], slice.data(), shape[2],
                             core.mutable_data() + s * shape[2], shape[1] * shape[2]);
  }
  return core;
}

template <class T>
Index MetaTT4D<T>::slice(Index layer, MatrixType type) const {
  const auto& targets = this->settings_.targets;
  const auto place = std::find(targets.begin(), targets.end(), type);
  if (place == targets.end()) tn::fail("MetaTT4D: ", matrix_type_name(type), " is not adapted");
  return layer * static_cast<Index>(targets.size()) + (place - targets.begin());
}

template <class T>
UpdateTable<T> MetaTT4D<T>::updates(autodiff::Tape<T>& tape) const {
  const Variable<T> G1 = weights_.use(tape, core(0)), G2 = weights_.use(tape, core(1)),
                    G3 = weights_.use(tape, core(2)), G4 = weights_.use(tape, core(3));
  const Index r1 = G2.value.extent(0), r3 = G3.value.extent(2);
  const Index slices = G2.value.extent(1) * G3.value.extent(1);
  // One product for all (layer, type): C[·, l·M + m, ·] = G2[l]·G3[m].
  const Variable<T> C = autodiff::matmul(tape, G2, G3, {r1, slices, r3});
  UpdateTable<T> table;
  for (Index layer = 0; layer < this->config_.num_hidden_layers; ++layer)
    for (const MatrixType type : this->settings_.targets)
      table.set(layer, type,
                {G1, C, slice(layer, type), G4, static_cast<T>(this->settings_.alpha), 0,
                 matrix_extents(this->config_, type).d_out});
  return table;
}

template <class T>
typename Adapter<T>::LoraFactors MetaTT4D<T>::lora_factors(Index layer, MatrixType type) const {
  auto& queue = tn::backend::queue();
  const Tensor<T> G1 = weights_.value(core(0)), G2 = weights_.value(core(1)),
                  G3 = weights_.value(core(2)), G4 = weights_.value(core(3));
  const auto [d_in, d_out] = matrix_extents(this->config_, type);
  const Index r1 = G2.extent(0), layers = G2.extent(1), r2 = G2.extent(2), types = G3.extent(1),
              r3 = G3.extent(2), m = slice(layer, type) % types;
  Tensor<T> C({r1, r3});
  tn::backend::gemm(queue, tn::Transpose::no, tn::Transpose::no, r1, r3, r2, T(1),
                    G2.data() + layer * r2, layers * r2, G3.data() + m * r3, types * r3, T(0),
                    C.mutable_data(), r3);
  // A = G1ᵀ and B = α·(C·G4)ᵀ, or, if r3 < r1, A = (G1·C)ᵀ and B = α·G4ᵀ: the smaller rank.
  const Tensor<T> input = G1.slice(0, d_in);
  constexpr std::array<int, 2> transposed{1, 0};
  const bool left = r1 <= r3;
  const Tensor<T> A =
      left ? tn::permute<T>(input, transposed) : tn::contract<T>("ir,rs->si", input, C);
  const Tensor<T> output =
      (left ? tn::contract<T>("rs,so->or", C, G4) : tn::permute<T>(G4, transposed)).slice(0, d_out);
  Tensor<T> B = Tensor<T>::zeros(output.shape());
  tn::backend::add_scaled(queue, B.size(), static_cast<T>(this->settings_.alpha), output.data(),
                          B.mutable_data());
  return {A, B};
}

template <class T>
tn::TensorTrain<double> MetaTT4D<T>::train() const {
  std::vector<Tensor<double>> stored;
  for (const auto id : ids_) stored.push_back(tn::converted<double>(weights_.value(id)));
  return train_of_cores(std::move(stored));
}

template <class T>
std::vector<Index> MetaTT4D<T>::ranks() const {
  return {weights_.shape(core(0))[1], weights_.shape(core(1))[2], weights_.shape(core(2))[2]};
}

tn::TensorTrain<double> train_of_cores(std::vector<Tensor<double>> stored) {
  if (stored.size() != MetaTT4D<double>::cores)
    tn::fail("train_of_cores: expected ", MetaTT4D<double>::cores, " cores, found ", stored.size());
  for (std::size_t k = 0; k < stored.size(); ++k) {
    const bool first = k == 0, last = k + 1 == stored.size();
    Shape shape = stored[k].shape();
    if (shape.size() != (first || last ? 2u : 3u))
      tn::fail("\"", MetaTT4D<double>::core_name(static_cast<int>(k)), "\" has shape ",
               tn::shape_text(shape), ", expected ", first || last ? 2 : 3, " modes");
    if (first) shape.insert(shape.begin(), 1);
    if (last) shape.push_back(1);
    stored[k] = stored[k].reshaped(shape);
  }
  return tn::TensorTrain<double>(std::move(stored));
}

template class MetaTT4D<float>;
template class MetaTT4D<double>;

}  // namespace metatt::transformer
