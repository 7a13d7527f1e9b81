// LoRA updates as one MetaTT, against dense arithmetic.

#include "decoder_testing.hpp"
#include "peft_testing.hpp"

#include <metatt/tn/decompositions.hpp>
#include <metatt/transformer/adapter_compression.hpp>
#include <metatt/transformer/multiple_choice.hpp>
#include <metatt/transformer/text_objective.hpp>

using namespace metatt;
using namespace metatt::testing;

namespace {

using enum MatrixType;
using Factors = Adapter<double>::LoraFactors;

/// Random updates of all six matrix types of both layers of the small model, of ranks 1 … 3; the
/// task's number changes them, and leaves out one matrix.
LoraUpdates random_updates(Index task) {
  LoraUpdates updates;
  std::uint64_t stream = static_cast<std::uint64_t>(100 * task);
  for (Index layer = 0; layer < 2; ++layer)
    for (const MatrixType type : matrix_types(small_config().family())) {
      const auto [d_in, d_out] = matrix_extents(small_config(), type);
      const Index rank = 1 + static_cast<Index>(++stream % 3);
      if (layer == task && type == key) continue;
      updates[{layer, type}] = {tn::random_normal<double>({rank, d_in}, 1, stream),
                                tn::random_normal<double>({d_out, rank}, 2, stream)};
    }
  return updates;
}

RankTarget at_most(std::vector<Index> ranks) {
  return {std::move(ranks), {}};
}
RankTarget within(double cutoff) {
  return {{}, {.cutoff = cutoff}};
}

/// An adapter without a model.
struct LooseAdapter {
  LooseAdapter(const CompressedUpdates& compressed, const ModelConfig& config) {
    std::map<std::string, Tensor<double>> cores;
    std::map<std::string, Shape> shapes;
    const Index last = compressed.train.length() - 1;
    for (Index k = 0; k <= last; ++k) {
      const Tensor<double> core = compressed.train.dense_core(k);
      const std::string name = MetaTT<double>::core_name(k);
      shapes[name] = core.shape();
      if (k == 0) shapes[name].erase(shapes[name].begin());
      if (k == last) shapes[name].pop_back();
      cores[name] = core.reshaped(shapes[name]);
    }
    adapter = make_adapter(compressed.settings, config, weights, shapes);
    weights.build_arena();
    for (const auto& [name, core] : cores) weights.set_value(weights.find(name), core);
  }
  Weights<double> weights;
  std::unique_ptr<Adapter<double>> adapter;
};

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += x * x;
  return std::sqrt(sum);
}

/// The reported errors are those of the dense updates, and obey the bound.
TotalError check_errors(const std::vector<LoraUpdates>& tasks,
                        const CompressedUpdates& compressed) {
  const LooseAdapter own(compressed, small_config());
  const auto sites = site_errors<double>(tasks, *own.adapter, small_config());
  for (const SiteError& site : sites) {
    const auto kept =
        dense_update<double>(lora_factors(*own.adapter, site.layer, site.type, site.task));
    std::vector<double> given(static_cast<std::size_t>(kept.size())), difference = given;
    const auto& updates = tasks[static_cast<std::size_t>(site.task)];
    if (const auto found = updates.find({site.layer, site.type}); found != updates.end())
      given = dense_update<double>(found->second).to_vector();
    const auto values = kept.to_vector();
    for (std::size_t i = 0; i < values.size(); ++i) difference[i] = given[i] - values[i];
    BOOST_TEST(std::abs(site.norm - norm(given)) < 1e-12 * (1 + site.norm));
    BOOST_TEST(std::abs(site.error - norm(difference)) < 1e-11);
  }
  const TotalError total = total_error(sites);
  BOOST_TEST(total.error <= compressed.error_bound + 1e-11 * total.norm);
  return total;
}

/// Random cores of a MetaTT on the four matrix types of the attention, which all have the same
/// extents, and its updates.
struct RandomTrain {
  RandomTrain(const std::string& kind, Index tasks) {
    AdapterSettings settings;
    settings.kind = kind;
    settings.rank = 3;
    settings.tasks = tasks;
    settings.alpha = 0.7;
    settings.targets = {query, key, value, attention_output};
    adapter = make_adapter(settings, small_config(), weights);
    weights.build_arena();
    randomise_adapter(*adapter, weights);
    for (Index task = 0; task < tasks; ++task) {
      updates.emplace_back();
      for (Index layer = 0; layer < 2; ++layer)
        for (const MatrixType type : settings.targets)
          updates.back()[{layer, type}] = lora_factors(*adapter, layer, type, task);
    }
  }
  std::vector<Index> ranks() const { return dynamic_cast<const MetaTT<double>&>(*adapter).ranks(); }
  Weights<double> weights;
  std::unique_ptr<Adapter<double>> adapter;
  std::vector<LoraUpdates> updates;
};

