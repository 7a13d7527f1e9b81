/// Logits, losses, gradients and a training curve against PyTorch and transformers, which wrote the
/// folders under fixtures/ (README.md there).

#include "model_testing.hpp"

#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/masked_language_model.hpp>

#include <nlohmann/json.hpp>

#include <tuple>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Types = std::tuple<float, double>;
const std::filesystem::path fixtures = METATT_FIXTURES;
constexpr std::array<const char*, 3> classifiers{"bert_two_classes", "bert_three_classes",
                                                 "bert_regression"};
constexpr std::array<const char*, 3> adapters{"metatt4d_query_value", "metatt4d_all_targets",
                                              "lora_query_value"};

/// Of the largest entry of each array. The golden values are doubles, the weights floats.
template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-10;

/// One folder of golden values.
struct Fixture {
  explicit Fixture(const std::string& name)
      : folder(fixtures / name),
        facts(parse_json(metatt::tn::read_file(folder / "fixture.json"), name)),
        arrays(folder / "fixture.safetensors"),
        config(read_model_config(folder / "config.json")) {
    const auto lengths = facts["lengths"].get<std::vector<std::size_t>>();
    const auto ids = facts["input_ids"].get<std::vector<std::int32_t>>();
    const auto types = facts["token_type_ids"].get<std::vector<std::int32_t>>();
    const auto labels = facts["labels"].get<std::vector<double>>();
    std::vector<Example> examples;
    std::ptrdiff_t begin = 0;
    for (const std::size_t length : lengths) {
      const auto end = begin + static_cast<std::ptrdiff_t>(length);
      examples.push_back(
          {{{ids.begin() + begin, ids.begin() + end}, {types.begin() + begin, types.begin() + end}},
           0});
      begin = end;
    }
    batch = pack(examples);
    this->labels = labels;
  }

  template <class T>
  Tensor<T> array(const std::string& name) const {
    return arrays.read<T>(name, arrays.entry(name).shape);
  }
  Index outputs() const { return arrays.entry("base.logits").shape[1]; }

  std::filesystem::path folder;
  nlohmann::json facts;
  SafetensorsFile arrays;
  ModelConfig config;
  Batch batch;
  std::vector<double> labels;
};

