/// Sequence classifiers of every family against transformers and PyTorch, which wrote
/// fixtures/families/…/classifier.safetensors (README.md there), and what must hold of each.

#include "../fixture_testing.hpp"
#include "family_testing.hpp"

#include <metatt/autodiff/ops_activation.hpp>
#include <metatt/autodiff/ops_embedding.hpp>

#include <optional>
#include <set>

using namespace metatt;
using namespace metatt::testing;

namespace {

/// A family and what its head is called in files.
struct Case {
  const char* name;  ///< folder of fixtures/families
  const char* architecture;
  std::set<std::string> head;  ///< weights that every method trains
  std::set<std::string> modules_to_save;
};

const std::set<std::string> score{"score.weight"};
const std::vector<Case> cases{
    {"bert_tanh",
     "BertForSequenceClassification",
     {"classifier.weight", "classifier.bias"},
     {"classifier"}},
    {"roberta",
     "RobertaForSequenceClassification",
     {"classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight",
      "classifier.out_proj.bias"},
     {"classifier"}},
    {"distilbert",
     "DistilBertForSequenceClassification",
     {"pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias"},
     {"classifier", "pre_classifier"}},
    {"gpt2", "GPT2ForSequenceClassification", score, {"score"}},
    {"llama", "LlamaForSequenceClassification", score, {"score"}},
    {"mistral", "MistralForSequenceClassification", score, {"score"}},
    {"qwen2", "Qwen2ForSequenceClassification", score, {"score"}}};

/// The model of a folder under transformers' random head; all trainable.
template <class T>
struct GoldenClassifier {
  GoldenClassifier(const Golden& golden, const std::string& kind)
      : config(read_model_config(golden.folder / "config.json")),
        reader(golden.folder, config),
        backbone(config, weights, reader),
        classifier(backbone, golden.array<T>(kind + ".logits").extent(1),
                   [&](const std::string& name, const Shape& shape) {
                     const std::string stored = kind + ".weight." + name;
                     return golden.arrays.contains(stored) ? golden.arrays.read<T>(stored, shape)
                                                           : reader(name, shape);
                   }) {
    mark_trained(Method::named("full", {}), backbone, classifier, true);
    weights.build_arena();
  }

  /// Under the names and in the layout of files.
  std::vector<NamedTensor<T>> gradients() const {
    auto ids = classifier.pooler_ids();
    for (const auto id : classifier.head_ids()) ids.push_back(id);
    return stored_gradients(config, weights, ids);
  }

  ModelConfig config;
  BackboneReader<T> reader;
  Weights<T> weights;
  Backbone<T> backbone;
  Classifier<T> classifier;
};

/// A tokenizer of 23 entries: WordPiece, or byte pairs with what the families put around texts.
void write_small_tokenizer(const TemporaryFolder& folder, const Family& family) {
  std::string entries;
  nlohmann::json vocabulary;
  const auto add = [&](const std::string& entry) {
    entries += entry + "\n";
    vocabulary[entry] = vocabulary.size();
  };
  if (!family.causal)
    for (const char* entry : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) add(entry);
  else
    for (const char* entry : {"<unk>", "<s>", "</s>", "<pad>", "\xE2\x96\x81"}) add(entry);
  for (char c = 'a'; c < 'a' + 18; ++c) add(std::string(1, c));
  if (!family.causal) {
    folder.write("vocab.txt", entries);
    return;
  }
  nlohmann::json added = nlohmann::json::array();
  for (const char* entry : {"<unk>", "<s>", "</s>", "<pad>"})
    added.push_back({{"id", vocabulary[entry]}, {"content", entry}, {"special", true}});
  write_json(
      folder / "tokenizer.json",
      {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {}}, {"unk_token", "<unk>"}}},
       {"added_tokens", added},
       {"normalizer", nullptr},
       {"pre_tokenizer",
        {{"type", "Metaspace"}, {"replacement", "\xE2\x96\x81"}, {"split", false}}}});
}