BOOST_AUTO_TEST_SUITE(adapter_compression)

BOOST_AUTO_TEST_CASE(the_updates_of_a_train_are_that_train_again_at_its_ranks) {
  for (const auto& [kind, tasks] : {std::pair<std::string, Index>{"metatt4d", 1},
                                    std::pair<std::string, Index>{"metatt4+1d", 1},
                                    std::pair<std::string, Index>{"metatt4+1d", 3}})
    BOOST_TEST_CONTEXT(kind << " of " << tasks) {
      const RandomTrain random(kind, tasks);
      const CompressedUpdates by_ranks =
          compress_updates(random.updates, kind, small_config(), at_most(random.ranks()));
      const TotalError total = check_errors(random.updates, by_ranks);
      BOOST_TEST(total.norm > 1);
      BOOST_TEST(total.error < 1e-10 * total.norm);
      const CompressedUpdates by_cutoff =
          compress_updates(random.updates, kind, small_config(), within(1e-24));
      const auto found = by_cutoff.train.ranks();
      const auto expected = by_ranks.train.ranks();
      BOOST_TEST(found == expected, boost::test_tools::per_element());
      // One task leaves its bond no more than its neighbours need.
      if (kind == "metatt4d" || tasks == 3)
        BOOST_TEST(found == random.ranks(), boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(errors_are_those_of_dense_updates_and_never_rise_with_the_rank) {
  const std::vector<LoraUpdates> tasks{random_updates(0), random_updates(1)};
  double before = std::numeric_limits<double>::infinity();
  for (const Index rank : {1, 2, 3, 5, 8, 12, 24, 48}) BOOST_TEST_CONTEXT("rank " << rank) {
      const auto compressed =
          compress_updates(tasks, "metatt4+1d", small_config(), at_most({rank}));
      for (const Index r : compressed.train.ranks()) BOOST_TEST(r <= rank);
      const TotalError total = check_errors(tasks, compressed);
      BOOST_TEST(total.error <= before);
      before = total.error;
    }
  BOOST_TEST(before < 1e-12);
}

BOOST_AUTO_TEST_CASE(the_spectra_are_those_before_the_cut_however_deep_it_is) {
  const std::vector<LoraUpdates> tasks{random_updates(0), random_updates(1)};
  const auto spectra = [&](Index rank) {
    return compress_updates(tasks, "metatt4+1d", small_config(), at_most({rank})).spectra;
  };
  const auto whole = spectra(48), cut = spectra(2);
  for (std::size_t k = 0; k < whole.size(); ++k) {
    BOOST_TEST(cut[k].truncation.kept <= 2);
    BOOST_REQUIRE(cut[k].spectrum.size() == whole[k].spectrum.size());
    for (std::size_t i = 0; i < whole[k].spectrum.size(); ++i)
      BOOST_TEST(std::abs(cut[k].spectrum[i] - whole[k].spectrum[i]) < 1e-11);
  }
}

BOOST_AUTO_TEST_CASE(one_matrix_alone_is_cut_as_eckart_and_young_do) {
  const Factors factors{tn::random_normal<double>({5, 8}, 1), tn::random_normal<double>({8, 5}, 2)};
  const std::vector<LoraUpdates> tasks{{{{1, value}, factors}}};
  const auto spectrum = tn::svd(dense_update<double>(factors)).singular_values;
  for (Index rank = 1; rank < 5; ++rank) {
    double tail = 0;
    for (std::size_t i = static_cast<std::size_t>(rank); i < 5; ++i)
      tail += spectrum[i] * spectrum[i];
    const auto compressed = compress_updates(tasks, "metatt4d", small_config(), at_most({rank}));
    BOOST_TEST(check_errors(tasks, compressed).error == std::sqrt(tail),
               boost::test_tools::tolerance(1e-10));
  }
}

BOOST_AUTO_TEST_CASE(a_cutoff_bounds_the_squared_relative_error) {
  const std::vector<LoraUpdates> tasks{random_updates(0)};
  for (const double cutoff : {0.5, 0.1, 1e-3}) {
    const auto compressed = compress_updates(tasks, "metatt4d", small_config(), within(cutoff));
    const TotalError total = check_errors(tasks, compressed);
    BOOST_TEST(total.error * total.error <= cutoff * total.norm * total.norm);
    BOOST_TEST(total.error > 0);
  }
}

BOOST_AUTO_TEST_CASE(a_budget_bounds_the_numbers_of_the_cores) {
  const std::vector<LoraUpdates> tasks{random_updates(0)};
  const RankTarget budget{{}, {.maximum_parameters = 150}};
  const auto compressed = compress_updates(tasks, "metatt4d", small_config(), budget);
  BOOST_TEST(compressed.train.parameter_count() <= 150);
  BOOST_TEST(compressed.train.parameter_count() > 100);
  check_errors(tasks, compressed);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_compressed_is_refused) {
  const std::vector<LoraUpdates> one{random_updates(0)}, two{random_updates(0), random_updates(1)};
  const auto check = [](const auto& tasks, const std::string& kind, const RankTarget& target,
                        const std::string& fragment) {
    check_error([&] { compress_updates(tasks, kind, small_config(), target); }, {fragment});
  };
  check(two, "metatt4d", at_most({1}), "expected metatt4+1d for 2 tasks");
  check(one, "metatt5d", at_most({1}), "expected metatt4d or metatt4+1d, found \"metatt5d\"");
  check(std::vector<LoraUpdates>{}, "metatt4d", at_most({1}), "found none");
  check(one, "metatt4d", at_most({1, 2}), "expected one for all bonds or 3");
  check(one, "metatt4d", RankTarget{{}, {.maximum_parameters = 31}}, "expected at least 32");
  std::vector<LoraUpdates> zero{random_updates(0)};
  for (auto& [site, factors] : zero[0])
    factors.B = Tensor<double>::zeros({factors.B.extent(0), factors.B.extent(1)});
  check(zero, "metatt4d", at_most({1}), "all updates are zero");
}

/// The folder of a classifier's LoRA on queries and values, with the head.
void add_classifier(PeftFolder& peft) {
  for (const std::string layer : {"0", "1"})
    for (const std::string matrix : {"query", "value"})
      peft.add_factors("bert.encoder.layer." + layer + ".attention.self." + matrix, 2, 8, 8);
  peft.add("classifier.weight", {2, 8});
  peft.add("classifier.bias", {2});
}

BOOST_AUTO_TEST_CASE(a_compressed_classifier_is_written_read_and_exported_with_its_head) {
  const TemporaryFolder folder;
  write_small_model(folder / "base");
  PeftFolder peft;
  add_classifier(peft);
  const std::vector<PeftLora> adapters{peft.read(small_config())};
  const std::vector<LoraUpdates> tasks{adapters[0].updates};
  const auto compressed = compress_updates(tasks, "metatt4d", small_config(), within(0));
  AdapterRecord record = record_of("mrpc", 0);
  record.base_model = (folder / "base").string();
  const auto model = compressed_model<float>(folder / "base", compressed, adapters, record);
  BOOST_TEST(record.max_seq_length == 16);
  const auto sites = site_errors<float>(tasks, *model->adapter(), small_config());
  BOOST_TEST(sites.size() == 4U);
  BOOST_TEST(total_error(sites).error < 1e-5 * total_error(sites).norm);
  write_adapter(tn::prepare_output_folder(folder / "out", false), *model, record);
  const auto read =
      read_adapted_model<float>(folder / "out", read_adapter_record(folder / "out"), {});
  for (const auto& tensor : read->own_tensors())
    if (tensor.name == "classifier.weight")
      BOOST_TEST(tensor.tensor.to_vector() == peft.tensors[8].tensor.to_vector(),
                 boost::test_tools::per_element());
  // Exported again it is what it came from.
  export_peft_lora(tn::prepare_output_folder(folder / "peft", false), *read, record);
  const PeftLora again = read_peft_lora(folder / "peft", small_config());
  for (const auto& [site, factors] : tasks[0])
    BOOST_TEST(relative_error(dense_update<double>(factors).to_vector(),
                              dense_update<double>(again.updates.at(site)).to_vector()) < 1e-5);
}

BOOST_AUTO_TEST_CASE(a_head_that_does_not_fit_is_refused) {
  const TemporaryFolder folder;
  write_small_model(folder / "base");
  const auto check = [&](const PeftFolder& peft, const std::string& task,
                         const std::string& fragment) {
    const std::vector<PeftLora> adapters{peft.read(small_config())};
    const std::vector<LoraUpdates> tasks{adapters[0].updates};
    const auto compressed = compress_updates(tasks, "metatt4d", small_config(), within(0));
    AdapterRecord record = record_of(task, 0);
    check_error([&] { compressed_model<float>(folder / "base", compressed, adapters, record); },
                {fragment});
  };
  PeftFolder good;
  add_classifier(good);
  check(good, "mnli", "\"base_model.model.classifier.weight\" has shape 2×8, expected 3×8");
  check(good, causal_task, "\"base_model.model.classifier.bias\" is saved whole");
  PeftFolder more;
  add_classifier(more);
  more.add("bert.embeddings.word_embeddings.weight", {24, 8});
  check(more, "mrpc", "word_embeddings.weight\" is neither");
  PeftFolder headless;
  headless.add_factors("bert.encoder.layer.0.attention.self.query", 2, 8, 8);
  check(headless, "mrpc", "expected the head's tensor \"base_model.model.classifier.weight\"");
}

BOOST_AUTO_TEST_CASE(a_pooler_that_was_trained_comes_with_the_head) {
  const TemporaryFolder folder;
  write_small_model(folder / "base");
  PeftFolder peft;
  add_classifier(peft);
  peft.add("bert.pooler.dense.weight", {8, 8});
  peft.add("bert.pooler.dense.bias", {8});
  const std::vector<PeftLora> adapters{peft.read(small_config())};
  const std::vector<LoraUpdates> tasks{adapters[0].updates};
  AdapterRecord record = record_of("mrpc", 0);
  const auto model = compressed_model<float>(
      folder / "base", compress_updates(tasks, "metatt4d", small_config(), within(0)), adapters,
      record);
  BOOST_TEST(record.pooler_trained);
  BOOST_TEST(model->weights().value(model->weights().find("pooler.dense.bias")).to_vector() ==
                 peft.tensors.back().tensor.to_vector(),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(adapters_of_several_tasks_have_one_pooler) {
  const TemporaryFolder folder;
  write_small_model(folder / "base");
  const auto compressed_with = [&](bool same) {
    PeftFolder first, second;
    for (PeftFolder* peft : {&first, &second}) {
      add_classifier(*peft);
      if (peft == &second && !same) peft->add("classifier.other", {1});
      peft->add("bert.pooler.dense.weight", {8, 8});
      peft->add("bert.pooler.dense.bias", {8});
    }
    const std::vector<PeftLora> adapters{first.read(small_config()), second.read(small_config())};
    const std::vector<LoraUpdates> tasks{adapters[0].updates, adapters[1].updates};
    AdapterRecord record = record_of("mrpc", 0);
    record.tasks.push_back("cola");
    compressed_model<float>(folder / "base",
                            compress_updates(tasks, "metatt4+1d", small_config(), within(0)),
                            adapters, record);
    return record.pooler_trained;
  };
  BOOST_TEST(compressed_with(true));
  check_error([&] { compressed_with(false); }, {"its pooler is not that of", "one by one"});
}

/// Two LoRA of a decoder as the tasks of one adapter, written to a folder.
struct TwoTasks {
  explicit TwoTasks(const std::string& family) : config(byte_decoder_config(family)) {
    write_byte_decoder(folder.path(), config);
    std::vector<PeftLora> adapters;
    for (const Index task : {0, 1}) {
      PeftFolder peft;
      const std::string down = family == "gpt2" ? "mlp.c_proj" : "mlp.down_proj";
      const std::string layers = family == "gpt2" ? "transformer.h." : "model.layers.";
      peft.config["lora_alpha"] = 3 + task;
      if (family == "gpt2") peft.add_factors(layers + "0.attn.c_attn", 2, 16, 48);
      peft.add_factors(layers + std::to_string(task) + "." + down, 2, 32, 16);
      adapters.push_back(peft.read(config));
      updates.push_back(adapters.back().updates);
    }
    const auto compressed = compress_updates(updates, "metatt4+1d", config, within(0));
    record.next_tokens = true;
    record.tasks = {"0", "1"};
    record.base_model = folder.path().string();
    const auto model = compressed_model<float>(folder.path(), compressed, adapters, record);
    write_adapter(tn::prepare_output_folder(folder / "out", false), *model, record);
  }
  std::unique_ptr<CausalModelFolder<float>> read() const {
    return read_adapted_decoder<float>(folder / "out", read_adapter_record(folder / "out"), {});
  }
  ModelConfig config;
  TemporaryFolder folder;
  std::vector<LoraUpdates> updates;
  AdapterRecord record = record_of("", 0);
};

BOOST_AUTO_TEST_CASE(each_task_of_a_decoder_is_exported_and_merged_as_its_own_lora) {
  for (const std::string family : {"gpt2", "llama"}) BOOST_TEST_CONTEXT(family) {
      const TwoTasks two(family);
      const auto model = two.read();
      BOOST_TEST(model->train()->train().modes()[2] == 2);
      for (const Index task : {0, 1}) {
        const auto name = [&](const char* what) {
          return two.folder / (what + std::to_string(task));
        };
        export_peft_lora(tn::prepare_output_folder(name("peft"), false), *model, two.record,
                         std::to_string(task));
        const PeftLora again = read_peft_lora(name("peft"), two.config);
        for (const auto& [site, factors] : two.updates[static_cast<std::size_t>(task)])
          BOOST_TEST(relative_error(dense_update<double>(factors).to_vector(),
                                    dense_update<double>(again.updates.at(site)).to_vector()) <
                     1e-5);
        write_merged_model(tn::prepare_output_folder(name("merged"), false), *model, two.record,
                           std::to_string(task));
      }
      // The second matrix is changed by the second task only.
      const auto down = [&](const std::string& folder) {
        const SafetensorsFile file(two.folder / (folder + "model.safetensors"));
        const std::string matrix = family == "gpt2" ? "transformer.h.1.mlp.c_proj.weight"
                                                    : "model.layers.1.mlp.down_proj.weight";
        return file.read<float>(matrix, file.entry(matrix).shape).to_vector();
      };
      BOOST_TEST(relative_error(down(""), down("merged0/")) < 1e-5);
      BOOST_TEST(relative_error(down(""), down("merged1/")) > 0.1);
    }
}

BOOST_AUTO_TEST_CASE(a_decoder_is_what_the_merged_model_of_the_chosen_task_is) {
  const TwoTasks two("llama");
  const auto model = two.read();
  const std::vector<ChoiceQuestion> questions{{{{"abc", "d"}, {"abc", "ef"}}, 0, "here"}};
  const std::vector<TokenText> texts{{{5, 9, 7, 30, 31}, 1}};
  const std::vector<std::int32_t> prompt{5, 9, 7};
  std::vector<double> losses;
  for (const std::string task : {"0", "1"}) {
    const auto merged = tn::prepare_output_folder(two.folder / ("merged" + task), false);
    write_merged_model(merged, *model, two.record, task);
    const auto whole = read_decoder<float>(merged.path, {}),
               chosen = read_decoder<float>({}, two.folder / "out", task);
    const double loss = evaluate<float>(*whole, texts, 1).loss;
    BOOST_TEST(evaluate<float>(*chosen, texts, 1).loss == loss, boost::test_tools::tolerance(1e-5));
    const auto scores = score_choices<float>(*whole, questions).front().log_probabilities;
    BOOST_TEST(
        relative_error(scores, score_choices<float>(*chosen, questions).front().log_probabilities) <
        1e-5);
    // The hidden states of a prompt in a cache of the task.
    auto first = whole->backbone().cache(3), second = chosen->backbone().cache(3);
    second.task = chosen->task();
    BOOST_TEST(
        relative_error(
            whole->backbone().forward_next(prompt, first, nullptr).value.to_vector(),
            chosen->backbone().forward_next(prompt, second, chosen->adapter()).value.to_vector()) <
        1e-5);
    losses.push_back(loss);
  }
  BOOST_TEST(std::abs(losses[0] - losses[1]) > 1e-3);
}

BOOST_AUTO_TEST_CASE(no_task_of_several_is_taken_unasked) {
  const TwoTasks two("gpt2");
  const auto model = two.read();
  const auto out = tn::prepare_output_folder(two.folder / "again", false);
  const std::string expected = "task: expected one that the adapter has, 0, 1; found ";
  check_error([&] { export_peft_lora(out, *model, two.record); }, {expected + "none"});
  check_error([&] { export_peft_lora(out, *model, two.record, "2"); }, {expected + "\"2\""});
  check_error([&] { write_merged_model(out, *model, two.record); }, {expected + "none"});
  check_error([&] { read_decoder<float>({}, two.folder / "out"); }, {expected + "none"});
  check_error([&] { read_decoder<float>({}, two.folder / "out", "2"); }, {expected + "\"2\""});
  check_error([&] { read_decoder<float>(two.folder.path(), {}, "0"); }, {"without one"});
  BOOST_TEST(chosen_task(record_of("mrpc", 16), "") == 0);
  BOOST_TEST(chosen_task(record_of("mrpc", 16), "mrpc") == 0);
  check_error([&] { chosen_task(record_of("mrpc", 16), "cola"); }, {"has, mrpc; found \"cola\""});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
