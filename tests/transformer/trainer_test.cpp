#include "model_testing.hpp"

#include <limits>
#include <set>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Model = ClassifierModel<float>;

/// A model folder and examples for one short training.
struct SmallTask {
  SmallTask() { write_small_model(folder.path()); }
  std::unique_ptr<Model> model(const Method& method) const {
    return std::make_unique<Model>(folder.path(), 2, method, HeadSource::fresh, 1);
  }
  TemporaryFolder folder;
  std::vector<Example> train = random_examples(40, 3);
  std::vector<Example> development = random_examples(16, 4);
};

TrainSettings short_training() {
  TrainSettings settings;
  settings.epochs = 3;
  settings.batch_size = 8;
  settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 1e-2;
  settings.logging_steps = 4;
  return settings;
}

/// What a training reported, each number as it was.
struct Course {
  std::vector<double> losses, norms;
  std::vector<std::vector<Index>> ranks;
  std::vector<std::vector<double>> spectra;  ///< of the first bond at each sweep
  TrainResult result;
  bool operator==(const Course& other) const {
    return losses == other.losses && norms == other.norms &&
           result.evaluation.predictions == other.result.evaluation.predictions &&
           result.evaluation.loss == other.result.evaluation.loss;
  }
};

Course run(Model& model, const SmallTask& task, const TrainSettings& settings) {
  Course course;
  TrainObserver observer;
  observer.step = [&](const StepReport& report) {
    course.losses.push_back(report.loss);
    course.norms.push_back(report.gradient_norm);
  };
  observer.sweep = [&](const SweepReport& report) {
    course.ranks.push_back(report.sweep.ranks_after());
    course.spectra.push_back(report.sweep.bonds.front().spectrum);
  };
  const ClassificationObjective<float> objective(
      model, std::array{TaskData{two_classes(), task.train, task.development}}, settings);
  course.result = Trainer<float>(objective, settings, observer).run();
  return course;
}

Course run(const SmallTask& task, const std::string& method, const TrainSettings& settings) {
  return run(*task.model(small_adapter(method)), task, settings);
}

BOOST_AUTO_TEST_SUITE(trainer)

BOOST_AUTO_TEST_CASE(the_same_seed_gives_every_bit_again_and_another_seed_does_not) {
  const SmallTask task;
  for (const char* method : {"metatt4d", "lora", "none", "full"}) {
    BOOST_TEST_CONTEXT(method) {
      TrainSettings settings = short_training();
      if (std::string(method) == "metatt4d") {
        settings.rank_schedule = parse_rank_schedule("0:3,1:2");
        settings.optimizer_state = OptimizerState::project;
      }
      const Course first = run(task, method, settings);
      BOOST_TEST(first.losses.size() == 15u);
      BOOST_TEST((first == run(task, method, settings)));
      settings.seed = 43;
      BOOST_TEST((first.losses != run(task, method, settings).losses));
    }
  }
}

