#include "../fixture_testing.hpp"
#include "adapter_testing.hpp"

#include <metatt/transformer/json.hpp>
#include <metatt/transformer/tokenizers/tokenizer_files.hpp>

#include <nlohmann/json.hpp>

#include <tuple>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Types = std::tuple<float, double>;

/// A trained adapter on a small model, and its folder.
template <class T>
struct WrittenAdapter {
  explicit WrittenAdapter(const std::string& kind) : WrittenAdapter(small_adapter(kind)) {}
  explicit WrittenAdapter(const Method& wanted) : method(wanted) {
    write_small_model(folder / "base");
    model = std::make_unique<ClassifierModel<T>>(folder / "base", 2, method, HeadSource::fresh, 1);
    if (model->adapter()) randomise_adapter(*model->adapter(), model->weights());
    output = metatt::tn::prepare_output_folder(folder / "adapter", false);
  }
  AdapterRecord record() const {
    AdapterRecord record;
    record.base_model = (folder / "base").string();
    record.tasks = {"mrpc"};
    record.method = method;
    record.pooler_trained = model->pooler_trained();
    return record;
  }
  void write() const { write_adapter(output, *model, record()); }
  std::unique_ptr<ClassifierModel<T>> read() const {
    return read_adapted_model<T>(output.path, read_adapter_record(output.path), {});
  }

  TemporaryFolder folder;
  Method method;
  std::unique_ptr<ClassifierModel<T>> model;
  metatt::tn::OutputFolder output;
};

/// The adapter's train cut to unequal ranks below those it was made with.
template <class T>
void lower_ranks(ClassifierModel<T>& model) {
  const auto& train = *model.train();
  std::vector<typename Weights<T>::Replacement> cores;
  const std::array<Shape, 4> shapes{Shape{12, 2}, {2, 2, 3}, {3, 6, 1}, {1, 12}};
  for (int k = 0; k < 4; ++k) {
    const auto stream = static_cast<std::uint64_t>(k);
    cores.push_back({train.core(k),
                     tn::random_normal<T>(shapes[static_cast<std::size_t>(k)], 3, stream),
                     {},
                     {}});
  }
  model.weights().replace(cores);
}

/// A train of each kind with its inner cores in the order opposite to the usual one and ranks that
/// differ.
std::vector<Method> reversed_trains() {
  using enum CoreMode;
  std::vector<Method> methods;
  for (const auto& [kind, order] :
       {std::pair<std::string, std::vector<CoreMode>>{"metatt4d", {matrix_type, layer}},
        {"metatt5d", {head, matrix_type, layer}},
        {"metatt4+1d", {matrix_type, task, layer}},
        {"metatt5+1d", {head, matrix_type, task, layer}}}) {
    methods.push_back(small_adapter(kind));
    methods.back().adapter.core_order = order;
    methods.back().adapter.ranks.assign(order.size() + 1, 3);
    methods.back().adapter.ranks.front() = 2;
  }
  return methods;
}

/// All adapters and other methods.
std::vector<std::string> kinds_and(const std::vector<std::string>& others) {
  auto kinds = adapter_kinds();
  kinds.insert(kinds.end(), others.begin(), others.end());
  return kinds;
}

/// Rewrites the adapter's file with changed tensors.
template <class Change>
void change_tensors(const WrittenAdapter<float>& written, const Change& change) {
  auto tensors = written.model->own_tensors();
  change(tensors);
  write_safetensors<float>(written.output / adapter_file_name, tensors, {});
}

