#include <metatt/transformer/sentence_embedding.hpp>

#include <metatt/tn/contract.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace metatt::transformer {

namespace {

using nlohmann::json;

json read_json(const std::filesystem::path& path) {
  return parse_json(tn::read_file(path), path.string());
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// One entry of modules.json: "Pooling" of "sentence_transformers.models.Pooling", and its folder.
struct Module {
  std::string type;
  std::filesystem::path folder;
};

std::vector<Module> read_modules(const std::filesystem::path& folder) {
  const auto path = folder / "modules.json";
  const std::string source = path.string();
  const json entries = read_json(path);
  if (!entries.is_array()) tn::fail(source, ": expected an array of modules");
  std::vector<Module> modules;
  for (const json& entry : entries) {
    const auto type = required<std::string>(entry, "type", source);
    const std::filesystem::path place = required<std::string>(entry, "path", source);
    if (place.is_absolute() || std::ranges::find(place, "..") != place.end())
      tn::fail(source, ": field \"path\": expected a folder of the same folder, found ", place);
    modules.push_back({type.substr(type.rfind('.') + 1), folder / place});
  }
  constexpr std::array expected{"Transformer", "Pooling", "Normalize"};
  for (std::size_t i = 0; i < modules.size(); ++i)
    if (i >= expected.size() || modules[i].type != expected[i])
      tn::fail(source, ": expected Transformer, Pooling and perhaps Normalize, found \"",
               modules[i].type, "\" as module ", i);
  if (modules.size() < 2)
    tn::fail(source, ": expected Transformer, Pooling and perhaps Normalize, found ",
             modules.size(), " modules");
  return modules;
}

void read_pooling(const std::filesystem::path& path, SentenceSettings& settings) {
  const std::string source = path.string();
  const json fields = read_json(path);
  const bool mean = required<bool>(fields, "pooling_mode_mean_tokens", source);
  const bool first = required<bool>(fields, "pooling_mode_cls_token", source);
  for (const auto& [field, value] : fields.items())
    if (field.starts_with("pooling_mode_") && field != "pooling_mode_mean_tokens" &&
        field != "pooling_mode_cls_token" && value != false)
      tn::fail(source, ": field \"", field,
               "\": expected false (embeddings are means or those of the first token), found ",
               value.dump());
  if (mean == first)
    tn::fail(source,
             ": expected one of pooling_mode_mean_tokens and pooling_mode_cls_token, found ",
             mean ? "both" : "neither");
  settings.pooling = mean ? Pooling::mean : Pooling::first_token;
  settings.width = required<std::int64_t>(fields, "word_embedding_dimension", source);
}

/// A prompt would have to stand before every text.
void refuse_prompt(const std::filesystem::path& path) {
  if (!is_there(path)) return;
  const json fields = read_json(path);
  const auto name =
      optional_or<std::string>(fields, "default_prompt_name", std::string(), path.string());
  if (!name.empty())
    tn::fail(path.string(), ": field \"default_prompt_name\": expected null, found \"", name, "\"");
}

ModelConfig read_encoder_config(const std::filesystem::path& path) {
  ModelConfig config = read_model_config(path);
  if (config.family().causal)
    tn::fail(path.string(), ": field \"model_type\": expected an encoder, found the decoder \"",
             config.model_type, "\", whose tokens do not see those behind them");
  return config;
}

/// max_seq_length of the file that sentence-transformers names after BERT or after the family, or
/// what the tokenizer's users cut texts to, or the model's positions.
Index read_max_length(const std::filesystem::path& folder, const ModelConfig& config,
                      const Tokenizer& tokenizer) {
  const auto fewest = static_cast<Index>(tokenizer.template_ids(false).size()) + 1;
  const Index longest = config.longest_sequence();
  const Index otherwise = std::min(longest, read_model_max_length(folder).value_or(longest));
  for (const std::string& family : {std::string("bert"), config.model_type}) {
    const auto path = folder / ("sentence_" + family + "_config.json");
    if (!is_there(path)) continue;
    const json fields = read_json(path);
    if (optional_or<bool>(fields, "do_lower_case", false, path.string()))
      tn::fail(path.string(), ": field \"do_lower_case\": expected false, found true");
    const auto length =
        optional_or<std::int64_t>(fields, "max_seq_length", otherwise, path.string());
    if (length < fewest || length > longest)
      tn::fail(path.string(), ": field \"max_seq_length\": expected ", fewest,
               " (a token between those around every text) … ", longest,
               " (the positions of the model), found ", length);
    return length;
  }
  return otherwise;
}

/// Row s is 1/length at the tokens of sequence s and 0 elsewhere: sequences × tokens.
template <class T>
Tensor<T> averages(std::span<const EncodedText* const> texts) {
  std::size_t tokens = 0, begin = 0;
  for (const EncodedText* text : texts) tokens += text->ids.size();
  std::vector<T> values(texts.size() * tokens);
  for (std::size_t s = 0; s < texts.size(); ++s) {
    const std::size_t length = texts[s]->ids.size();
    std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(s * tokens + begin), length,
                T(1) / static_cast<T>(length));
    begin += length;
  }
  return Tensor<T>::from({static_cast<Index>(texts.size()), static_cast<Index>(tokens)},
                         std::span<const T>(values));
}

/// Each row divided by its length, or by 1e-12 if that is shorter, as PyTorch's normalize has it.
template <class T>
Tensor<T> normalised(const Tensor<T>& rows) {
  std::vector<T> values = rows.to_vector();
  const auto width = static_cast<std::size_t>(rows.extent(1));
  for (std::size_t begin = 0; begin < values.size(); begin += width) {
    const std::span<T> row(values.data() + begin, width);
    double square = 0;
    for (const T x : row) square += static_cast<double>(x) * static_cast<double>(x);
    const double length = std::max(std::sqrt(square), 1e-12);
    for (T& x : row) x = static_cast<T>(static_cast<double>(x) / length);
  }
  return Tensor<T>::from(rows.shape(), std::span<const T>(values));
}

}  // namespace

