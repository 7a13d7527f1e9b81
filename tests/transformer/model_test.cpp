#include "model_testing.hpp"

using namespace metatt;
using namespace metatt::testing;

namespace {

using Model = ClassifierModel<float>;

/// A folder with a small model, which a test may then damage.
struct ModelFolder : TemporaryFolder {
  ModelFolder() { write_small_model(path()); }
  void open(const std::string& method = "none", HeadSource source = HeadSource::fresh) const {
    const Model model(path(), 2, Method::named(method, {}), source, 1);
  }
};

BOOST_AUTO_TEST_SUITE(model)

BOOST_AUTO_TEST_CASE(a_model_folder_gives_the_weights_that_were_written) {
  const ModelFolder folder;
  const Model model(folder.path(), 2, Method::named("none", {}), HeadSource::fresh, 1);
  const AssembledModel<float> expected(small_config(), 2, Method::named("none", {}),
                                       random_weight<float>);
  BOOST_TEST((model.config() == small_config()));
  for (const auto id : expected.backbone.ids()) BOOST_TEST_CONTEXT(expected.weights.name(id)) {
      const auto& weights = model.backbone().weights();
      BOOST_TEST(weights.value(weights.find(expected.weights.name(id))).to_vector() ==
                     expected.weights.value(id).to_vector(),
                 boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(what_is_trained_follows_from_the_method) {
  const ModelFolder folder;
  const Index d = 8, head = 2 * d + 2, pooler = d * d + d;
  const auto counts = [&](const std::string& method) {
    AdapterSettings settings;
    settings.rank = 2;
    const Model model(folder.path(), 2, Method::named(method, settings), HeadSource::fresh, 1);
    return std::pair(model.trainable_adapter(), model.trainable_head());
  };
  BOOST_TEST((counts("none") == std::pair(Index{0}, head)));
  BOOST_TEST((counts("metatt4d") == std::pair(2 * d * 2 + (2 + 2) * 4, head)));
  BOOST_TEST((counts("lora") == std::pair(2 * 2 * 2 * 2 * d, head)));
  // Tables and their norm, then per layer four d × d, two d × f, their biases and two norms.
  const Index f = 12, backbone = (24 + 16 + 2) * d + 2 * d +
                                 2 * (4 * d * d + 4 * d + 2 * d * f + f + d + 2 * 2 * d);
  BOOST_TEST((counts("full") == std::pair(backbone, head + pooler)));
}

BOOST_AUTO_TEST_CASE(a_model_without_pooler_gets_a_new_one_that_is_trained) {
  const TemporaryFolder folder;
  write_small_model(folder.path());
  Weights<float> weights;
  const Backbone<float> backbone(small_config(), weights, random_weight<float>);
  write_safetensors<float>(folder / "model.safetensors", backbone_tensors(backbone), {});
  const Model model(folder.path(), 2, Method::named("none", {}), HeadSource::fresh, 1);
  BOOST_TEST(model.pooler_trained());
  BOOST_TEST(model.trainable_head() == 2 * 8 + 2 + 8 * 8 + 8);
  check_error(
      [&] {
        const Model none(folder.path(), 2, Method::named("none", {}), HeadSource::from_model, 1);
      },
      {(folder / "model.safetensors").string(), "pooler.dense.weight"});
}

BOOST_AUTO_TEST_CASE(a_new_head_follows_the_seed) {
  const ModelFolder folder;
  const auto head = [&](std::uint64_t seed) {
    const Model model(folder.path(), 2, Method::named("none", {}), HeadSource::fresh, seed);
    return model.own_tensors().front().tensor.to_vector();
  };
  BOOST_TEST((head(1) == head(1)));
  BOOST_TEST((head(1) != head(2)));
}

BOOST_AUTO_TEST_CASE(missing_files_are_named) {
  for (const char* name : {"config.json", "model.safetensors"}) {
    const ModelFolder folder;
    std::filesystem::remove(folder / name);
    check_error([&] { folder.open(); }, {(folder / name).string()});
  }
  const ModelFolder folder;
  std::filesystem::remove(folder / "vocab.txt");
  check_error([&] { folder.open(); }, {folder.path().string(), "vocab.txt"});
}

BOOST_AUTO_TEST_CASE(a_tensor_of_a_layer_that_the_model_has_no_use_for_is_refused_by_name) {
  const ModelFolder folder;
  const SafetensorsFile file(folder / "model.safetensors");
  std::vector<NamedTensor<float>> tensors;
  for (const std::string& name : file.names())
    tensors.push_back({name, file.read<float>(name, file.entry(name).shape)});
  tensors.push_back({"bert.encoder.layer.1.adapter.weight", Tensor<float>::zeros({2})});
  write_safetensors<float>(folder / "model.safetensors", tensors, {});
  check_error([&] { folder.open(); },
              {(folder / "model.safetensors").string(), "bert.encoder.layer.1.adapter.weight"});
}

BOOST_AUTO_TEST_CASE(weights_in_the_format_of_pytorch_are_named) {
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    const ModelFolder folder;
    std::filesystem::rename(folder / "model.safetensors", folder / name);
    check_error([&] { folder.open(); },
                {(folder / name).string(), "not read", "model.safetensors", "save_pretrained"});
  }
}

BOOST_AUTO_TEST_CASE(a_vocabulary_larger_than_the_table_is_refused) {
  const ModelFolder folder;
  folder.write("vocab.txt", metatt::tn::read_file(folder / "vocab.txt") + "word\n");
  check_error([&] { folder.open(); }, {(folder / "vocab.txt").string(), "25", "vocab_size 24"});
}

BOOST_AUTO_TEST_CASE(weights_of_another_shape_than_the_configuration_says_are_refused) {
  const ModelFolder folder;
  ModelConfig config = small_config();
  config.intermediate_size = 13;
  write_json(folder / "config.json", model_config_json(config));
  check_error([&] { folder.open(); },
              {(folder / "model.safetensors").string(), "intermediate.dense.weight", "13", "12"});
}

BOOST_AUTO_TEST_CASE(layers_and_words_that_would_be_left_out_are_refused) {
  const ModelFolder folder;
  ModelConfig config = small_config();
  config.num_hidden_layers = 1;
  write_json(folder / "config.json", model_config_json(config));
  check_error([&] { folder.open(); },
              {(folder / "config.json").string(), "num_hidden_layers is 1", "encoder.layer.1"});
  config = small_config();
  config.vocab_size = 24 + 128;
  write_json(folder / "config.json", model_config_json(config));
  check_error([&] { folder.open(); }, {(folder / "vocab.txt").string(), "152", "found 24"});
}

BOOST_AUTO_TEST_CASE(layer_norms_of_the_first_checkpoints_are_found) {
  const ModelFolder folder;
  const Model before(folder.path(), 2, Method::named("none", {}), HeadSource::fresh, 1);
  std::vector<NamedTensor<float>> renamed;
  for (NamedTensor<float> tensor : backbone_tensors(before.backbone())) {
    const auto replace = [&](const std::string& now, const std::string& old) {
      if (tensor.name.ends_with(now))
        tensor.name.replace(tensor.name.size() - now.size(), now.size(), old);
    };
    replace("LayerNorm.weight", "LayerNorm.gamma");
    replace("LayerNorm.bias", "LayerNorm.beta");
    renamed.push_back(std::move(tensor));
  }
  write_safetensors<float>(folder / "model.safetensors", renamed, {});
  const Model after(folder.path(), 2, Method::named("none", {}), HeadSource::fresh, 1);
  for (const auto id : before.backbone().ids()) {
    const std::string& name = before.backbone().weights().name(id);
    const auto& weights = after.backbone().weights();
    BOOST_TEST(weights.value(weights.find(name)).to_vector() ==
                   before.backbone().weights().value(id).to_vector(),
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_layer_that_the_file_does_not_have_is_named) {
  const ModelFolder folder;
  ModelConfig config = small_config();
  config.num_hidden_layers = 3;
  write_json(folder / "config.json", model_config_json(config));
  check_error([&] { folder.open(); },
              {(folder / "model.safetensors").string(), "encoder.layer.2.attention.self.query"});
}

BOOST_AUTO_TEST_CASE(weights_that_are_not_finite_are_refused) {
  const ModelFolder folder;
  Weights<float> weights;
  const Backbone<float> backbone(small_config(), weights,
                                 [](const std::string& name, const Shape& shape) {
                                   Tensor<float> value = random_weight<float>(name, shape);
                                   if (name == "encoder.layer.1.output.dense.bias")
                                     value.mutable_data()[3] = std::nanf("");
                                   return value;
                                 });
  write_safetensors<float>(folder / "model.safetensors", backbone_tensors(backbone), {});
  check_error([&] { folder.open(); },
              {(folder / "model.safetensors").string(), "encoder.layer.1.output.dense.bias", "3"});
}

BOOST_AUTO_TEST_CASE(a_weight_without_gradient_is_named_by_the_optimiser) {
  AssembledModel<float> model(small_config(), 2, small_adapter("metatt4d"), random_weight<float>);
  AdamW<float> optimiser(model.weights, {}, {0, 10});
  Tape<float> tape(model.weights.arena(), 1, 1);
  // The adapter is left out of the pass.
  const Batch batch = pack(random_examples(2, 1));
  const auto logits = model.classifier.logits(tape, batch, nullptr, {});
  tape.backward(model.classifier.loss(tape, logits, std::vector<double>{0, 1}));
  const auto before = model.weights.value(model.weights.find("classifier.weight")).to_vector();
  check_error([&] { optimiser.step(); }, {"\"adapter.G1\"", "received no gradient"});
  BOOST_TEST(model.weights.value(model.weights.find("classifier.weight")).to_vector() == before,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_optimiser_needs_a_trainable_weight) {
  Weights<float> weights;
  weights.add("frozen", Tensor<float>::zeros({2}));
  check_error([&] { AdamW<float>(weights, {}, {}); }, {"no trainable parameter"});
  check_error([&] { weights.build_arena(); }, {"no trainable parameter"});
}

BOOST_AUTO_TEST_CASE(the_linear_schedule_rises_over_the_warm_up_and_falls_to_zero) {
  const LearningRateSchedule schedule{4, 12};
  BOOST_TEST(schedule.at(0) == 0);
  BOOST_TEST(schedule.at(1) == 0.25);
  BOOST_TEST(schedule.at(4) == 1);
  BOOST_TEST(schedule.at(8) == 0.5);
  BOOST_TEST(schedule.at(12) == 0);
  BOOST_TEST(schedule.at(13) == 0);
  BOOST_TEST((LearningRateSchedule{0, 2}.at(0)) == 1);
}

BOOST_AUTO_TEST_CASE(the_cosine_schedule_falls_along_half_a_period_and_the_constant_one_not) {
  const LearningRateSchedule cosine{4, 12, ScheduleShape::cosine};
  BOOST_TEST(cosine.at(2) == 0.5);
  BOOST_TEST(cosine.at(4) == 1);
  BOOST_TEST(std::abs(cosine.at(6) - 0.5 * (1 + std::sqrt(0.5))) < 1e-15);
  BOOST_TEST(std::abs(cosine.at(8) - 0.5) < 1e-15);
  BOOST_TEST(cosine.at(12) == 0);
  const LearningRateSchedule constant{4, 12, ScheduleShape::constant};
  BOOST_TEST(constant.at(1) == 0.25);
  BOOST_TEST(constant.at(12) == 1);
}

BOOST_AUTO_TEST_CASE(kept_values_come_back_also_after_a_change_of_shape) {
  Weights<float> weights;
  const auto a = weights.add("a", Tensor<float>::from({2, 2}, {1, 2, 3, 4}));
  const auto b = weights.add("b", Tensor<float>::from({2}, {5, 6}));
  for (const auto id : {a, b}) weights.train(id, WeightGroup::decayed);
  weights.build_arena();
  const auto kept = weights.trainable_values();
  const std::vector<Weights<float>::Replacement> smaller{
      {a, Tensor<float>::from({2, 1}, {7, 8}), {}, {}}};
  weights.replace(smaller);
  weights.set_value(b, Tensor<float>::from({2}, {9, 9}));
  weights.restore(kept);
  BOOST_TEST(weights.shape(a) == (Shape{2, 2}), boost::test_tools::per_element());
  BOOST_TEST(weights.value(a).to_vector() == (std::vector<float>{1, 2, 3, 4}),
             boost::test_tools::per_element());
  BOOST_TEST(weights.value(b).to_vector() == (std::vector<float>{5, 6}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_warm_up_is_rounded_up_to_whole_steps) {
  const LearningRateSchedule schedule = LearningRateSchedule::with_warmup(50, 0.07);
  BOOST_TEST(schedule.warmup_steps == 4);
  BOOST_TEST(schedule.total_steps == 50);
  BOOST_TEST(LearningRateSchedule::with_warmup(50, 0).warmup_steps == 0);
}

BOOST_AUTO_TEST_CASE(biases_do_not_decay) {
  const Batch batch = pack(random_examples(3, 1));
  for (const char* kind : {"none", "full"}) {
    const auto after_a_step = [&](double decay) {
      const TemporaryFolder folder;
      write_small_model(folder.path());
      ClassifierModel<double> model(folder.path(), 2, Method::named(kind, {}), HeadSource::fresh,
                                    1);
      model.weights().set_value(model.weights().find("classifier.bias"),
                                Tensor<double>::from({2}, {0.5, -0.5}));
      AdamWSettings settings;
      settings.weight_decay = decay;
      AdamW<double> optimiser(model.weights(), settings, {0, 10});
      Tape<double> tape(model.weights().arena(), 0, 0);
      const auto logits = model.classifier().logits(tape, batch, nullptr, {});
      tape.backward(model.classifier().loss(tape, logits, std::vector<double>{0, 1, 1}));
      optimiser.step();
      return model.weights().trainable_values();
    };
    const auto without = after_a_step(0), with = after_a_step(0.5);
    for (std::size_t i = 0; i < with.size(); ++i) {
      const bool same = with[i].tensor.to_vector() == without[i].tensor.to_vector();
      BOOST_TEST(same == (with[i].tensor.order() == 1), kind << " " << with[i].name);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_regression_starts_at_the_mean_label) {
  const TemporaryFolder folder;
  write_small_model(folder.path());
  ClassifierModel<float> regression(folder.path(), 1, Method::named("none", {}), HeadSource::fresh,
                                    1);
  regression.center_regression(std::vector<double>{1, 2, 6});
  const auto bias = regression.weights().find("classifier.bias");
  BOOST_TEST(regression.weights().value(bias).item() == 3.0f);
  check_error([&] { regression.center_regression({}); }, {"center_regression", "labels"});
  ClassifierModel<float> classes(folder.path(), 2, Method::named("none", {}), HeadSource::fresh, 1);
  check_error([&] { classes.center_regression(std::vector<double>{1}); },
              {"center_regression", "one output", "2"});
}

BOOST_AUTO_TEST_CASE(clipping_leaves_the_direction_and_bounds_the_norm) {
  // AdamW's first step does not see the scale of a gradient, its moments do.
  const Batch batch = pack(random_examples(3, 1));
  const auto moments = [&](double limit) {
    AssembledModel<double> model(small_config(), 2, Method::named("none", {}),
                                 random_weight<double>);
    AdamWSettings settings;
    settings.max_gradient_norm = limit;
    AdamW<double> optimiser(model.weights, settings, {0, 10});
    model.loss_and_gradients(batch, std::vector<double>{0, 1, 1});
    const double norm = optimiser.step();
    return std::pair(norm, model.weights.arena().first_moment(0).to_vector());
  };
  const auto [norm, free] = moments(0);
  const auto [same_norm, clipped] = moments(norm / 4);
  BOOST_TEST(norm == same_norm);
  for (std::size_t i = 0; i < free.size(); ++i)
    BOOST_TEST(clipped[i] == free[i] / 4, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
