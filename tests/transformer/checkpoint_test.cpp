#include "model_testing.hpp"

#include <metatt/transformer/checkpoint.hpp>

#include <set>

using namespace metatt;
using namespace metatt::testing;

namespace {

/// A classifier of two small layers that is trained for five epochs of five steps.
struct SmallRun {
  explicit SmallRun(const std::string& method = "metatt4d", TrainSettings wanted = usual())
      : settings(wanted) {
    write_small_model(base.path());
    model = std::make_unique<ClassifierModel<float>>(base.path(), 2, small_adapter(method),
                                                     HeadSource::fresh, 1);
    objective = std::make_unique<ClassificationObjective<float>>(
        *model, std::array{TaskData{two_classes(), train, development}}, settings);
  }
  static TrainSettings usual() {
    TrainSettings settings;
    settings.epochs = 5;
    settings.batch_size = 4;
    settings.gradient_accumulation_steps = 2;
    settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 1e-2;
    settings.logging_steps = 3;
    settings.eval_steps = 4;
    settings.metric = "accuracy";
    return settings;
  }
  CheckpointSettings checkpoints(const std::filesystem::path& folder) const {
    return {.folder = folder,
            .strategy = SaveStrategy::steps,
            .save_steps = 1,
            .settings = R"({"learning_rate": 0.01})"};
  }
  Trainer<float> trainer(const std::filesystem::path& folder, TrainObserver observer = {}) const {
    return {*objective, settings, std::move(observer), checkpoints(folder)};
  }
  /// Every bit of what is trained.
  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> values;
    for (const auto& value : model->weights().trainable_values())
      values.push_back(value.tensor.to_vector());
    return values;
  }

  TemporaryFolder base;
  TrainSettings settings;
  std::vector<Example> train = random_examples(40, 3), development = random_examples(16, 4);
  std::unique_ptr<ClassifierModel<float>> model;
  std::unique_ptr<ClassificationObjective<float>> objective;
};

