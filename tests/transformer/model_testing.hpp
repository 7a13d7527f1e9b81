#pragma once
/// Small models for tests: put together in memory, or as folders in Hugging Face layout.

#include "../file_testing.hpp"

#include <metatt/tn/contract.hpp>
#include <metatt/transformer/adapter_files.hpp>
#include <metatt/transformer/classification_objective.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/weight_trains.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace metatt::testing {

using namespace metatt::transformer;
using autodiff::Tape;

/// Frobenius norm of a − b.
inline double distance(const Tensor<double>& a, const Tensor<double>& b) {
  Tensor<double> difference = a;
  auto& queue = tn::backend::queue();
  tn::backend::add_scaled(queue, b.size(), -1.0, b.data(), difference.mutable_data());
  return tn::backend::norm(queue, difference.size(), difference.data());
}

/// A train whose training has not begun.
inline TrainWithMoments without_moments(const tn::TensorTrain<double>& train) {
  TrainWithMoments trained{train, {}, {}};
  for (Index k = 0; k < train.length(); ++k) {
    const auto zeros = Tensor<double>::zeros(train.core(k).shape());
    trained.first_moments.push_back(zeros);
    trained.second_moments.push_back(zeros);
  }
  return trained;
}

/// Two layers of width 8 with 24 tokens.
inline ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 24;
  config.hidden_size = 8;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.intermediate_size = 12;
  config.max_position_embeddings = 16;
  return config;
}

/// Weights large enough that every path matters, no bias zero and no gain one. Doubles that are
/// floats, so that models of both types have the same.
template <class T>
Tensor<T> random_weight(const std::string& name, const Shape& shape) {
  std::uint64_t stream = 0;
  for (const char c : name) stream = 131 * stream + static_cast<unsigned char>(c);
  std::vector<float> values = tn::random_normal<float>(shape, 5, stream).to_vector();
  const bool gain = name.ends_with("LayerNorm.weight");
  const double scale = shape.size() == 1 ? 0.2 : 1 / std::sqrt(static_cast<double>(shape[1]));
  std::vector<T> result;
  for (const float v : values) result.push_back(static_cast<float>(gain + scale * v));
  return Tensor<T>::from(shape, std::span<const T>(result));
}

/// Encoder, head and what is trained, without files; pooler trained only by full fine-tuning.
template <class T>
class AssembledModel {
 public:
  AssembledModel(const ModelConfig& config, Index outputs, const Method& method,
                 const InitialWeight<T>& initial, const std::map<std::string, Shape>& shapes = {})
      : backbone(config, weights, initial), classifier(backbone, outputs, initial) {
    if (method.kind == Method::Kind::adapter)
      adapter = make_adapter(method.adapter, config, weights, shapes);
    mark_trained(method, backbone, classifier, /*pooler=*/false);
    weights.build_arena();
  }

  Variable<T> logits(Tape<T>& tape, const Batch& batch, const DropoutRates& rates = {}) const {
    return classifier.logits(tape, batch, adapter.get(), rates);
  }
  Variable<T> loss(Tape<T>& tape, const Batch& batch, std::span<const double> labels,
                   const DropoutRates& rates = {}) const {
    return classifier.loss(tape, logits(tape, batch, rates), labels);
  }
  /// The gradients of one pass without dropout.
  double loss_and_gradients(const Batch& batch, std::span<const double> labels) {
    Tape<T> tape(weights.arena(), 0, 0);
    weights.arena().clear_gradients();
    const Variable<T> value = loss(tape, batch, labels);
    tape.backward(value);
    return static_cast<double>(value.value.item());
  }

  Weights<T> weights;
  Backbone<T> backbone;
  Classifier<T> classifier;
  std::unique_ptr<Adapter<T>> adapter;
};

/// Normally distributed values for all tensors of an adapter, as if it had been trained.
template <class T>
void randomise_adapter(const Adapter<T>& adapter, Weights<T>& weights, double scale = 0.5) {
  for (const auto id : adapter.tensors()) {
    Tensor<T> value = tn::random_normal<T>(weights.shape(id), 17, static_cast<std::uint64_t>(id));
    tn::backend::scale(tn::backend::queue(), value.size(), static_cast<T>(scale),
                       value.mutable_data());
    weights.set_value(id, value);
  }
}