/// Golden gradient of a base weight; queries, keys and values are one weight here.
template <class T>
std::vector<T> golden_base(const Fixture& fixture, const std::string& prefix,
                           const std::string& name) {
  const std::string joined = "attention.self.qkv.";
  const auto place = name.find(joined);
  if (place == std::string::npos) {
    const bool bare = fixture.arrays.contains(prefix + name);
    return fixture.array<T>(prefix + (bare ? "" : "bert.") + name).to_vector();
  }
  std::vector<T> all;
  for (const char* part : {"query.", "key.", "value."}) {
    const auto values = fixture
                            .array<T>(prefix + "bert." + name.substr(0, place) + "attention.self." +
                                      part + name.substr(place + joined.size()))
                            .to_vector();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

/// Golden array (value or, with the prefix "CASE.gradient.", gradient) of an adapter's tensor.
template <class T>
Tensor<T> golden_adapter(const Fixture& fixture, const std::string& prefix,
                         const std::string& name) {
  if (name.starts_with("adapter.G")) return fixture.array<T>(prefix + "core." + name.substr(9));
  // adapter.layer.0.query.U is the transpose of lora_A.
  const std::string start = "adapter.layer.";
  const auto dot = name.find('.', start.size());
  const auto type = find_matrix_types({name.substr(dot + 1, name.size() - dot - 3)}).front();
  const std::string golden = prefix + "bert.encoder.layer." +
                             name.substr(start.size(), dot - start.size()) + "." +
                             module_of(ModelConfig().family(), type) +
                             (name.ends_with("U") ? ".lora_A.weight" : ".lora_B.weight");
  return tn::permute(fixture.array<T>(golden), std::array<int, 2>{1, 0});
}

template <class T>
std::unique_ptr<AssembledModel<T>> adapted(const Fixture& fixture, const std::string& name) {
  const auto& facts = fixture.facts["cases"][name];
  AdapterSettings settings;
  settings.targets = find_matrix_types(facts["targets"]);
  std::map<std::string, Shape> shapes;
  if (facts["adapter"] == "lora") {
    settings.rank = facts["rank"];
    settings.alpha = facts["lora_alpha"].get<double>() / facts["rank"].get<double>();
  } else {
    settings.alpha = facts["alpha"];
    for (Index k = 0; k < 4; ++k)
      shapes[MetaTT<T>::core_name(k)] =
          fixture.arrays.entry(name + ".core." + std::to_string(k + 1)).shape;
  }
  auto model = std::make_unique<AssembledModel<T>>(
      fixture.config, fixture.outputs(), Method::named(facts["adapter"], settings),
      BackboneReader<T>(fixture.folder, fixture.config), shapes);
  for (const auto id : model->adapter->tensors())
    model->weights.set_value(id, golden_adapter<T>(fixture, name + ".", model->weights.name(id)));
  return model;
}

template <class T>
void check_close(const std::vector<T>& expected, const std::vector<T>& found) {
  BOOST_TEST(relative_error(expected, found) < tolerance<T>);
}

template <class T>
void check_forward(const Fixture& fixture, const std::string& prefix, AssembledModel<T>& model) {
  check_close(fixture.array<T>(prefix + "logits").to_vector(), logits_of(model, fixture.batch));
  const double loss = model.loss_and_gradients(fixture.batch, fixture.labels);
  check_close(fixture.array<T>(prefix + "loss").to_vector(), {static_cast<T>(loss)});
}

BOOST_AUTO_TEST_SUITE(fixture)

BOOST_AUTO_TEST_CASE_TEMPLATE(adapted_models_agree_with_pytorch, T, Types) {
  for (const std::string folder : classifiers) {
    const Fixture fixture(folder);
    for (const std::string name : adapters) {
      BOOST_TEST_CONTEXT(folder << ", " << name) {
        const auto model = adapted<T>(fixture, name);
        check_forward(fixture, name + ".", *model);
        auto& arena = model->weights.arena();
        for (Index p = 0; p < arena.count(); ++p) {
          const std::string prefix = name + ".gradient.", weight = arena.name(p);
          BOOST_TEST_CONTEXT("gradient of " << weight) {
            const Tensor<T> golden = weight.starts_with("adapter.")
                                         ? golden_adapter<T>(fixture, prefix, weight)
                                         : fixture.array<T>(prefix + weight);
            check_close(golden.to_vector(), arena.gradient(p).to_vector());
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(bare_models_agree_with_pytorch, T, Types) {
  for (const std::string folder : classifiers) {
    const Fixture fixture(folder);
    BOOST_TEST_CONTEXT(folder) {
      // Gradients of all weights are recorded for one model, of the head for the others.
      const bool full = fixture.arrays.contains("base.gradient.bert.pooler.dense.weight");
      AssembledModel<T> model(fixture.config, fixture.outputs(),
                              Method::named(full ? "full" : "none", {}),
                              BackboneReader<T>(fixture.folder, fixture.config));
      check_forward(fixture, "base.", model);
      auto& arena = model.weights.arena();
      for (Index p = 0; p < arena.count(); ++p) {
        BOOST_TEST_CONTEXT("gradient of " << arena.name(p)) {
          check_close(golden_base<T>(fixture, "base.gradient.", arena.name(p)),
                      arena.gradient(p).to_vector());
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_masked_language_model_agrees_with_pytorch, T, Types) {
  const Fixture fixture("bert_masked_lm");
  const BackboneReader<T> reader(fixture.folder, fixture.config);
  Weights<T> weights;
  const Backbone<T> backbone(fixture.config, weights, reader);
  const MaskedLanguageModel<T> model(backbone, reader);
  for (typename Weights<T>::Id id = 0; id < weights.count(); ++id)
    weights.train(id, WeightGroup::decayed);
  weights.build_arena();

  std::vector<std::int32_t> rows, labels;
  for (std::size_t t = 0; t < fixture.labels.size(); ++t) {
    if (fixture.labels[t] < 0) continue;
    rows.push_back(static_cast<std::int32_t>(t));
    labels.push_back(static_cast<std::int32_t>(fixture.labels[t]));
  }
  Tape<T> tape(weights.arena(), 0, 0);
  const Variable<T> loss =
      model.loss(tape, fixture.batch, to_indices(rows), to_indices(labels), DropoutRates{});
  tape.backward(loss);
  check_close(fixture.array<T>("loss").to_vector(), {loss.value.item()});
  for (Index p = 0; p < weights.arena().count(); ++p) {
    const std::string name = weights.arena().name(p);
    BOOST_TEST_CONTEXT("gradient of " << name) {
      check_close(golden_base<T>(fixture, "gradient.", name),
                  weights.arena().gradient(p).to_vector());
    }
  }
}

BOOST_AUTO_TEST_CASE(ten_steps_of_adamw_follow_pytorch) {
  const Fixture fixture("bert_two_classes");
  const auto& training = fixture.facts["training"];
  const auto model = adapted<double>(fixture, training["case"]);
  AdamWSettings settings;
  settings.learning_rate = settings.head_learning_rate = training["learning_rate"];
  settings.weight_decay = training["weight_decay"];
  settings.beta1 = training["beta1"];
  settings.beta2 = training["beta2"];
  settings.epsilon = training["epsilon"];
  settings.max_gradient_norm = 0;
  // So long a schedule is constant to 1e-11 over these steps.
  AdamW<double> optimiser(model->weights, settings, {0, Index{1} << 40});
  for (const double golden : training["losses"]) {
    const double loss = model->loss_and_gradients(fixture.batch, fixture.labels);
    BOOST_TEST_CONTEXT("step " << optimiser.counts().steps) {
      BOOST_TEST(std::abs(loss - golden) < 1e-6 * golden);
    }
    optimiser.step();
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