std::string log_text(const TrainState& state) {
  return trainer_state_json(state, "", false).dump();
}

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_AUTO_TEST_CASE(a_run_that_goes_on_from_any_step_ends_with_the_bits_of_the_uninterrupted_one) {
  TrainSettings sweeping = SmallRun::usual();
  sweeping.rank_schedule = parse_rank_schedule("0:3,1:2,3:1");
  TrainSettings projecting = sweeping;
  projecting.optimizer_state = OptimizerState::project;
  projecting.rank_schedule = parse_rank_schedule("0:3,2s:5,8s:cutoff=0.1");
  projecting.schedule = ScheduleShape::cosine;
  TrainSettings pruning = sweeping;
  pruning.optimizer_state = OptimizerState::project;
  for (const auto& [method, settings] :
       {std::pair<std::string, TrainSettings>{"metatt4d", sweeping},
        {"metatt4d", projecting},
        {"adalora", pruning},
        {"lora", SmallRun::usual()},
        {"full", SmallRun::usual()}}) {
    const TemporaryFolder folder;
    const SmallRun whole(method, settings);
    const TrainResult result = whole.trainer(folder.path()).run();
    BOOST_TEST(checkpoint_steps(folder.path()).size() == 25u);
    for (const Index step : {1, 4, 5, 9, 10, 15, 24, 25}) {
      BOOST_TEST_CONTEXT(method << ", from step " << step) {
        const TemporaryFolder elsewhere;
        const SmallRun later(method, settings);
        Trainer<float> trainer = later.trainer(elsewhere.path());
        trainer.resume(folder / checkpoint_name(step));
        const TrainResult resumed = trainer.run();
        BOOST_TEST((later.values() == whole.values()));
        BOOST_TEST((resumed.evaluation.predictions == result.evaluation.predictions));
        BOOST_TEST(resumed.evaluation.loss == result.evaluation.loss);
        BOOST_TEST(resumed.state.train_loss == result.state.train_loss);
        BOOST_TEST(resumed.state.last_loss == result.state.last_loss);
        BOOST_TEST(resumed.state.tokens == result.state.tokens);
        BOOST_TEST(log_text(resumed.state) == log_text(result.state));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_is_interrupted_saves_and_goes_on) {
  const TemporaryFolder folder;
  const SmallRun whole, stopped, later;
  whole.trainer(folder / "whole").run();
  int asked = 0;
  TrainObserver observer;
  observer.interrupted = [&] { return ++asked == 7; };
  CheckpointSettings checkpoints = stopped.checkpoints(folder / "stopped");
  checkpoints.strategy = SaveStrategy::no;
  const TrainResult result =
      Trainer<float>(*stopped.objective, stopped.settings, observer, checkpoints).run();
  BOOST_TEST((result.end == TrainingEnd::interrupted));
  BOOST_TEST(checkpoint_steps(folder / "stopped") == std::vector<Index>{7});
  Trainer<float> trainer = later.trainer(folder / "stopped");
  trainer.resume(folder / "stopped/checkpoint-7");
  BOOST_TEST((trainer.run().end == TrainingEnd::finished));
  BOOST_TEST((later.values() == whole.values()));
}

BOOST_AUTO_TEST_CASE(accumulated_gradients_are_those_of_the_large_batch) {
  const auto head = [](Index batch_size, Index accumulation) {
    TrainSettings settings = SmallRun::usual();
    settings.batch_size = batch_size;
    settings.gradient_accumulation_steps = accumulation;
    settings.dropout = false;
    const SmallRun small;  // its folder and its data
    ClassifierModel<double> model(small.base.path(), 2, small_adapter("full"), HeadSource::fresh,
                                  1);
    const ClassificationObjective<double> objective(
        model, std::array{TaskData{two_classes(), small.train, small.development}}, settings);
    const auto result = Trainer<double>(objective, settings).run();
    auto numbers = model.weights().value(model.weights().find("classifier.weight")).to_vector();
    numbers.push_back(result.state.train_loss);
    return numbers;
  };
  // 40 examples in steps of 12: the last one of an epoch has four.
  const auto large = head(12, 1), parts = head(4, 3), uneven = head(5, 2);
  for (std::size_t i = 0; i < large.size(); ++i)
    BOOST_TEST(parts[i] == large[i], boost::test_tools::tolerance(1e-9));
  BOOST_TEST(std::abs(uneven.back() - large.back()) > 1e-3);  // steps of ten are others
}

BOOST_AUTO_TEST_CASE(the_best_weights_are_kept_and_loaded) {
  TrainSettings settings = SmallRun::usual();
  settings.load_best_model = true;
  settings.metric = "loss";
  settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 0.1;
  const TemporaryFolder folder;
  const SmallRun run("full", settings);
  CheckpointSettings checkpoints = run.checkpoints(folder.path());
  checkpoints.strategy = SaveStrategy::epoch;
  checkpoints.total_limit = 1;
  double best = 1e9;
  Index best_step = 0;
  TrainObserver observer;
  observer.evaluation = [&](Index step, Index, const Evaluation& evaluation) {
    if (evaluation.loss < best) best_step = step;
    best = std::min(best, evaluation.loss);
  };
  const TrainResult result = Trainer<float>(*run.objective, settings, observer, checkpoints).run();
  BOOST_REQUIRE(best_step < 25);  // else nothing is tested
  BOOST_TEST(result.state.best_step == best_step);
  BOOST_TEST(result.evaluation.loss == best);
  BOOST_TEST(evaluate(*run.model, two_classes(), run.development, 32).loss == best);
  BOOST_TEST(checkpoint_steps(folder.path()) == (std::vector<Index>{best_step, 25}),
             boost::test_tools::per_element());
  const auto state =
      parse_json(tn::read_file(folder / "checkpoint-25/trainer_state.json"), "state");
  BOOST_TEST(state["best_metric"].get<double>() == best);
  BOOST_TEST(state["best_model_checkpoint"].get<std::string>() ==
             (folder / checkpoint_name(best_step)).string());
}

BOOST_AUTO_TEST_CASE(evaluations_without_a_better_one_end_a_run) {
  TrainSettings settings = SmallRun::usual();
  settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 1e-12;
  settings.early_stopping_patience = 2;
  const SmallRun run("full", settings);
  const TrainResult result = Trainer<float>(*run.objective, settings).run();
  BOOST_TEST((result.end == TrainingEnd::stopped_early));
  BOOST_TEST(result.state.steps == 12);  // evaluations at 4, 8 and 12: the same accuracy
  BOOST_TEST(result.state.best_step == 4);
}

BOOST_AUTO_TEST_CASE(only_so_many_checkpoints_are_kept) {
  const TemporaryFolder folder;
  const SmallRun run;
  CheckpointSettings checkpoints = run.checkpoints(folder.path());
  checkpoints.save_steps = 4;
  checkpoints.total_limit = 2;
  checkpoints.write_results = [](const tn::OutputFolder& results) {
    tn::write_file_atomically(results / "weights", "x");
  };
  TrainSettings settings = run.settings;
  settings.eval_steps = 25;  // the last evaluation is the best one
  Trainer<float>(*run.objective, settings, {}, checkpoints).run();
  BOOST_TEST(checkpoint_steps(folder.path()) == (std::vector<Index>{24, 25}),
             boost::test_tools::per_element());
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "checkpoint-24"))
    files.insert(entry.path().filename().string());
  BOOST_TEST(files == (std::set<std::string>{"trainer_state.json", "training_state.json",
                                             "training_state.safetensors", "weights"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_not_complete_is_no_checkpoint) {
  const TemporaryFolder folder;
  for (const char* name : {"checkpoint-3", "checkpoint-12", "checkpoint-5.partial",
                           "checkpoint-7.older.partial", "checkpoint-", "checkpoint-x4", "other-9"})
    folder.write(std::string(name) + "/training_state.json", "{}");
  std::filesystem::create_directories(folder / "checkpoint-4");  // of another program
  BOOST_TEST(checkpoint_steps(folder.path()) == (std::vector<Index>{3, 12}),
             boost::test_tools::per_element());
  remove_checkpoints(folder.path());
  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    left.insert(entry.path().filename().string());
  BOOST_TEST(
      left == (std::set<std::string>{"checkpoint-", "checkpoint-4", "checkpoint-x4", "other-9"}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_another_run_or_a_damaged_one_changes_nothing) {
  const TemporaryFolder folder;
  const SmallRun run, later;
  run.trainer(folder.path()).run();
  const auto checkpoint = folder / "checkpoint-9";
  const auto before = later.values();
  const auto refused = [&](const std::vector<std::string_view>& fragments,
                           const CheckpointSettings& checkpoints) {
    Trainer<float> trainer(*later.objective, later.settings, {}, checkpoints);
    check_error([&] { trainer.resume(checkpoint); }, fragments);
    BOOST_TEST((later.values() == before));
    BOOST_TEST(trainer.state().steps == 0);
  };
  CheckpointSettings other = later.checkpoints(folder.path());
  other.settings = R"({"learning_rate": 0.02})";
  refused({"training_state.json", "learning_rate = 0.01", "0.02", "same settings"}, other);

  // What a user gave is named before what follows from it, and files last.
  other.settings = R"({"learning_rate": 0.02, "fingerprint_of_data": "a", "a_rate": 1})";
  other.derived_settings = {"a_rate"};
  refused({"learning_rate = 0.01"}, other);
  other.settings = R"({"learning_rate": 0.01, "fingerprint_of_data": "a", "a_rate": 1})";
  refused({"a_rate = null, this one has 1"}, other);
  other.settings = R"({"learning_rate": 0.01, "fingerprint_of_frozen_weights": "a"})";
  refused({"the run had other frozen weights under the same settings", "same files"}, other);

  const auto same = later.checkpoints(folder.path());
  const auto damage = [&](const char* file, const std::string& from, const std::string& to,
                          const std::vector<std::string_view>& fragments) {
    const std::string text = tn::read_file(checkpoint / file);
    std::string changed = text;
    const auto place = changed.find(from);
    BOOST_REQUIRE(place != std::string::npos);
    tn::write_file_atomically(checkpoint / file, changed.replace(place, from.size(), to));
    refused(fragments, same);
    tn::write_file_atomically(checkpoint / file, text);
  };
  damage("training_state.json", "\"steps\": 9", "\"steps\": 99", {"\"steps\"", "1 … 25", "99"});
  damage("training_state.json", "\"steps\": 9", "\"stops\": 9", {"\"steps\""});
  damage("training_state.json", "\"metatt\"", "\"other\"", {"expected format"});
  damage("trainer_state.json", "\"log_history\": [", "\"log_history\": [7,",
         {"trainer_state.json"});
  damage("training_state.json", "\"two_site_pair\": 0", "\"two_site_pair\": -3",
         {"training_state.json", "two_site_pair", "-3"});
  damage("training_state.safetensors", "adapter.G1\"", "adapter.H1\"", {"adapter.G1"});
  damage("training_state.safetensors", "\"shape\":[12,3]", "\"shape\":[36,1]",
         {"training_state.safetensors", "adapter.G1", "12×3", "36×1"});
  std::filesystem::resize_file(checkpoint / "training_state.safetensors", 100);
  refused({"training_state.safetensors"}, same);
}

BOOST_AUTO_TEST_CASE(a_vector_that_is_no_bond_has_its_length) {
  for (const auto& [method, vector] :
       {std::pair<std::string, std::string>{"vera", "d"}, {"vera", "b"}, {"dora", "m"}}) {
    const TemporaryFolder folder;
    const SmallRun run(method), later(method);
    run.trainer(folder.path()).run();
    const auto path = folder / "checkpoint-9" / "training_state.safetensors";
    const std::string damaged = "adapter.layer.1.value." + vector;
    std::vector<NamedTensor<float>> tensors;
    {
      const SafetensorsFile file(path);
      for (const std::string& name : file.names()) {
        auto tensor = file.read<float>(name, file.entry(name).shape);
        if (name.starts_with(damaged)) tensor = tensor.slice(0, tensor.extent(0) - 1);
        tensors.push_back({name, tensor});
      }
    }
    write_safetensors<float>(path, tensors, {{"format", "metatt"}});
    Trainer<float> trainer(*later.objective, later.settings, {}, later.checkpoints(folder.path()));
    check_error([&] { trainer.resume(folder / "checkpoint-9"); },
                {"training_state.safetensors", damaged, "expected a tensor like"});
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
