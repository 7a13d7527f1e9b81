/// Every family against transformers and PyTorch, which wrote fixtures/families (README.md there),
/// and what must hold of each.

#include "family_testing.hpp"

#include <metatt/autodiff/ops_loss.hpp>
#include <metatt/transformer/causal_language_model.hpp>
#include <metatt/transformer/masked_language_model.hpp>

#include <set>

using namespace metatt;
using namespace metatt::testing;

namespace {

constexpr std::array names{"bert_tanh", "roberta",    "distilbert", "gpt2", "gpt2_untied",
                           "llama",     "llama_bias", "mistral",    "qwen2"};

/// A model of the folder with its language-model head, if the family is causal; all trainable.
template <class T>
struct FamilyModel {
  explicit FamilyModel(const std::filesystem::path& folder)
      : config(read_model_config(folder / "config.json")),
        reader(folder, config),
        backbone(config, weights, reader) {
    if (config.family().causal) head.emplace(backbone, reader);
    for (typename Weights<T>::Id id = 0; id < weights.count(); ++id)
      weights.train(id, WeightGroup::decayed);
    weights.build_arena();
  }

  Variable<T> hidden(Tape<T>& tape, const std::vector<Example>& examples) const {
    return backbone.forward(tape, pack(examples), nullptr, {});
  }

  ModelConfig config;
  BackboneReader<T> reader;
  Weights<T> weights;
  Backbone<T> backbone;
  std::optional<CausalLanguageModel<T>> head;
};

/// Of which tokens a pass wants the hidden states, and whether it says so or drops the others.
enum class Wanted { all, some_of_all, some };

/// A forward and a backward pass of a small model of a family.
struct PassOfFamily {
  PassOfFamily(const std::string& name, const std::string& method, bool recomputes,
               Wanted wanted = Wanted::all, const DropoutRates& dropout = {0.2, 0.2, 0.2, 0.2}) {
    const Family& family = find_family(name, "test");
    ModelConfig config = family_defaults(family);
    config.vocab_size = 24;
    config.hidden_size = 8;
    config.intermediate_size = 12;
    config.num_hidden_layers = 3;
    config.num_attention_heads = 2;
    config.max_position_embeddings = 16;
    Weights<double> weights;
    const Backbone<double> backbone(config, weights, random_weight<double>);
    std::unique_ptr<Adapter<double>> adapter;
    if (method == "full") {
      train_all(weights, {backbone.ids()});
      for (const auto id : backbone.ids()) trainable.insert(weights.name(id));
    } else {
      AdapterSettings settings;
      settings.kind = method;
      settings.rank = 2;
      settings.targets = matrix_types(family);
      adapter = make_adapter(settings, config, weights);
      randomise_adapter(*adapter, weights);
      weights.build_arena();
      for (const auto id : adapter->tensors())
        if (weights.trainable(id)) trainable.insert(weights.name(id));
    }
    const std::int64_t before = tn::backend::queue().work.gemm_flops;
    Tape<double> tape(weights.arena(), 7, 3);
    tape.set_recomputes_layers(recomputes);
    const Batch batch = pack(random_examples(4, 5));
    const autodiff::Indices last = batch.sequences.last_rows();
    Variable<double> hidden = backbone.forward(tape, batch, adapter.get(), dropout,
                                               wanted == Wanted::some ? last : autodiff::Indices());
    if (wanted == Wanted::some_of_all) hidden = autodiff::gather_rows(tape, hidden, last);
    const Variable<double> squares = autodiff::mean_squared_error(
        tape, hidden, tn::random_normal<double>(hidden.value.shape(), 9));
    saved = tape.saved_bytes();
    loss = squares.value.item();
    tape.backward(squares);
    products = tn::backend::queue().work.gemm_flops - before;
    auto& arena = weights.arena();
    for (Index i = 0; i < arena.count(); ++i) {
      BOOST_TEST(arena.has_gradient(i), arena.name(i));
      trained.insert(arena.name(i));
      const auto part = arena.gradient(i).to_vector();
      gradients.insert(gradients.end(), part.begin(), part.end());
    }
  }
  double loss = 0;
  std::int64_t saved = 0, products = 0;
  std::vector<double> gradients;
  std::set<std::string> trained, trainable;
};

/// An encoder of a folder under transformers' random head; all trainable.
template <class T>
struct GoldenMasked {
  explicit GoldenMasked(const Golden& golden)
      : config(read_model_config(golden.folder / "config.json")),
        reader(golden.folder, config),
        backbone(config, weights, reader),
        model(backbone, [&](const std::string& name, const Shape& shape) {
          return golden.arrays.read<T>("weight." + name, shape);
        }) {
    train_all(weights, {backbone.ids(), model.head_ids()});
  }