BOOST_AUTO_TEST_SUITE(adapter_files)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_written_adapter_gives_every_bit_of_the_logits_again, T, Types) {
  const Batch batch = pack(random_examples(6, 1));
  for (const std::string& kind : kinds_and({"none"})) {
    BOOST_TEST_CONTEXT(kind) {
      const WrittenAdapter<T> written(kind);
      written.write();
      const auto read = written.read();
      BOOST_TEST(logits_of(*read, batch) == logits_of(*written.model, batch),
                 boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(an_adapter_of_adapted_ranks_is_read_with_them) {
  const Batch batch = pack(random_examples(6, 1));
  const WrittenAdapter<float> written("metatt4d");
  lower_ranks(*written.model);
  written.write();
  const auto json = read_json(written.output / adapter_config_name);
  BOOST_TEST((json["ranks"] == std::vector<Index>{2, 3, 1}));
  BOOST_TEST((json["modes"] == std::vector<Index>{12, 2, 6, 12}));
  const auto read = written.read();
  BOOST_TEST(read->train()->ranks() == (std::vector<Index>{2, 3, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(logits_of(*read, batch) == logits_of(*written.model, batch),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_train_of_another_order_is_read_in_it) {
  const Batch batch = pack(random_examples(6, 1));
  for (const Method& method : reversed_trains()) BOOST_TEST_CONTEXT(method.name()) {
      const WrittenAdapter<float> written(method);
      written.write();
      const auto read = written.read();
      BOOST_TEST((read->method().adapter.core_order == method.adapter.core_order));
      BOOST_TEST(read->train()->ranks() == method.adapter.ranks, boost::test_tools::per_element());
      BOOST_TEST(logits_of(*read, batch) == logits_of(*written.model, batch),
                 boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_record_keeps_what_it_was_given) {
  const WrittenAdapter<float> written("metatt4d");
  AdapterRecord record = written.record();
  record.max_seq_length = 77;
  write_adapter(written.output, *written.model, record);
  const AdapterRecord read = read_adapter_record(written.output.path);
  BOOST_TEST(read.base_model == record.base_model);
  BOOST_TEST(read.tasks == std::vector<std::string>{"mrpc"}, boost::test_tools::per_element());
  BOOST_TEST(read.max_seq_length == 77);
  BOOST_TEST(read.method.name() == "metatt4d");
  BOOST_TEST(read.method.adapter.rank == 3);
  BOOST_TEST(read.method.adapter.alpha == 0.7);
  BOOST_TEST((read.method.adapter.targets == record.method.adapter.targets));
  BOOST_TEST(!read.pooler_trained);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_merged_model_has_the_logits_of_the_adapted_one, T, Types) {
  const Batch batch = pack(random_examples(6, 1));
  for (const std::string& kind : kinds_and({"none", "full"})) {
    BOOST_TEST_CONTEXT(kind) {
      const WrittenAdapter<T> written(kind);
      const metatt::tn::OutputFolder merged =
          metatt::tn::prepare_output_folder(written.folder / "merged", false);
      write_merged_model(merged, *written.model, record_of("mrpc", 32));
      const ClassifierModel<T> read(merged.path, 2, Method::named("none", {}),
                                    HeadSource::from_model, 9);
      BOOST_TEST(relative_error(logits_of(*written.model, batch), logits_of(read, batch)) <
                 (sizeof(T) == 4 ? 1e-5 : 1e-13));
      BOOST_TEST(read_model_max_length(merged.path).value() == 32);
      const auto json = read_json(merged / "config.json");
      BOOST_TEST(
          (json["architectures"] == std::vector<std::string>{"BertForSequenceClassification"}));
      BOOST_TEST((json["label2id"] == nlohmann::json{{"0", 0}, {"1", 1}}));
    }
  }
}

void check_export(const WrittenAdapter<float>& written, Index rank) {
  const metatt::tn::OutputFolder exported =
      metatt::tn::prepare_output_folder(written.folder / "peft", true);
  export_peft_lora(exported, *written.model, written.record());
  const SafetensorsFile file(exported / "adapter_model.safetensors");
  BOOST_TEST(file.metadata().at("format") == "pt");
  std::size_t expected = 2;
  for (Index layer = 0; layer < 2; ++layer) {
    for (const MatrixType type : written.method.adapter.targets) {
      BOOST_TEST(export_error(file, *written.model->adapter(), layer, type, 0) < 1e-6);
      const std::string A = exported_site(layer, type) + ".lora_A.weight";
      BOOST_TEST(file.entry(A).shape[0] == rank);
      expected += 2;
    }
  }
  BOOST_TEST(file.names().size() == expected);
  BOOST_TEST(file.contains("base_model.model.classifier.weight"));
  BOOST_TEST(file.contains("base_model.model.classifier.bias"));
  const auto json = read_json(exported / "adapter_config.json");
  BOOST_TEST((json["peft_type"] == "LORA"));
  BOOST_TEST((json["task_type"] == "SEQ_CLS"));
  BOOST_TEST((json["r"] == rank));
  BOOST_TEST((json["lora_alpha"] == rank));
  BOOST_TEST((json["modules_to_save"] == std::vector<std::string>{"classifier"}));
  const auto& targets = written.method.adapter.targets;
  if (targets.back() ==
      MatrixType::feed_forward_down)  // a list would also match attention.output.dense
    BOOST_TEST((json["target_modules"] ==
                ".*\\.encoder\\.layer\\.\\d+\\.(attention.self.query|attention.self.key|attention."
                "self.value|"
                "attention.output.dense|intermediate.dense|output.dense)"));
  else
    BOOST_TEST(json["target_modules"].size() == targets.size());
  for (const char* pattern : {"rank_pattern", "alpha_pattern", "use_dora", "use_rslora"})
    BOOST_TEST(!json.contains(pattern));
}

BOOST_AUTO_TEST_CASE(a_peft_export_has_the_native_update_at_one_rank_everywhere) {
  for (const std::string& kind : adapter_kinds())
    if (kind != "dora") BOOST_TEST_CONTEXT(kind)
  check_export(WrittenAdapter<float>(kind), 3);
  const WrittenAdapter<float> lowered("metatt4d");
  lower_ranks(*lowered.model);
  check_export(lowered, 1);
  for (const Method& method : reversed_trains()) BOOST_TEST_CONTEXT(method.name())
  check_export(WrittenAdapter<float>(method), 2);
}

BOOST_AUTO_TEST_CASE(the_file_of_a_train_is_smaller_than_its_export) {
  for (const char* kind : {"metatt4d", "metatt5d", "metatt4+1d", "metatt5+1d"}) {
    const WrittenAdapter<float> written(kind);
    written.write();
    const metatt::tn::OutputFolder exported =
        metatt::tn::prepare_output_folder(written.folder / "peft", false);
    export_peft_lora(exported, *written.model, written.record());
    BOOST_TEST(std::filesystem::file_size(written.output / adapter_file_name) <
               std::filesystem::file_size(exported / "adapter_model.safetensors"));
  }
}

BOOST_AUTO_TEST_CASE(every_adapter_of_trains_is_read_with_its_adapted_ranks) {
  const Batch batch = pack(random_examples(6, 1));
  for (const std::string& kind : adapter_kinds()) {
    if (!has_trains(kind)) continue;
    BOOST_TEST_CONTEXT(kind) {
      const WrittenAdapter<float> written(kind);
      auto& weights = written.model->weights();
      AdamW<float> optimiser(weights, {}, {0, 100});
      adapt_ranks<float>(written.model->adapter()->trains(), weights, optimiser, {{2}},
                         {tn::SweepMode::rounding, OptimizerState::reset}, [] {});
      written.write();
      BOOST_TEST((read_json(written.output / adapter_config_name)["rank"] == 2));
      const auto read = written.read();
      BOOST_TEST(logits_of(*read, batch) == logits_of(*written.model, batch),
                 boost::test_tools::per_element());
      if (kind != "dora") check_export(written, 2);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_adapter_on_a_model_of_the_same_shape_with_other_weights_is_refused) {
  const WrittenAdapter<float> written("metatt4d");
  AdapterRecord record = written.record();
  record.base_fingerprint = backbone_fingerprint(written.model->backbone());
  write_adapter(written.output, *written.model, record);
  written.read();
  // Doubles that are floats have the same.
  const ClassifierModel<double> same(written.folder / "base", 2, written.method, HeadSource::fresh,
                                     1);
  BOOST_TEST(backbone_fingerprint(same.backbone()) == record.base_fingerprint);
  const auto path = written.folder / "base/model.safetensors";
  const SafetensorsFile base(path);
  std::vector<NamedTensor<float>> tensors;
  for (const auto& name : base.names()) {
    tensors.push_back({name, base.read<float>(name, base.entry(name).shape)});
    if (name.ends_with("word_embeddings.weight")) tensors.back().tensor.mutable_data()[0] += 1e-3F;
  }
  write_safetensors<float>(path, tensors, {{"format", "pt"}});
  check_error([&] { written.read(); },
              {written.output.path.string(), (written.folder / "base").string(),
               record.base_fingerprint, "other weights"});
}

BOOST_AUTO_TEST_CASE(the_gauge_of_a_train_is_named) {
  const WrittenAdapter<float> written("metatt4d");
  written.write();
  BOOST_TEST((read_json(written.output / adapter_config_name)["gauge"] == "none"));
  auto& weights = written.model->weights();
  AdamW<float> optimiser(weights, {}, {0, 100});
  for (const auto& [mode, gauge] : {std::pair{tn::SweepMode::rounding, "canonical, center G4"},
                                    std::pair{tn::SweepMode::paper, "canonical, center G1"}}) {
    adapt_ranks<float>(written.model->adapter()->trains(), weights, optimiser, {{2}},
                       {mode, OptimizerState::reset}, [] {});
    written.write();
    BOOST_TEST((read_json(written.output / adapter_config_name)["gauge"] == gauge));
  }
}

BOOST_AUTO_TEST_CASE(an_adapter_that_was_pruned_is_read_with_a_rank_for_each_matrix) {
  const Batch batch = pack(random_examples(6, 1));
  const WrittenAdapter<float> written("adalora");
  auto& weights = written.model->weights();
  AdamW<float> optimiser(weights, {}, {0, 100});
  // A gradient of one everywhere: the sensitivity is the size of the numbers.
  const auto ones = [&](Index batch_number) {
    auto& arena = weights.arena();
    for (Index p = 0; p < arena.count(); ++p)
      tn::backend::fill(tn::backend::queue(), arena.value(p).size(),
                        static_cast<float>(batch_number + 1), arena.gradient_target(p).data);
  };
  const RankSweep pruned = prune_triplets<float>(written.model->adapter()->triplets(), weights,
                                                 optimiser, {{2}}, OptimizerState::reset, ones);
  BOOST_TEST(std::ranges::max(pruned.ranks_after()) > std::ranges::min(pruned.ranks_after()));
  written.write();
  BOOST_TEST((read_json(written.output / adapter_config_name)["rank"] ==
              std::ranges::max(pruned.ranks_after())));
  const auto read = written.read();
  BOOST_TEST(logits_of(*read, batch) == logits_of(*written.model, batch),
             boost::test_tools::per_element());
  check_export(written, std::ranges::max(pruned.ranks_after()));
}

BOOST_AUTO_TEST_CASE(
    a_cutoff_leaves_each_train_of_an_adapter_the_ranks_that_its_spectrum_asks_for) {
  const Batch batch = pack(random_examples(6, 1));
  for (const char* kind : {"lora", "dora", "lotr"}) BOOST_TEST_CONTEXT(kind) {
      const WrittenAdapter<float> written(kind);
      auto& weights = written.model->weights();
      const auto& adapter = *written.model->adapter();
      AdamW<float> optimiser(weights, {}, {0, 100});
      const auto schedule = parse_rank_schedule("0:3,1:cutoff=0.2");
      check_rank_schedule(schedule, adapter, weights);
      const RankSweep sweep =
          adapt_ranks<float>(adapter.trains(), weights, optimiser, schedule.back().target,
                             {tn::SweepMode::rounding, OptimizerState::reset}, [] {});
      for (const BondChange& bond : sweep.bonds) BOOST_TEST(bond.discarded_weight <= 0.2);
      const auto ranks = present_ranks(adapter, weights);
      BOOST_TEST(ranks == sweep.ranks_after(), boost::test_tools::per_element());
      BOOST_TEST(std::ranges::max(ranks) > std::ranges::min(ranks));
      written.write();
      const auto read = written.read();
      BOOST_TEST(logits_of(*read, batch) == logits_of(*written.model, batch),
                 boost::test_tools::per_element());
      if (std::string(kind) == "lora") check_export(written, std::ranges::max(ranks));
    }
}

BOOST_AUTO_TEST_CASE(a_method_without_update_has_no_peft_export) {
  const WrittenAdapter<float> written("none");
  check_error([&] { export_peft_lora(written.output, *written.model, written.record()); },
              {"export", "\"none\""});
}

BOOST_AUTO_TEST_CASE(fields_that_are_missing_or_wrong_are_named_with_their_file) {
  const WrittenAdapter<float> written("metatt4d");
  written.write();
  const auto path = written.output / adapter_config_name;
  const auto good = read_json(path);
  const auto check = [&](const std::string& field, const nlohmann::json& value) {
    nlohmann::json json = good;
    json[field] = value;
    if (value.is_null()) json.erase(field);
    metatt::tn::write_file_atomically(path, json.dump());
    BOOST_TEST_CONTEXT(field << " = " << value) {
      check_error([&] { written.read(); }, {written.output.path.string(), field});
    }
  };
  for (const char* field : {"format", "version", "adapter", "base_model_name_or_path", "task",
                            "max_seq_length", "pooler_trained", "rank", "alpha", "target_modules"})
    check(field, nullptr);
  check("format", "other");
  check("version", 2);
  check("adapter", "full");
  check("adapter", "lola");
  check("adapter", "metatt6d");
  check("adapter", 7);
  check("max_seq_length", 0);
  check("max_seq_length", "128");
  check("pooler_trained", 1);
  check("rank", 3.5);
  check("rank", 0);
  check("rank", 1000000000);
  check("ranks", std::vector<int>{1, 2, 3});
  check("modes", std::vector<int>{1, 2, 3, 4});
  check("alpha", -1);
  check("target_modules", std::vector<std::string>{"query", "qkv"});
  check("target_modules", std::vector<std::string>{"value", "query"});
  check("target_modules", nlohmann::json::array());
  metatt::tn::write_file_atomically(path, "{\"format\": ");
  check_error([&] { written.read(); }, {path.string()});
  metatt::tn::write_file_atomically(path, good.dump());
  written.read();
}

BOOST_AUTO_TEST_CASE(tensors_that_are_missing_too_many_or_of_another_shape_are_named) {
  const WrittenAdapter<float> written("metatt4d");
  written.write();
  const auto check = [&](std::string_view name, const auto& change) {
    change_tensors(written, change);
    BOOST_TEST_CONTEXT(name) {
      check_error([&] { written.read(); }, {written.output.path.string(), name});
    }
  };
  const auto find = [](auto& tensors, std::string_view name) {
    return std::find_if(tensors.begin(), tensors.end(),
                        [&](const auto& t) { return t.name == name; });
  };
  for (const char* name : {"adapter.G1", "adapter.G3", "classifier.weight", "classifier.bias"}) {
    check(name, [&](auto& tensors) { tensors.erase(find(tensors, name)); });
    check(name, [&](auto& tensors) { find(tensors, name)->tensor = Tensor<float>::zeros({5}); });
    check(name, [&](auto& tensors) {
      find(tensors, name)->tensor = Tensor<float>::zeros({2, 3, 4, 5});
    });
  }
  check("adapter.G2", [&](auto& tensors) {
    find(tensors, "adapter.G2")->tensor = Tensor<float>::zeros({2, 2, 3});
  });
  check("adapter.G4", [&](auto& tensors) {
    Tensor<float> bad = Tensor<float>::zeros({3, 12});
    bad.mutable_data()[0] = std::nanf("");
    find(tensors, "adapter.G4")->tensor = bad;
  });
  check("adapter.G5", [&](auto& tensors) {
    tensors.push_back({"adapter.G5", Tensor<float>::zeros({2})});
  });
  check("pooler.dense.bias", [&](auto& tensors) {
    tensors.push_back({"pooler.dense.bias", Tensor<float>::zeros({8})});
  });
  check("rank", [&](auto& tensors) {
    find(tensors, "adapter.G1")->tensor = Tensor<float>::zeros({12, 0});
    find(tensors, "adapter.G2")->tensor = Tensor<float>::zeros({0, 2, 3});
  });
}

BOOST_AUTO_TEST_CASE(a_folder_of_another_kind_is_called_what_it_is) {
  const TemporaryFolder folder;
  check_error([&] { read_adapter_record(folder.path()); },
              {(folder / "metatt_config.json").string()});
  metatt::tn::write_file_atomically(folder / "config.json", "{}");
  check_error([&] { read_adapter_record(folder.path()); },
              {folder.path().string(), "metatt_config.json", "a whole model", "--model"});
  metatt::tn::write_file_atomically(folder / "adapter_config.json", "{}");
  check_error([&] { read_adapter_record(folder.path()); },
              {folder.path().string(), "PEFT", "metatt compress"});
}

BOOST_AUTO_TEST_CASE(an_adapter_of_another_model_is_refused) {
  const WrittenAdapter<float> written("metatt4d");
  written.write();
  ModelConfig config = small_config();
  config.hidden_size = 10;
  write_small_model(written.folder / "other", config);
  check_error(
      [&] {
        read_adapted_model<float>(written.output.path, written.record(), written.folder / "other");
      },
      {written.output.path.string(), (written.folder / "other").string(), "classifier.weight"});
}

BOOST_AUTO_TEST_CASE(an_adapter_whose_base_is_gone_says_where_it_was) {
  const WrittenAdapter<float> written("lora");
  written.write();
  std::filesystem::remove_all(written.folder / "base");
  check_error([&] { written.read(); }, {(written.folder / "base").string()});
}

BOOST_AUTO_TEST_CASE(an_update_that_overflows_is_not_written) {
  const WrittenAdapter<float> written("metatt4d");
  auto& weights = written.model->weights();
  const auto& train = *written.model->train();
  std::vector<Weights<float>::Replacement> cores;
  for (int k = 0; k < 4; ++k) {
    const Shape shape = weights.shape(train.core(k));
    Tensor<float> large(shape);
    tn::backend::fill(tn::backend::queue(), large.size(), 1e30F, large.mutable_data());
    cores.push_back({train.core(k), large, {}, {}});
  }
  weights.replace(cores);
  const metatt::tn::OutputFolder folder =
      metatt::tn::prepare_output_folder((written.output.path / "never").string(), false);
  check_error([&] { export_peft_lora(folder, *written.model, written.record()); },
              {"export", "infinite"});
  check_error([&] { write_merged_model(folder, *written.model, record_of("cola", 16)); },
              {"merge", "infinite"});
  BOOST_TEST(std::filesystem::is_empty(folder.path));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