BOOST_AUTO_TEST_CASE(training_lowers_the_loss_and_learns_the_task) {
  const SmallTask task;
  TrainSettings settings = short_training();
  settings.epochs = 60;
  settings.dropout = false;
  for (const char* method : {"metatt4d", "lora", "full"}) {
    BOOST_TEST_CONTEXT(method) {
      const auto model = task.model(small_adapter(method));
      const Course course = run(*model, task, settings);
      BOOST_TEST(course.losses.back() < 0.5 * course.losses.front());
      const Evaluation on_train = evaluate(*model, two_classes(), task.train, 8);
      BOOST_TEST(on_train.metrics.front().first == "accuracy");
      BOOST_TEST(on_train.metrics.front().second > 0.9);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_loss_of_a_step_without_dropout_is_that_of_an_evaluation) {
  const SmallTask task;
  TrainSettings settings = short_training();
  settings.dropout = false;
  settings.max_steps = 1;
  settings.batch_size = 40;
  const auto model = task.model(small_adapter("lora"));
  const double before = evaluate(*model, two_classes(), task.train, 40).loss;
  const Course course = run(*model, task, settings);
  BOOST_REQUIRE(course.losses.size() == 1u);
  BOOST_TEST(course.losses[0] == before, boost::test_tools::tolerance(1e-6));
}

BOOST_AUTO_TEST_CASE(the_rank_schedule_is_followed_at_the_start_of_its_epochs) {
  const SmallTask task;
  TrainSettings settings = short_training();
  settings.rank_schedule = parse_rank_schedule("0:3,1:2,2:1");
  const auto model = task.model(small_adapter("metatt4d"));
  const Course course = run(*model, task, settings);
  BOOST_TEST((course.ranks == std::vector<std::vector<Index>>{{2, 2, 2}, {1, 1, 1}}));
  BOOST_TEST(model->train()->ranks() == (std::vector<Index>{1, 1, 1}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(ranks_rise_and_fall_before_the_steps_that_the_schedule_names) {
  const SmallTask task;
  for (const auto state : {OptimizerState::reset, OptimizerState::project}) {
    TrainSettings settings = short_training();
    settings.optimizer_state = state;
    settings.rank_schedule = parse_rank_schedule("0:2,3s:4,7s:2-1-2");
    Method method = small_adapter("metatt4d");
    method.adapter.rank = 2;
    const auto model = task.model(method);
    const Course course = run(*model, task, settings);
    BOOST_TEST((course.ranks == std::vector<std::vector<Index>>{{4, 4, 4}, {2, 1, 2}}));
    BOOST_TEST((course == run(*task.model(method), task, settings)));
  }
}

BOOST_AUTO_TEST_CASE(evaluations_at_other_ranks_are_no_measure_of_the_best_one) {
  const SmallTask task;
  TrainSettings settings = short_training();
  settings.rank_schedule = parse_rank_schedule("0:3,1:2,2:1");
  settings.early_stopping_patience = 1;
  // Without a change of the weights no evaluation is better than the first.
  settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 0;
  const TrainState scheduled = run(task, "adalora", settings).result.state;
  BOOST_TEST(scheduled.steps == 15);
  BOOST_TEST(scheduled.best_step == 15);
  settings.rank_schedule = parse_rank_schedule("0:3,11s:1");
  settings.eval_steps = 3;  // two without a better one come before the change
  const TrainState early = run(task, "adalora", settings).result.state;
  BOOST_TEST(early.steps == 15);
  BOOST_TEST(early.best_step == 12);
  settings.eval_steps = 0;
  settings.rank_schedule.clear();
  const TrainState stopped = run(task, "adalora", settings).result.state;
  BOOST_TEST(stopped.steps == 10);
  BOOST_TEST(stopped.best_step == 5);
}

BOOST_AUTO_TEST_CASE(a_batch_in_parts_prunes_as_the_whole_one_does) {
  const SmallTask task;
  TrainSettings settings = short_training();
  settings.dropout = false;
  settings.warmup_ratio = 0;
  settings.rank_schedule = parse_rank_schedule("0:3,1s:2");
  const auto whole = run(task, "adalora", settings).spectra.front();
  settings.batch_size = 4;
  settings.gradient_accumulation_steps = 2;
  const auto parts = run(task, "adalora", settings).spectra.front();
  BOOST_TEST(whole.front() > 0);
  BOOST_TEST(parts == whole, boost::test_tools::tolerance(1e-3)
                                 << boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_number_of_steps_stands_in_the_place_of_the_epochs) {
  const SmallTask task;
  TrainSettings settings = short_training();  // 15 steps
  settings.max_steps = 17;
  BOOST_TEST(run(task, "lora", settings).losses.size() == 17u);
}

BOOST_AUTO_TEST_CASE(ranks_of_an_adapter_without_train_cannot_be_scheduled) {
  const SmallTask task;
  TrainSettings settings = short_training();
  settings.rank_schedule = parse_rank_schedule("0:3,1:2");
  check_error([&] { run(task, "vera", settings); }, {"rank_schedule", "vera"});
}

bool all_finite(Model& model) {
  for (const auto& value : model.weights().trainable_values())
    if (!tn::backend::all_finite(tn::backend::queue(), value.tensor.size(), value.tensor.data()))
      return false;
  return true;
}

BOOST_AUTO_TEST_CASE(a_learning_rate_that_explodes_stops_the_run_on_a_good_state) {
  const SmallTask task;
  TrainSettings settings = short_training();
  settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 1e30;
  settings.warmup_ratio = 0;
  const auto model = task.model(small_adapter("metatt4d"));
  const auto stopped = [](const Diverged& error) {
    const std::string message = error.what();
    return message.find("training stopped at step ") != std::string::npos &&
           message.find("training examples ") != std::string::npos;
  };
  BOOST_CHECK_EXCEPTION(run(*model, task, settings), Diverged, stopped);
  BOOST_TEST(all_finite(*model));
  BOOST_TEST(std::isfinite(evaluate(*model, two_classes(), task.development, 8).loss));
}

BOOST_AUTO_TEST_CASE(a_weight_that_is_nan_stops_the_run_at_its_first_step) {
  const SmallTask task;
  const auto model = task.model(small_adapter("lora"));
  const auto id = model->weights().find("classifier.bias");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  model->weights().set_value(id, Tensor<float>::from({2}, {nan, 0}));
  const auto first_step = [](const Diverged& error) {
    return std::string(error.what()).find("stopped at step 1 (epoch 0)") != std::string::npos;
  };
  BOOST_CHECK_EXCEPTION(run(*model, task, short_training()), Diverged, first_step);
}

BOOST_AUTO_TEST_CASE(an_evaluation_does_not_depend_on_the_batch_size) {
  const SmallTask task;
  const auto model = task.model(small_adapter("none"));
  const Evaluation one = evaluate(*model, two_classes(), task.development, 1);
  for (const Index size : {3, 32}) {
    const Evaluation other = evaluate(*model, two_classes(), task.development, size);
    BOOST_TEST(other.loss == one.loss, boost::test_tools::tolerance(1e-6));
    BOOST_TEST((other.metrics == one.metrics));
    BOOST_TEST((other.predictions == one.predictions));
  }
}

BOOST_AUTO_TEST_CASE(settings_outside_their_range_are_named) {
  const SmallTask task;
  const auto check = [&](const char* name, const auto& change) {
    TrainSettings settings = short_training();
    change(settings);
    check_error([&] { run(task, "none", settings); }, {name});
  };
  check("num_train_epochs", [](auto& s) { s.epochs = 0; });
  check("per_device_train_batch_size", [](auto& s) { s.batch_size = 0; });
  check("per_device_eval_batch_size", [](auto& s) { s.eval_batch_size = 0; });
  check("warmup_ratio", [](auto& s) { s.warmup_ratio = 1.5; });
}

BOOST_AUTO_TEST_CASE(the_order_of_an_epoch_is_a_permutation_of_its_own) {
  const auto order = epoch_order(100, 7, 2);
  const std::set<Index> all(order.begin(), order.end());
  BOOST_TEST(all.size() == 100u);
  BOOST_TEST(*all.begin() == 0);
  BOOST_TEST(*all.rbegin() == 99);
  BOOST_TEST((order == epoch_order(100, 7, 2)));
  BOOST_TEST((order != epoch_order(100, 7, 3)));
  BOOST_TEST((order != epoch_order(100, 8, 2)));
  BOOST_TEST(epoch_order(1, 7, 0) == std::vector<Index>{0});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