inline Batch pack(const std::vector<Example>& examples) {
  std::vector<const EncodedText*> texts;
  for (const Example& example : examples) texts.push_back(&example.text);
  return Batch::pack(texts);
}

/// Texts of 4 … 12 tokens whose class (of two) is that of their second token.
inline std::vector<Example> random_examples(Index count, std::uint64_t seed) {
  std::vector<Example> examples;
  for (const Index i : epoch_order(count, seed, 0)) {
    const auto length = static_cast<std::size_t>(4 + i % 9);
    Example example;
    for (const Index token : epoch_order(20, seed, static_cast<std::uint64_t>(i)))
      if (example.text.ids.size() < length)
        example.text.ids.push_back(static_cast<std::int32_t>(4 + token));
    example.text.type_ids.assign(length, 0);
    std::fill(example.text.type_ids.begin() + 2, example.text.type_ids.end(), 1);
    example.label = static_cast<double>(example.text.ids[1] % 2);
    examples.push_back(std::move(example));
  }
  return examples;
}

/// The two-class task whose metrics the tests look at.
inline const GlueTask& two_classes() {
  return find_glue_task("mrpc");
}

/// What an adapter's files say of a task, with nothing on the adapter itself.
inline AdapterRecord record_of(const std::string& task, Index max_seq_length) {
  AdapterRecord record;
  record.tasks = {task};
  record.next_tokens = task == causal_task;
  record.max_seq_length = max_seq_length;
  return record;
}

/// Writes config.json, model.safetensors and vocab.txt of a random encoder.
inline void write_small_model(const std::filesystem::path& folder,
                              const ModelConfig& config = small_config()) {
  std::filesystem::create_directories(folder);
  Weights<float> weights;
  const Backbone<float> backbone(config, weights, random_weight<float>);
  auto tensors = backbone_tensors(backbone);
  const Index d = config.hidden_size;
  for (const auto& [name, shape] : {std::pair<std::string, Shape>{"pooler.dense.weight", {d, d}},
                                    std::pair<std::string, Shape>{"pooler.dense.bias", {d}}})
    tensors.push_back({"bert." + name, random_weight<float>(name, shape)});
  write_safetensors<float>(folder / "model.safetensors", tensors, {{"format", "pt"}});
  write_json(folder / "config.json", model_config_json(config));
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
  for (char c = 'a'; c < 'a' + config.vocab_size - 4; ++c) vocabulary += std::string(1, c) + "\n";
  metatt::tn::write_file_atomically(folder / "vocab.txt", vocabulary);
}

/// An adapter of rank 3 on all six matrix types.
inline Method small_adapter(const std::string& kind) {
  AdapterSettings settings;
  settings.rank = 3;
  settings.alpha = 0.7;
  settings.targets = matrix_types(ModelConfig().family());
  return Method::named(kind, settings);
}

/// Logits outside training.
template <class T>
std::vector<T> logits_of(const ClassifierModel<T>& model, const Batch& batch) {
  Tape<T> tape;
  return model.classifier().logits(tape, batch, model.adapter(), {}).value.to_vector();
}
template <class T>
std::vector<T> logits_of(const AssembledModel<T>& model, const Batch& batch) {
  Tape<T> tape;
  return model.logits(tape, batch).value.to_vector();
}

/// Largest |expected − found| over the largest |expected|.
template <class T>
double relative_error(const std::vector<T>& expected, const std::vector<T>& found) {
  BOOST_REQUIRE(expected.size() == found.size());
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    error =
        std::max(error, std::abs(static_cast<double>(expected[i]) - static_cast<double>(found[i])));
  }
  return error / largest;
}

/// Of the elements.
template <class T>
double largest_difference(const std::vector<T>& a, const std::vector<T>& b) {
  BOOST_TEST_REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i] - b[i])));
  return largest;
}

/// One matrix's update for a task.
template <class T>
typename Adapter<T>::LoraFactors lora_factors(const Adapter<T>& adapter, Index layer,
                                              MatrixType type, Index task = 0) {
  autodiff::Tape<T> tape;
  return adapter.lora_factors(adapter.updates(tape, task), layer, type);
}

/// B·A of an adapter's LoRA factors, D_out × D_in.
template <class T>
Tensor<T> dense_update(const typename Adapter<T>::LoraFactors& factors) {
  return tn::matrix_product(factors.B, factors.A);
}

}  // namespace metatt::testing