/// A folder with a family's model and a tokenizer, and a trained classifier on it.
template <class T>
struct TrainedClassifier {
  TrainedClassifier(const Case& family_case, const std::string& kind, Index outputs = 3,
                    std::vector<MatrixType> targets = {}, std::vector<Index> ranks = {})
      : golden(family_case.name) {
    for (const char* file : {"config.json", "model.safetensors"})
      base.write(file, tn::read_file(golden.folder / file));
    const Family& family = read_model_config(base / "config.json").family();
    write_small_tokenizer(base, family);
    AdapterSettings settings;
    settings.rank = 2;
    settings.ranks = std::move(ranks);
    settings.alpha = 0.7;
    settings.targets = targets.empty() ? matrix_types(family) : targets;
    method = Method::named(kind, settings);
    model =
        std::make_unique<ClassifierModel<T>>(base.path(), outputs, method, HeadSource::fresh, 1);
    if (model->adapter()) randomise_adapter(*model->adapter(), model->weights());
    for (const auto id :
         model->classifier().head_ids()) {  // that of a trained one is no small noise
      auto& weights = model->weights();
      weights.set_value(id, random_weight<T>(weights.name(id), weights.shape(id)));
    }
    output = tn::prepare_output_folder(results.path(), true);
  }
  AdapterRecord record() const {
    AdapterRecord record;
    record.base_model = base.path().string();
    record.tasks = {"mnli"};
    record.max_seq_length = 12;
    record.method = method;
    record.pooler_trained = model->pooler_trained();
    return record;
  }
  Batch batch() const { return pack(golden.examples); }

  Golden golden;
  TemporaryFolder base, results;
  Method method;
  std::unique_ptr<ClassifierModel<T>> model;
  tn::OutputFolder output;
};

BOOST_AUTO_TEST_SUITE(all_families)