  ModelConfig config;
  BackboneReader<T> reader;
  Weights<T> weights;
  Backbone<T> backbone;
  MaskedLanguageModel<T> model;
};

/// Those of the tables, so that a new one is tested too.
const std::vector<std::string> base_families = family_names();
const std::vector<std::string> methods = [] {
  auto names = adapter_kinds();
  names.push_back("full");
  return names;
}();

BOOST_AUTO_TEST_SUITE(all_families)

BOOST_AUTO_TEST_CASE(every_family_of_the_table_has_values_of_transformers) {
  for (const std::string& family : base_families)
    BOOST_TEST(std::ranges::any_of(
                   names, [&](const std::string& name) { return name.starts_with(family); }),
               family);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(hidden_states_logits_and_gradients_are_those_of_transformers, T,
                              Types) {
  for (const char* name : names) BOOST_TEST_CONTEXT(name) {
      const Golden golden(name);
      const FamilyModel<T> model(golden.folder);
      const double allowed = tolerance<T>(model.config);
      Tape<T> tape(model.weights.arena(), 0, 0);
      const Variable<T> hidden = model.hidden(tape, golden.examples);
      check_close(golden.array<T>("hidden").to_vector(), hidden.value.to_vector(), allowed);
      Variable<T> loss;
      if (model.head) {
        const Variable<T> logits = model.head->logits(tape, hidden);
        check_close(golden.array<T>("logits").to_vector(), logits.value.to_vector(), allowed);
        std::vector<std::int32_t> rows;
        for (Index i = 0; i < hidden.value.extent(0); ++i)
          rows.push_back(static_cast<std::int32_t>(i));
        loss = model.head->loss(tape, pack(golden.examples), to_indices(rows),
                                to_indices(golden.facts["labels"].get<std::vector<std::int32_t>>()),
                                nullptr, {});
      } else {
        loss = autodiff::mean_squared_error(tape, hidden, golden.array<T>("target"));
      }
      check_close(golden.array<T>("loss").to_vector(), {loss.value.item()}, allowed);
      model.weights.arena().clear_gradients();
      tape.backward(loss);
      for (const auto& [stored, gradient] : stored_gradients(model.config, model.weights))
        BOOST_TEST_CONTEXT(stored) {
          const std::string prefix = model.config.family().names.prefix;
          const bool bare = golden.arrays.contains("gradient." + stored);
          check_close(golden.array<T>("gradient." + (bare ? stored : stored.substr(prefix.size())))
                          .to_vector(),
                      gradient.to_vector(), 10 * allowed);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_written_model_reads_back_the_same_under_the_names_of_its_file) {
  for (const char* name : names) BOOST_TEST_CONTEXT(name) {
      const Golden golden(name);
      const FamilyModel<float> model(golden.folder);
      auto tensors = backbone_tensors(model.backbone);
      if (model.head)
        for (const auto id : model.head->head_ids())
          tensors.push_back({model.weights.name(id), model.weights.value(id)});
      const TemporaryFolder folder;
      write_safetensors<float>(folder / "model.safetensors", tensors, {{"format", "pt"}});
      write_json(folder / "config.json", model_config_json(model.config));
      const FamilyModel<float> again(folder.path());
      BOOST_TEST((again.config == model.config));
      Tape<float> first, second;
      BOOST_TEST((model.hidden(first, golden.examples).value.to_vector() ==
                  again.hidden(second, golden.examples).value.to_vector()));
      // Base models are stored without the prefix that we write.
      const SafetensorsFile written(folder / "model.safetensors"),
          original(golden.folder / "model.safetensors");
      const std::string prefix = model.config.family().names.prefix;
      for (const std::string& stored : original.names()) {
        const bool pooler = stored.starts_with("pooler.");
        BOOST_TEST((pooler || written.contains(stored) || written.contains(prefix + stored)),
                   stored);
      }
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_text_gets_the_same_alone_and_in_company, T, Types) {
  for (const char* name : names) BOOST_TEST_CONTEXT(name) {
      const Golden golden(name);
      const FamilyModel<T> model(golden.folder);
      std::vector<T> alone;
      for (const Example& example : golden.examples) {
        Tape<T> tape;
        const auto hidden = model.hidden(tape, {example}).value.to_vector();
        alone.insert(alone.end(), hidden.begin(), hidden.end());
      }
      Tape<T> tape;
      BOOST_TEST(relative_error(alone, model.hidden(tape, golden.examples).value.to_vector()) <
                 (sizeof(T) == 4 ? 1e-5 : 1e-13));
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(tokens_one_by_one_are_those_of_the_whole_text, T, Types) {
  for (const char* name : names) BOOST_TEST_CONTEXT(name) {
      const Golden golden(name);
      const FamilyModel<T> model(golden.folder);
      if (!model.config.family().causal) {
        check_error([&] { model.backbone.cache(4); },
                    {name == std::string("bert_tanh") ? "bert" : name});
        continue;
      }
      const Example& text = golden.examples[2];
      const std::span<const std::int32_t> ids = text.text.ids;
      auto cache = model.backbone.cache(static_cast<Index>(ids.size()));
      auto hidden = model.backbone.forward_next(ids.first(5), cache, nullptr).value.to_vector();
      for (std::size_t i = 5; i < ids.size(); ++i) {
        const auto next = model.backbone.forward_next(ids.subspan(i, 1), cache, nullptr);
        const auto row = next.value.to_vector();
        hidden.insert(hidden.end(), row.begin(), row.end());
      }
      Tape<T> tape;
      BOOST_TEST(relative_error(model.hidden(tape, {text}).value.to_vector(), hidden) <
                 (sizeof(T) == 4 ? 1e-5 : 1e-13));
      check_error([&] { model.backbone.forward_next(ids.first(1), cache, nullptr); },
                  {"13 tokens in a cache for 12"});
      check_error([&] { model.backbone.cache(21); }, {"1 … 20", "found 21"});
    }
}

BOOST_AUTO_TEST_CASE(an_adapter_of_all_matrices_is_what_its_merged_weights_are) {
  for (const char* name : names)
    for (const char* kind : {"lora", "metatt4d", "metatt5d", "metatt5+1d"})
      BOOST_TEST_CONTEXT(name << " " << kind) {
        const Golden golden(name);
        const ModelConfig config = read_model_config(golden.folder / "config.json");
        const BackboneReader<double> reader(golden.folder, config);
        Weights<double> weights;
        const Backbone<double> backbone(config, weights, reader);
        AdapterSettings settings;
        settings.kind = kind;
        settings.rank = 2;
        settings.alpha = 0.7;
        settings.targets = matrix_types(config.family());
        const auto adapter = make_adapter(settings, config, weights);
        randomise_adapter(*adapter, weights);
        weights.build_arena();
        Tape<double> tape;
        const auto hidden =
            backbone.forward(tape, pack(golden.examples), adapter.get(), {}).value.to_vector();

        const TemporaryFolder folder;
        const auto merged = backbone_tensors<double>(
            backbone, [&](Index layer, MatrixType type, Tensor<double> weight) {
              const auto update = dense_update<double>(lora_factors(*adapter, layer, type, 0));
              BOOST_TEST_REQUIRE((update.shape() == weight.shape()));
              Tensor<double> sum = weight.slice(0, weight.extent(0));
              std::vector<double> values = sum.to_vector();
              const auto added = update.to_vector();
              for (std::size_t i = 0; i < values.size(); ++i) values[i] += added[i];
              return Tensor<double>::from(weight.shape(), std::span<const double>(values));
            });
        write_safetensors<double>(folder / "model.safetensors", merged, {});
        Weights<double> merged_weights;
        const BackboneReader<double> merged_reader(folder.path(), config);
        const Backbone<double> other(config, merged_weights, merged_reader);
        Tape<double> second;
        BOOST_TEST(relative_error(hidden, other.forward(second, pack(golden.examples), nullptr, {})
                                              .value.to_vector()) < 1e-12);
        if (!config.family().causal) continue;
        auto cache = backbone.cache(7);
        std::vector<double> one_by_one;
        for (const std::int32_t id : golden.examples[0].text.ids) {
          const auto row =
              backbone.forward_next(std::span(&id, 1), cache, adapter.get()).value.to_vector();
          one_by_one.insert(one_by_one.end(), row.begin(), row.end());
        }
        const std::vector<double> first(
            hidden.begin(), hidden.begin() + static_cast<std::ptrdiff_t>(one_by_one.size()));
        BOOST_TEST(relative_error(first, one_by_one) < 1e-12);
      }
}

BOOST_AUTO_TEST_CASE(gradients_reach_all_that_is_trained_and_nothing_else) {
  for (const std::string& family : base_families)
    for (const std::string& method : methods) BOOST_TEST_CONTEXT(family << " " << method) {
        const PassOfFamily pass(family, method, false);
        BOOST_TEST(pass.trained == pass.trainable, boost::test_tools::per_element());
      }
}

BOOST_AUTO_TEST_CASE(layers_run_again_change_neither_loss_nor_gradients_and_save_memory) {
  for (const std::string& family : base_families)
    for (const std::string& method : methods) BOOST_TEST_CONTEXT(family << " " << method) {
        const PassOfFamily kept(family, method, false), again(family, method, true);
        BOOST_TEST(again.loss == kept.loss);
        BOOST_TEST(relative_error(kept.gradients, again.gradients) < 1e-14);
        BOOST_TEST(3 * again.saved < kept.saved);
      }
}

BOOST_AUTO_TEST_CASE(hidden_states_of_some_tokens_are_those_of_all_and_cost_less) {
  for (const std::string& family : base_families)
    for (const std::string& method : methods)
      for (const bool recomputes : {false, true}) BOOST_TEST_CONTEXT(family << " " << method) {
          const DropoutRates inside{0, 0.2, 0, 0.2};  // what does not count the last layer's rows
          const PassOfFamily all(family, method, recomputes, Wanted::some_of_all, inside);
          const PassOfFamily some(family, method, recomputes, Wanted::some, inside);
          BOOST_TEST(some.loss == all.loss, boost::test_tools::tolerance(1e-13));
          BOOST_TEST(relative_error(some.gradients, all.gradients) < 1e-12);
          BOOST_TEST(some.saved <= all.saved);
          BOOST_TEST(some.products < all.products);
        }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(encoders_predict_hidden_tokens_as_transformers, T, Types) {
  for (const char* name : {"bert_tanh", "roberta", "distilbert"}) BOOST_TEST_CONTEXT(name) {
      const Golden golden(name, "masked.safetensors");
      const GoldenMasked<T> masked(golden);
      const auto indices = [&](const char* array) {
        const auto values = golden.array<double>(array).to_vector();
        return to_indices(std::vector<std::int32_t>(values.begin(), values.end()));
      };
      Tape<T> tape(masked.weights.arena(), 0, 0);
      masked.weights.arena().clear_gradients();
      const auto loss =
          masked.model.loss(tape, pack(golden.examples), indices("rows"), indices("labels"), {});
      tape.backward(loss);
      const double allowed = tolerance<T>(masked.config);
      check_close(golden.array<T>("loss").to_vector(), std::vector<T>{loss.value.item()}, allowed);
      std::size_t checked = 0;
      for (const auto& [stored, gradient] :
           stored_gradients(masked.config, masked.weights, masked.model.head_ids()))
        BOOST_TEST_CONTEXT(stored) {
          check_close(golden.array<T>("gradient." + stored).to_vector(), gradient.to_vector(),
                      10 * allowed);
          ++checked;
        }
      const auto all = golden.arrays.names();
      BOOST_TEST(checked == std::ranges::count_if(all, [](const std::string& array) {
                   return array.starts_with("gradient.");
                 }));
    }
}

BOOST_AUTO_TEST_CASE(a_masked_model_that_cannot_be_is_refused) {
  const auto refuse = [](const char* family, bool tied, const char* fragment) {
    ModelConfig config = small_config();
    config.model_type = family;
    config.tie_word_embeddings = tied;
    Weights<float> weights;
    const Backbone<float> backbone(config, weights, random_weight<float>);
    check_error([&] { MaskedLanguageModel<float>(backbone, random_weight<float>); },
                {"MaskedLanguageModel", fragment});
  };
  refuse("gpt2", true, "\"gpt2\"");
  refuse("bert", false, "tie_word_embeddings");
}

BOOST_AUTO_TEST_CASE(newer_and_rarer_fields_are_read) {
  const auto read = [](const char* name, const nlohmann::json& changes) {
    auto fields = parse_json(tn::read_file(families / name / "config.json"), name);
    for (const auto& [field, value] : changes.items())
      value == "absent" ? static_cast<void>(fields.erase(field))
                        : static_cast<void>(fields[field] = value);
    const TemporaryFolder folder;
    write_json(folder / "config.json", fields);
    const ModelConfig config = read_model_config(folder / "config.json");
    write_json(folder / "config.json", model_config_json(config));
    BOOST_TEST((read_model_config(folder / "config.json") == config));
    return config;
  };
  const nlohmann::json theta = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  BOOST_TEST(read("llama", {{"rope_theta", "absent"}, {"rope_parameters", theta}}).rope_theta ==
             5e5);
  BOOST_TEST(read("llama", {{"rope_theta", "absent"}}).rope_theta == 10000);
  BOOST_TEST(read("llama", {{"head_dim", 6}}).query_width() == 24);
  BOOST_TEST(
      read("llama", {{"eos_token_id", {2, 5}}}).eos_token_id == (std::vector<std::int64_t>{2, 5}),
      boost::test_tools::per_element());
  BOOST_TEST(read("llama", {{"eos_token_id", nullptr}}).eos_token_id.empty());
  BOOST_TEST(read("gpt2", {{"n_inner", nullptr}}).intermediate_size == 32);
  BOOST_TEST(read("mistral", {{"sliding_window", "absent"}}).max_position_embeddings == 20);
  // Absent would stand for a window of 4096 in what is written.
  BOOST_TEST(read("mistral", {{"max_position_embeddings", 5000}}).max_position_embeddings == 5000);
  BOOST_TEST(read("qwen2", {{"sliding_window", 4}}).longest_sequence() == 20);
  for (const char* field : {"embedding_multiplier", "residual_multiplier", "logits_scaling"})
    read("llama", {{field, 1.0}, {"attn_logit_softcapping", nullptr}});
  BOOST_TEST(read("llama", {{"attention_bias", true}}).attention_bias);
  BOOST_TEST(DropoutRates::of(read("distilbert", {{"seq_classif_dropout", "absent"}})).classifier ==
             0.2);
}

BOOST_AUTO_TEST_CASE(weights_in_several_files_are_those_in_one) {
  const Golden golden("llama");
  const FamilyModel<float> model(golden.folder);
  const SafetensorsFile whole(golden.folder / "model.safetensors");
  const TemporaryFolder folder;
  std::vector<NamedTensor<float>> halves[2];
  nlohmann::json map;
  int i = 0;
  for (const std::string& name : whole.names()) {
    const int half = i++ % 2;
    halves[half].push_back({name, whole.read<float>(name, whole.entry(name).shape)});
    map[name] = "part" + std::to_string(half) + ".safetensors";
  }
  for (int half = 0; half < 2; ++half)
    write_safetensors<float>(folder / ("part" + std::to_string(half) + ".safetensors"),
                             halves[half], {});
  const auto index = folder / "model.safetensors.index.json";
  write_json(index, {{"weight_map", map}});
  write_json(folder / "config.json", model_config_json(model.config));
  const FamilyModel<float> parts(folder.path());
  Tape<float> first, second;
  BOOST_TEST((model.hidden(first, golden.examples).value.to_vector() ==
              parts.hidden(second, golden.examples).value.to_vector()));

  const auto refuse = [&](const nlohmann::json& changed, const char* fragment) {
    write_json(index, changed);
    check_error([&] { WeightFiles files(folder.path()); }, {index.string(), fragment});
  };
  refuse({{"weight_map", 3}}, "weight_map");
  map["model.norm.weight"] = "../part0.safetensors";
  refuse({{"weight_map", map}}, "same folder");
  map["model.norm.weight"] = 7;
  refuse({{"weight_map", map}}, "model.norm.weight");
  map["model.norm.weight"] = "part0.safetensors";
  map["absent"] = "part0.safetensors";
  refuse({{"weight_map", map}}, "absent");
}

BOOST_AUTO_TEST_CASE(variants_that_would_give_other_results_are_refused_by_name) {
  const auto refuse = [](const char* name, const char* field, const nlohmann::json& value) {
    auto fields = parse_json(tn::read_file(families / name / "config.json"), name);
    fields[field] = value;
    const TemporaryFolder folder;
    write_json(folder / "config.json", fields);
    check_error([&] { read_model_config(folder / "config.json"); }, {"config.json", field});
  };
  refuse("llama", "rope_scaling", {{"type", "linear"}, {"factor", 2.0}});
  refuse("llama", "rope_scaling", {{"rope_type", 3}});
  refuse("llama", "rope_parameters", {{"rope_type", "yarn"}});
  refuse("llama", "rope_parameters", 3);
  refuse("llama", "partial_rotary_factor", 0.5);
  refuse("llama", "eos_token_id", {2, 99});
  refuse("llama", "mlp_bias", true);
  refuse("llama", "hidden_act", "gelu");
  refuse("llama", "num_key_value_heads", 3);
  refuse("llama", "head_dim", 5);
  refuse("mistral", "sliding_window", 0);
  refuse("llama", "quantization_config", {{"quant_method", "gptq"}});
  for (const char* field :
       {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar",
        "attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling"})
    refuse("llama", field, 12.5);
  refuse("gpt2", "scale_attn_weights", false);
  refuse("gpt2", "scale_attn_by_inverse_layer_idx", true);
  refuse("gpt2", "add_cross_attention", true);
  refuse("bert_tanh", "is_encoder_decoder", true);
  refuse("gpt2", "activation_function", "relu");
  refuse("roberta", "position_embedding_type", "relative_key");
  refuse("roberta", "max_position_embeddings", 2);
  refuse("distilbert", "dim", 7);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
