/// Public weights against the golden values that lie beside them.

#include "model_testing.hpp"

#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/generation.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

using namespace metatt;
using namespace metatt::testing;
using boost::unit_test::precondition;

namespace {

ModelConfig first_layers(ModelConfig config, Index layers) {
  if (layers > 0) config.num_hidden_layers = layers;
  return config;
}

/// A model of the shared folder, in T, or its first layers.
template <class T>
struct RealModel {
  explicit RealModel(const std::filesystem::path& folder, Index layers = 0)
      : config(first_layers(read_model_config(folder / "config.json"), layers)),
        reader(folder, config),
        backbone(config, weights, reader) {}

  Tensor<T> hidden(const std::vector<std::vector<std::int32_t>>& texts,
                   std::vector<std::int32_t> types = {}) const {
    std::vector<Example> examples;
    for (const auto& ids : texts)
      examples.push_back(
          {{ids, types.empty() ? std::vector<std::int32_t>(ids.size(), 0) : types}, 0});
    Tape<T> tape;
    return backbone.forward(tape, pack(examples), nullptr, {}).value;
  }

  ModelConfig config;
  BackboneReader<T> reader;
  Weights<T> weights;
  Backbone<T> backbone;
};

std::filesystem::path model_folder(const char* name) {
  return shared_data() / "../models" / name;
}

BOOST_AUTO_TEST_SUITE(real_models, *precondition(has_shared_data))

BOOST_AUTO_TEST_CASE(gpt_nano_sort_has_the_activations_of_pytorch) {
  const auto folder = model_folder("gpt-nano-sort");
  const RealModel<float> model(folder);
  const CausalLanguageModel<float> language_model(model.backbone, model.reader);
  const SafetensorsFile golden(folder / "activations.safetensors");
  const auto ids = golden.read<float>("idx", {3, 11}).to_vector();
  std::vector<std::vector<std::int32_t>> texts(3);
  for (std::size_t i = 0; i < ids.size(); ++i)
    texts[i / 11].push_back(static_cast<std::int32_t>(ids[i]));
  const Tensor<float> hidden = model.hidden(texts);
  BOOST_TEST(largest_difference(golden.read<float>("ln_f", {3, 11, 48}).to_vector(),
                                hidden.to_vector()) < 1e-4);
  Tape<float> tape;
  const auto logits = language_model.logits(tape, autodiff::constant(hidden)).value.to_vector();
  BOOST_TEST(largest_difference(golden.read<float>("lm_head", {3, 11, 3}).to_vector(), logits) <
             1e-4);
}

BOOST_AUTO_TEST_CASE(stories260k_has_its_logits_and_tells_its_story) {
  const auto folder = model_folder("stories260K");
  const auto golden = parse_json(tn::read_file(folder / "golden.json"), "golden.json");
  const RealModel<float> model(folder);
  const CausalLanguageModel<float> language_model(model.backbone, model.reader);
  const auto ids = golden["ids"].get<std::vector<std::int32_t>>();
  Tape<float> tape;
  const auto logits =
      language_model.logits(tape, autodiff::constant(model.hidden({ids}))).value.to_vector();
  const auto last = logits.end() - 512;
  BOOST_TEST((std::max_element(last, logits.end()) - last) ==
             golden["last_logits_argmax"].get<std::ptrdiff_t>());
  const auto first = golden["last_logits_first8"].get<std::vector<float>>();
  BOOST_TEST(largest_difference(first, {last, last + 8}) < 1e-4);

  // Token by token through the cache, and what the tokenizer makes of it.
  const auto story = golden["greedy_from_bos_ids"].get<std::vector<std::int32_t>>();
  std::vector<std::int32_t> told{story.front()};
  const auto end =
      generate(language_model, nullptr, told, {},
               {.max_new_tokens = static_cast<Index>(story.size()) - 1, .temperature = 0},
               [&](std::int32_t token) { return told.push_back(token), true; });
  BOOST_TEST((end == GenerationEnd::max_new_tokens));
  BOOST_TEST(told == story, boost::test_tools::per_element());
  const auto tokenizer = read_tokenizer(folder);
  BOOST_TEST(tokenizer->decode(told).starts_with(golden["text"].get<std::string>()));
  for (const auto& text : golden["encode"])
    BOOST_TEST(tokenizer->encode_pair(text["text"].get<std::string>(), {}, 512).ids ==
                   text["ids"].get<std::vector<std::int32_t>>(),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(stories260k_has_its_published_loss) {
  const auto folder = model_folder("stories260K");
  const auto golden = parse_json(tn::read_file(folder / "golden.json"), "golden.json");
  const RealModel<float> model(folder);
  const CausalLanguageModel<float> language_model(model.backbone, model.reader);
  const auto tokenizer = read_tokenizer(folder);
  // Sixty stories behind the first, which is the end of one.
  const std::string text = tn::read_file(shared_data() / "text/tinystories_sample.txt");
  const std::string mark = "<|endoftext|>";
  double sum = 0, count = 0;
  std::size_t begin = text.find(mark) + mark.size();
  for (int story = 0; story < 60; ++story) {
    const auto end = text.find(mark, begin), first = text.find_first_not_of("\n ", begin),
               last = text.find_last_not_of("\n ", end - 1);
    const auto encoded =
        tokenizer->encode_pair(text.substr(first, last + 1 - first), std::nullopt, 512);
    begin = end + mark.size();
    std::vector<std::int32_t> rows, labels(encoded.ids.begin() + 1, encoded.ids.end());
    for (std::size_t i = 0; i < labels.size(); ++i) rows.push_back(static_cast<std::int32_t>(i));
    Tape<float> tape;
    const auto loss = language_model.loss(tape, pack(std::vector<Example>{{encoded, 0}}),
                                          to_indices(rows), to_indices(labels), nullptr, {});
    sum += static_cast<double>(loss.value.item()) * static_cast<double>(rows.size());
    count += static_cast<double>(rows.size());
  }
  BOOST_TEST(count == golden["n_tokens_60_stories"].get<double>());
  BOOST_TEST(std::abs(sum / count - golden["mean_nll_per_token_60_stories"].get<double>()) < 1e-5);
}

BOOST_AUTO_TEST_CASE(the_distilled_encoder_has_the_hidden_states_of_every_layer) {
  const auto folder = model_folder("bert-mini-use-distilled");
  const auto golden = parse_json(tn::read_file(folder / "golden.json"), "golden.json");
  for (std::size_t layers = 1; layers <= 4; ++layers) {
    const RealModel<float> model(folder, static_cast<Index>(layers));
    for (const auto& c : golden["cases"]) {
      const auto ids = c["input_ids"].get<std::vector<std::int32_t>>();
      const auto hidden =
          model.hidden({ids}, c["token_type_ids"].get<std::vector<std::int32_t>>()).to_vector();
      const auto check = [&](const char* field, std::ptrdiff_t token) {
        const auto expected = c[field][layers].get<std::vector<float>>();  // [0]: the embeddings
        const auto row = hidden.begin() + token * model.config.hidden_size;
        BOOST_TEST(largest_difference(
                       expected, {row, row + static_cast<std::ptrdiff_t>(expected.size())}) < 1e-5);
      };
      check("hidden_cls_first4", 0);
      check("hidden_last_first4", static_cast<std::ptrdiff_t>(ids.size()) - 1);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