BOOST_AUTO_TEST_CASE(every_family_of_the_table_is_a_classifier_here) {
  for (const std::string& family : family_names())
    BOOST_TEST(
        std::ranges::any_of(
            cases, [&](const Case& one) { return std::string(one.name).starts_with(family); }),
        family);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(classifiers_have_the_logits_losses_and_gradients_of_transformers, T,
                              Types) {
  for (const Case& one : cases)
    for (const std::string kind : {"classes", "regression"})
      BOOST_TEST_CONTEXT(one.name << " " << kind) {
        const Golden golden(one.name, "classifier.safetensors");
        const GoldenClassifier<T> model(golden, kind);
        const double allowed = tolerance<T>(model.config);
        Tape<T> tape(model.weights.arena(), 0, 0);
        const auto logits = model.classifier.logits(tape, pack(golden.examples), nullptr, {});
        check_close(golden.array<T>(kind + ".logits").to_vector(), logits.value.to_vector(),
                    allowed);
        const auto labels = golden.array<double>(kind + ".labels").to_vector();
        const auto loss = model.classifier.loss(tape, logits, labels);
        check_close(golden.array<T>(kind + ".loss").to_vector(), {loss.value.item()}, allowed);
        model.weights.arena().clear_gradients();
        tape.backward(loss);
        std::size_t checked = 0;
        for (const auto& [stored, gradient] : model.gradients()) BOOST_TEST_CONTEXT(stored) {
            const std::string name = kind + ".gradient." + stored;
            if (kind == "regression" && !golden.arrays.contains(name)) continue;
            check_close(golden.array<T>(name).to_vector(), gradient.to_vector(), 10 * allowed);
            ++checked;
          }
        const auto names = golden.arrays.names();
        BOOST_TEST(checked == std::ranges::count_if(names, [&](const std::string& name) {
                     return name.starts_with(kind + ".gradient.");
                   }));
      }
}

BOOST_AUTO_TEST_CASE(dropout_stands_where_transformers_has_it) {
  // The modelling files of transformers 4.41, written down once more.
  for (const Case& one : cases) BOOST_TEST_CONTEXT(one.name) {
      const Golden golden(one.name, "classifier.safetensors");
      const GoldenClassifier<double> model(golden, "classes");
      const Batch batch = pack(golden.examples);
      DropoutRates rates;
      rates.classifier = 0.5;
      Tape<double> tape(model.weights.arena(), 7, 1), other(model.weights.arena(), 7, 1);
      const auto logits = model.classifier.logits(tape, batch, nullptr, rates).value.to_vector();
      const auto hidden = model.backbone.forward(other, batch, nullptr, rates);
      const bool last = one.head == score;
      auto x = autodiff::gather_rows(
          other, hidden, last ? batch.sequences.last_rows() : batch.sequences.first_rows());
      const auto drop = [&] { x = autodiff::dropout(other, x, 0.5); };
      const auto product = [&](const std::string& module) {
        const auto use = [&](const std::string& part) {
          return model.weights.use(other, model.weights.find(module + part));
        };
        x = autodiff::linear<double>(other, x, use(".weight"),
                                     last ? Variable<double>{} : use(".bias"));
      };
      const std::string family = model.config.model_type;
      if (family == "bert") {
        product("pooler.dense");
        x = autodiff::tanh(other, x);
        drop();
        product("classifier");
      } else if (family == "roberta") {
        drop();
        product("classifier.dense");
        x = autodiff::tanh(other, x);
        drop();
        product("classifier.out_proj");
      } else if (family == "distilbert") {
        product("pre_classifier");
        x = autodiff::relu(other, x);
        drop();
        product("classifier");
      } else {
        product("score");
      }
      BOOST_TEST(logits == x.value.to_vector(), boost::test_tools::per_element());
      Tape<double> inference;
      const auto without = model.classifier.logits(inference, batch, nullptr, rates);
      BOOST_TEST((logits == without.value.to_vector()) == last);
    }
}

BOOST_AUTO_TEST_CASE(a_step_changes_what_a_method_trains_and_nothing_else) {
  for (const Case& one : cases)
    for (const std::string kind : {"metatt4d", "lora", "none", "full"})
      BOOST_TEST_CONTEXT(one.name << " " << kind) {
        const TrainedClassifier<double> trained(one, kind);
        auto& weights = trained.model->weights();
        std::vector<std::vector<double>> before;
        for (Weights<double>::Id id = 0; id < weights.count(); ++id)
          before.push_back(weights.value(id).to_vector());
        AdamW<double> optimiser(weights, {}, {0, 10});
        Tape<double> tape(weights.arena(), 0, 0);
        const auto logits =
            trained.model->classifier().logits(tape, trained.batch(), trained.model->adapter(),
                                               DropoutRates::of(trained.model->config()));
        tape.backward(
            trained.model->classifier().loss(tape, logits, std::vector<double>{0, 2, 1, 2}));
        optimiser.step();  // throws if a gradient has not come
        for (Weights<double>::Id id = 0; id < weights.count(); ++id) {
          const std::string& name = weights.name(id);
          const bool expected =
              kind == "full" || name.starts_with("adapter.") || one.head.contains(name);
          const bool changed =
              weights.value(id).to_vector() != before[static_cast<std::size_t>(id)];
          BOOST_TEST(changed == expected, name);
        }
      }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_text_is_classified_the_same_alone_and_in_company, T, Types) {
  for (const Case& one : cases) BOOST_TEST_CONTEXT(one.name) {
      const TrainedClassifier<T> trained(one, "metatt4d");
      std::vector<T> alone;
      for (const Example& example : trained.golden.examples) {
        const auto logits = logits_of(*trained.model, pack({example}));
        alone.insert(alone.end(), logits.begin(), logits.end());
      }
      BOOST_TEST(relative_error(alone, logits_of(*trained.model, trained.batch())) <
                 (sizeof(T) == 4 ? 1e-5 : 1e-13));
    }
}

BOOST_AUTO_TEST_CASE(an_adapter_of_every_family_is_read_as_it_was_written) {
  for (const Case& one : cases)
    for (const std::string kind : {"metatt4d", "lora", "none"})
      BOOST_TEST_CONTEXT(one.name << " " << kind) {
        const TrainedClassifier<float> trained(one, kind);
        write_adapter(trained.output, *trained.model, trained.record());
        const auto read = read_adapted_model<float>(trained.output.path,
                                                    read_adapter_record(trained.output.path), {});
        BOOST_TEST(logits_of(*read, trained.batch()) == logits_of(*trained.model, trained.batch()),
                   boost::test_tools::per_element());
      }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_merged_classifier_of_every_family_is_the_adapted_one, T, Types) {
  for (const Case& one : cases)
    for (const std::string kind : {"metatt4d", "lora", "full"})
      BOOST_TEST_CONTEXT(one.name << " " << kind) {
        const TrainedClassifier<T> trained(one, kind);
        write_merged_model(trained.output, *trained.model, record_of("mnli", 12));
        const auto config = read_json(trained.output / "config.json");
        BOOST_TEST((config["architectures"] == std::vector<std::string>{one.architecture}));
        BOOST_TEST((config["id2label"].size() == 3U));
        const SafetensorsFile written(trained.output / "model.safetensors");
        for (const std::string& name : one.head) BOOST_TEST(written.contains(name), name);
        const ClassifierModel<T> read(trained.output.path, 3, Method::named("none", {}),
                                      HeadSource::from_model, 9);
        BOOST_TEST(relative_error(logits_of(*trained.model, trained.batch()),
                                  logits_of(read, trained.batch())) <
                   (sizeof(T) == 4 ? 1e-5 : 1e-13));
        BOOST_TEST(read.tokenizer().encode_pair("a b", "c", 9).ids ==
                       trained.model->tokenizer().encode_pair("a b", "c", 9).ids,
                   boost::test_tools::per_element());
      }
}

/// The change of a matrix (rows of the file's module × inputs), queries, keys and values of a
/// joined one below each other.
Tensor<float> native_update(const TrainedClassifier<float>& trained, Index layer,
                            const std::vector<MatrixType>& types) {
  const ModelConfig& config = trained.model->config();
  const auto& targets = trained.method.adapter.targets;
  std::vector<float> rows;
  Index height = 0, width = 0;
  for (const MatrixType type : types) {
    const auto [d_in, d_out] = matrix_extents(config, type);
    const bool adapted = std::ranges::find(targets, type) != targets.end();
    const auto update =
        adapted ? dense_update<float>(lora_factors(*trained.model->adapter(), layer, type, 0))
                : Tensor<float>::zeros({d_out, d_in});
    const auto values = update.to_vector();
    rows.insert(rows.end(), values.begin(), values.end());
    height += d_out;
    width = d_in;
  }
  return Tensor<float>::from({height, width}, std::span<const float>(rows));
}

/// `rank`: what every module has in the file, if that is known.
void check_export(const Case& one, const std::string& kind, std::vector<MatrixType> targets,
                  std::vector<Index> ranks = {}, std::optional<Index> rank = {}) {
  const TrainedClassifier<float> trained(one, kind, 3, std::move(targets), std::move(ranks));
  export_peft_lora(trained.output, *trained.model, trained.record());
  const Family& family = trained.model->config().family();
  const auto json = read_json(trained.output / "adapter_config.json");
  BOOST_TEST((json["modules_to_save"] == one.modules_to_save));
  BOOST_TEST((json["fan_in_fan_out"] == family.transposed_in_file));
  BOOST_TEST(!json.contains("rank_pattern"));
  const SafetensorsFile file(trained.output / "adapter_model.safetensors");
  std::map<std::string, std::vector<MatrixType>> modules;
  for (const MatrixType type : trained.method.adapter.targets)
    if (const char* module = module_of(family, type))
      modules[module] = {type};
    else
      modules[family.names.joined] = {MatrixType::query, MatrixType::key, MatrixType::value};
  for (const auto& [module, types] : modules)
    for (Index layer = 0; layer < 2; ++layer) BOOST_TEST_CONTEXT(module << " of " << layer) {
        const std::string site = "base_model.model." + std::string(family.names.prefix) +
                                 family.names.layers + std::to_string(layer) + "." + module;
        const auto read = [&](const char* part) {
          const std::string name = site + part;
          return file.read<float>(name, file.entry(name).shape);
        };
        const auto A = read(".lora_A.weight"), B = read(".lora_B.weight");
        const auto native = native_update(trained, layer, types);
        const auto exported = dense_update<float>({A, B});
        BOOST_TEST_REQUIRE((exported.shape() == native.shape()));
        BOOST_TEST(relative_error(native.to_vector(), exported.to_vector()) < 1e-6);
        // PEFT scales by alpha / rank, other programs by alpha over the rank of the tensor.
        BOOST_TEST((json["r"] == A.extent(0)));
        BOOST_TEST((json["lora_alpha"] == A.extent(0)));
        if (rank) BOOST_TEST(A.extent(0) == *rank);
      }
  BOOST_TEST(file.names().size() == 4 * modules.size() + one.head.size());
  for (const std::string& name : one.head)
    BOOST_TEST(file.contains("base_model.model." + name), name);
}

BOOST_AUTO_TEST_CASE(a_peft_export_of_every_family_has_the_native_update) {
  for (const Case& one : cases)
    for (const char* kind : {"metatt4d", "lora"}) BOOST_TEST_CONTEXT(one.name << " " << kind) {
        const bool train = std::string(kind) == "metatt4d";  // with one left factor for all
        const auto rank = train ? std::optional<Index>(2) : std::nullopt;
        check_export(one, kind, {}, {}, rank);
        check_export(one, kind, {MatrixType::query, MatrixType::value}, {}, rank);
        check_export(one, kind, {MatrixType::value, MatrixType::attention_output}, {}, rank);
      }
}

BOOST_AUTO_TEST_CASE(joined_matrices_of_a_train_have_the_smaller_of_its_rank_and_their_sum) {
  const auto gpt2 = std::ranges::find(cases, std::string_view("gpt2"), &Case::name);
  BOOST_TEST_REQUIRE((gpt2 != std::end(cases)));
  const std::vector<MatrixType> all{MatrixType::query, MatrixType::key, MatrixType::value};
  check_export(*gpt2, "metatt4d", all, {3, 3, 2}, 3);  // 2 + 2 + 2 would be six
  check_export(*gpt2, "metatt4d", all, {4, 3, 1}, 3);  // 1 + 1 + 1
}

BOOST_AUTO_TEST_CASE(a_regression_starts_at_the_mean_label_where_its_output_has_a_bias) {
  for (const Case& one : cases) BOOST_TEST_CONTEXT(one.name) {
      const TrainedClassifier<double> trained(one, "none", 1);
      auto& model = *trained.model;
      std::vector<std::vector<double>> before;
      for (const auto& own : model.own_tensors()) before.push_back(own.tensor.to_vector());
      model.center_regression(std::vector<double>{1, 2, 6});
      const bool biased = one.head != score;
      if (biased) before.back() = {3};
      std::vector<std::vector<double>> after;
      for (const auto& own : model.own_tensors()) after.push_back(own.tensor.to_vector());
      BOOST_TEST((after == before));
      BOOST_TEST(biased == (model.classifier().output_bias() != Backbone<double>::none));
    }
}

BOOST_AUTO_TEST_CASE(a_length_leaves_room_for_two_tokens_of_a_pair_and_has_positions) {
  const TrainedClassifier<float> gpt2(cases[3], "none"), roberta(cases[1], "none");
  BOOST_TEST(gpt2.model->sequence_length(0) == 20);
  BOOST_TEST(roberta.model->sequence_length(0) == 20);  // of 22 rows, two before the first token
  BOOST_TEST(gpt2.model->sequence_length(2) == 2);
  check_error([&] { gpt2.model->sequence_length(1); }, {"at least 2", "0 special", "found 1"});
  check_error([&] { roberta.model->sequence_length(4); }, {"at least 5", "3 special", "found 4"});
  check_error([&] { roberta.model->sequence_length(21); }, {"20 positions", "found 21"});
}

BOOST_AUTO_TEST_CASE(a_text_without_tokens_is_refused) {
  const TrainedClassifier<float> gpt2(cases[3], "none"), bert(cases[0], "none");
  const std::vector<GlueRow> rows{{"a", std::nullopt, 0}, {"", std::nullopt, 1}};
  check_error([&] { encode_rows(gpt2.model->tokenizer(), rows, 8); }, {"encode_rows", "example 2"});
  BOOST_TEST(encode_rows(bert.model->tokenizer(), rows, 8)[1].text.ids.size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_merged_decoder_names_a_token_that_fills_up_texts) {
  // transformers reads the hidden state before the first of them, so it is in no text.
  const auto padding = [](const nlohmann::json& config, const nlohmann::json& settings,
                          const nlohmann::json& post_processor) {
    const TrainedClassifier<float> trained(cases[4], "none");
    auto changed = read_json(trained.base / "config.json");
    changed.update(config);
    write_json(trained.base / "config.json", changed);
    auto tokenizer = read_json(trained.base / "tokenizer.json");
    tokenizer["post_processor"] = post_processor;
    write_json(trained.base / "tokenizer.json", tokenizer);
    if (!settings.is_null()) write_json(trained.base / "tokenizer_config.json", settings);
    const ClassifierModel<float> model(trained.base.path(), 3, trained.method, HeadSource::fresh,
                                       1);
    write_merged_model(trained.output, model, record_of("mnli", 12));
    const auto id = read_json(trained.output / "config.json").value("pad_token_id", -1);
    if (id >= 0)
      BOOST_TEST((read_json(trained.output / "tokenizer_config.json")["pad_token"] ==
                  model.tokenizer().vocabulary().entry(id)));
    return id;
  };
  const nlohmann::json ends{{"bos_token_id", 1}, {"eos_token_id", 2}};
  const nlohmann::json around{
      {"type", "BertProcessing"}, {"cls", {"<s>", 1}}, {"sep", {"</s>", 2}}};
  BOOST_TEST(padding(ends, nullptr, nullptr) == 2);
  BOOST_TEST(padding({{"pad_token_id", 0}}, nullptr, nullptr) == 0);
  BOOST_TEST(padding({{"pad_token_id", 0}}, {{"pad_token", "<pad>"}}, nullptr) == 3);
  BOOST_TEST(padding(ends, {{"pad_token", {{"content", "</s>"}}}}, around) == -1);
  BOOST_TEST(padding({{"pad_token_id", 1}, {"eos_token_id", {2, 3}}}, nullptr, around) == 3);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