SentenceSettings read_sentence_settings(const std::filesystem::path& folder) {
  SentenceSettings settings;
  settings.encoder = folder;
  if (!is_there(folder / "modules.json")) return settings;
  refuse_prompt(folder / "config_sentence_transformers.json");
  const std::vector<Module> modules = read_modules(folder);
  settings.encoder = modules[0].folder;
  read_pooling(modules[1].folder / "config.json", settings);
  settings.normalise = modules.size() == 3;
  return settings;
}

template <class T>
SentenceEncoder<T>::SentenceEncoder(const std::filesystem::path& folder)
    : settings_(read_sentence_settings(folder)),
      config_(read_encoder_config(settings_.encoder / "config.json")),
      tokenizer_(read_tokenizer(settings_.encoder)),
      max_length_(read_max_length(settings_.encoder, config_, *tokenizer_)) {
  if (settings_.width.value_or(width()) != width())
    tn::fail(folder.string(), ": the pooling's word_embedding_dimension is ", *settings_.width,
             ", but the encoder's hidden states have ", width(), " numbers");
  check_vocabulary(*tokenizer_, config_, (settings_.encoder / "config.json").string());
  const BackboneReader<T> reader(settings_.encoder, config_);
  backbone_ = std::make_unique<Backbone<T>>(config_, weights_, reader);
  reader.check_layers(*backbone_);
}

template <class T>
typename SentenceEncoder<T>::Sentence SentenceEncoder<T>::encode(std::string_view text) const {
  text = trimmed(text);
  Sentence sentence{
      tokenizer_->encode_pair(text, std::nullopt, std::numeric_limits<std::int32_t>::max())};
  sentence.cut = static_cast<Index>(sentence.tokens.ids.size()) > max_length_;
  if (sentence.cut) sentence.tokens = tokenizer_->encode_pair(text, std::nullopt, max_length_);
  return sentence;
}

template <class T>
Tensor<T> SentenceEncoder<T>::embed(std::span<const EncodedText* const> texts) const {
  if (texts.empty()) tn::fail("SentenceEncoder: expected at least one text, found none");
  for (const EncodedText* text : texts)
    if (text->ids.empty())
      tn::fail("SentenceEncoder: expected texts with tokens, found an empty one");
  autodiff::Tape<T> tape;
  const Batch batch = Batch::pack(texts);
  const bool mean = settings_.pooling == Pooling::mean;
  const Variable<T> hidden = backbone_->forward(
      tape, batch, nullptr, {}, mean ? autodiff::Indices() : batch.sequences.first_rows());
  const Tensor<T> pooled =
      mean ? tn::matrix_product(averages<T>(texts), hidden.value) : hidden.value;
  return settings_.normalise ? normalised(pooled) : pooled;
}

template class SentenceEncoder<float>;
template class SentenceEncoder<double>;

}  // namespace metatt::transformer
