#include "adapter_testing.hpp"

#include <metatt/transformer/added_task.hpp>

#include <array>
#include <map>
#include <set>

using namespace metatt;
using namespace metatt::testing;

namespace {

using Model = ClassifierModel<float>;

/// How many examples of each task the steps of an epoch have.
std::map<std::size_t, Index> examples_by_task(const TaskMixture& mixture, Index epoch) {
  std::map<std::size_t, Index> counts;
  const Index steps = mixture.steps_per_epoch();
  for (Index step = epoch * steps; step < (epoch + 1) * steps; ++step)
    for (const Index example : mixture.batch(step)) ++counts[mixture.place(example).task];
  return counts;
}

/// Three tasks with a head each on one small adapter.
struct ThreeTasks {
  explicit ThreeTasks(const std::string& kind = "metatt4+1d",
                      const std::vector<std::string>& wanted = {"mrpc", "cola", "stsb"})
      : names(wanted), method(small_adapter(kind)) {
    write_small_model(folder / "base");
    if (has_task_mode(kind)) method.adapter.tasks = static_cast<Index>(names.size());
    model =
        std::make_unique<Model>(folder / "base", task_heads(names), method, HeadSource::fresh, 1);
  }
  std::vector<TaskData> data() const {
    std::vector<TaskData> tasks;
    for (const std::string& name : names)
      tasks.push_back({find_glue_task(name), train[tasks.size()], development});
    return tasks;
  }
  AdapterRecord record() const {
    AdapterRecord record = record_of("", 16);
    record.tasks = names;
    record.base_model = (folder / "base").string();
    record.method = method;
    return record;
  }
  std::filesystem::path write() const {
    write_adapter(tn::prepare_output_folder(folder / "adapter", true), *model, record());
    return folder / "adapter";
  }

  TemporaryFolder folder;
  std::vector<std::string> names;
  Method method;
  std::unique_ptr<Model> model;
  std::array<std::vector<Example>, 3> train{random_examples(24, 3), random_examples(9, 4),
                                            random_examples(5, 5)};
  std::vector<Example> development = random_examples(8, 6);
};

TrainSettings two_epochs() {
  TrainSettings settings;
  settings.epochs = 2;
  settings.batch_size = 4;
  settings.optimiser.learning_rate = settings.optimiser.head_learning_rate = 1e-2;
  return settings;
}

std::vector<float> task_logits(const Model& model, const std::vector<Example>& examples,
                               Index task) {
  Tape<float> tape;
  Batch batch = pack(examples);
  batch.task = task;
  return model.classifier(task).logits(tape, batch, model.adapter(), {}).value.to_vector();
}

std::map<std::string, std::vector<float>> tensors_in(const std::filesystem::path& adapter) {
  const SafetensorsFile file(adapter / adapter_file_name);
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& name : file.names())
    tensors[name] = file.read<float>(name, file.entry(name).shape).to_vector();
  return tensors;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(multi_task)

BOOST_AUTO_TEST_CASE(an_epoch_at_temperature_one_has_every_example_once_and_a_step_one_task) {
  const std::array<Index, 3> sizes{24, 9, 5};
  const TaskMixture mixture(sizes, 4, 1, 7);
  BOOST_TEST(mixture.steps_per_epoch() == 6 + 3 + 2);
  for (const Index epoch : {0, 1, 5}) {
    std::multiset<Index> seen;
    for (Index step = 0; step < 11; ++step) {
      std::set<std::size_t> tasks;
      for (const Index example : mixture.batch(epoch * 11 + step)) {
        seen.insert(example);
        tasks.insert(mixture.place(example).task);
      }
      BOOST_TEST(tasks.size() == 1u);
    }
    BOOST_TEST(seen.size() == 38u);
    BOOST_TEST(std::set<Index>(seen.begin(), seen.end()).size() == 38u);
  }
  // The tasks are mixed, and not in the same order in every epoch.
  const auto order = [&](Index epoch) {
    std::vector<std::size_t> tasks;
    for (Index step = 0; step < 11; ++step)
      tasks.push_back(mixture.place(mixture.batch(epoch * 11 + step).front()).task);
    return tasks;
  };
  BOOST_TEST(!std::ranges::is_sorted(order(0)));
  BOOST_TEST(order(0) != order(1));
}

BOOST_AUTO_TEST_CASE(one_task_has_the_order_of_its_examples) {
  const TaskMixture mixture(std::array<Index, 1>{10}, 4, 1, 7);
  const ExampleOrder order(10, 7);
  for (Index step = 0; step < 9; ++step) BOOST_TEST(mixture.batch(step) == order.batch(step, 4));
}

BOOST_AUTO_TEST_CASE(a_higher_temperature_makes_tasks_more_equal) {
  // 64, 4 and 4 steps; at temperature 2 their roots 8 : 2 : 2 of 72, in the limit a third each.
  const std::array<Index, 3> sizes{256, 16, 16};
  const auto steps = [&](double temperature) {
    const TaskMixture mixture(sizes, 4, temperature, 7);
    return std::array{mixture.steps_of(0), mixture.steps_of(1), mixture.steps_of(2)};
  };
  BOOST_TEST((steps(1) == std::array<Index, 3>{64, 4, 4}));
  BOOST_TEST((steps(2) == std::array<Index, 3>{48, 12, 12}));
  BOOST_TEST((steps(1e6) == std::array<Index, 3>{24, 24, 24}));
  // A task that gets more steps than it has batches begins anew within an epoch.
  const TaskMixture mixture(sizes, 4, 2, 7);
  BOOST_TEST(
      (examples_by_task(mixture, 0) == std::map<std::size_t, Index>{{0, 192}, {1, 48}, {2, 48}}));
}

BOOST_AUTO_TEST_CASE(no_task_goes_without_a_step) {
  const TaskMixture mixture(std::array<Index, 3>{4000, 1, 1}, 4, 1, 7);
  BOOST_TEST(mixture.steps_of(1) == 1);
  BOOST_TEST(mixture.steps_of(2) == 1);
  check_error([] { TaskMixture(std::array<Index, 2>{4, 0}, 4, 1, 7); }, {"no training examples"});
  check_error(
      [] {
        TaskMixture(std::array<Index, 2>{4, 4}, 4, 0.5, 7);
      },
      {"task_temperature", "at least 1", "0.5"});
}

BOOST_AUTO_TEST_CASE(a_step_changes_the_head_of_its_task_alone) {
  ThreeTasks three;
  TrainSettings settings = two_epochs();
  settings.max_steps = 1;
  settings.warmup_ratio = 0;
  const auto data = three.data();
  const ClassificationObjective<float> objective(*three.model, data, settings);
  const auto& weights = three.model->weights();
  const auto heads = [&] {
    std::vector<std::vector<float>> values;
    for (const std::string& name : three.names)
      values.push_back(
          weights.value(weights.find("task." + name + ".classifier.weight")).to_vector());
    return values;
  };
  const auto before = heads();
  const Index first = objective.batch(0).front();
  const std::size_t trained = first < 24 ? 0 : first < 24 + 9 ? 1 : 2;
  Trainer<float>(objective, settings).run();
  const auto after = heads();
  for (std::size_t task = 0; task < 3; ++task)
    BOOST_TEST((before[task] == after[task]) == (task != trained));
}

BOOST_AUTO_TEST_CASE(all_tasks_are_learned_by_every_kind_of_adapter_and_measured_by_name) {
  for (const std::string kind : {"metatt4+1d", "metatt5+1d", "metatt4d", "lora"})
    BOOST_TEST_CONTEXT(kind) {
      ThreeTasks three(kind);
      // The same texts with answers that no head could have for all of them.
      for (const auto& [task, label] : {std::pair{0, 1.0}, {1, 0.0}, {2, 3.0}})
        for (Example& example : three.train[static_cast<std::size_t>(task)]) example.label = label;
      TrainSettings settings = two_epochs();
      settings.epochs = 20;
      settings.metric = average_metric;
      const auto data = three.data();
      const ClassificationObjective<float> objective(*three.model, data, settings);
      BOOST_TEST(
          (objective.metrics() == std::vector<std::string>{"loss", "average", "mrpc_accuracy",
                                                           "mrpc_f1", "cola_matthews_correlation",
                                                           "stsb_pearson", "stsb_spearmanr"}));
      const auto loss_of = [&](std::size_t task) {
        return evaluate(*three.model, data[task].task, three.train[task], 8,
                        static_cast<Index>(task))
            .loss;
      };
      const std::array before{loss_of(0), loss_of(1), loss_of(2)};
      const auto result = Trainer<float>(objective, settings).run();
      for (std::size_t task = 0; task < 3; ++task) BOOST_TEST(loss_of(task) < 0.5 * before[task]);
      BOOST_TEST(result.evaluation.metrics.size() == 6u);
      // (accuracy + F1) / 2, the correlation, and the mean of two more, of which the mean.
      const auto& m = result.evaluation.metrics;
      BOOST_TEST(
          m[0].second ==
              ((m[1].second + m[2].second) / 2 + m[3].second + (m[4].second + m[5].second) / 2) / 3,
          boost::test_tools::tolerance(1e-12));
    }
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_every_bit_again_and_ranks_change_on_the_way) {
  const auto values = [](const std::string& schedule) {
    ThreeTasks three;
    TrainSettings settings = two_epochs();
    settings.rank_schedule = parse_rank_schedule(schedule);
    const auto data = three.data();
    const ClassificationObjective<float> objective(*three.model, data, settings);
    Trainer<float>(objective, settings).run();
    return std::pair{task_logits(*three.model, three.development, 1),
                     three.model->train()->ranks()};
  };
  for (const std::string schedule : {"0:3,1:2", "0:3,5s:4"}) BOOST_TEST_CONTEXT(schedule) {
      const auto [logits, ranks] = values(schedule);
      BOOST_TEST(logits == values(schedule).first, boost::test_tools::per_element());
      BOOST_TEST((ranks[1] == (schedule == "0:3,1:2" ? 2 : 4)));
    }
}

BOOST_AUTO_TEST_CASE(an_adapter_of_several_tasks_is_written_read_merged_and_exported_by_task) {
  for (const std::string kind : {"metatt4+1d", "metatt5+1d", "lora"}) BOOST_TEST_CONTEXT(kind) {
      ThreeTasks three(kind);
      randomise_adapter(*three.model->adapter(), three.model->weights());
      const AdapterRecord record = read_adapter_record(three.write());
      BOOST_TEST(record.tasks == three.names, boost::test_tools::per_element());
      const auto read = read_adapted_model<float>(three.folder / "adapter", record, {});
      for (Index task = 0; task < 3; ++task) {
        const std::string& name = three.names[static_cast<std::size_t>(task)];
        const auto expected = task_logits(*three.model, three.development, task);
        BOOST_TEST(task_logits(*read, three.development, task) == expected,
                   boost::test_tools::per_element());
        const auto merged = tn::prepare_output_folder(three.folder / ("merged-" + name), false);
        write_merged_model(merged, *read, record, name);
        const Model whole(merged.path, find_glue_task(name).outputs(), Method::named("none", {}),
                          HeadSource::from_model, 0);
        BOOST_TEST(relative_error(expected, task_logits(whole, three.development, 0)) < 1e-5);
        const auto peft = tn::prepare_output_folder(three.folder / ("peft-" + name), false);
        export_peft_lora(peft, *read, record, name);
        const SafetensorsFile file(peft / "adapter_model.safetensors");
        BOOST_TEST(file.contains("base_model.model.classifier.weight"));
        for (Index layer = 0; layer < 2; ++layer)
          for (const MatrixType type : three.method.adapter.targets)
            BOOST_TEST(export_error(file, *read->adapter(), layer, type, task) < 1e-6);
      }
      check_error([&] { write_merged_model({three.folder.path()}, *read, record); },
                  {"expected one that the adapter has, mrpc, cola, stsb; found none"});
      check_error([&] { write_merged_model({three.folder.path()}, *read, record, "rte"); },
                  {"found \"rte\""});
    }
}

BOOST_AUTO_TEST_CASE(the_bits_of_a_task_do_not_depend_on_the_others) {
  // The slices of two tasks alone, and beside a third: ranks for which products of other widths
  // could be blocked otherwise.
  for (const std::string kind : {"metatt4+1d", "metatt5+1d"}) BOOST_TEST_CONTEXT(kind) {
      ThreeTasks two(kind, {"mrpc", "cola"}), three(kind);
      auto& weights = three.model->weights();
      randomise_adapter(*two.model->adapter(), two.model->weights());
      for (const auto& own : two.model->own_tensors()) {
        const auto id = weights.find(own.name);
        if (weights.shape(id) == own.tensor.shape()) {
          weights.set_value(id, own.tensor);
          continue;
        }
        Tensor<float> core = tn::random_normal<float>(weights.shape(id), 5, 5);
        const Index columns = core.extent(2);
        tn::backend::copy_matrix(tn::backend::queue(), core.extent(0), 2 * columns,
                                 own.tensor.data(), 2 * columns, core.mutable_data(), 3 * columns);
        weights.set_value(id, core);
      }
      for (const Index task : {0, 1})
        BOOST_TEST(task_logits(*two.model, two.development, task) ==
                       task_logits(*three.model, two.development, task),
                   boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_task_that_is_added_leaves_the_others_as_they_were_to_the_bit) {
  for (const std::string kind : {"metatt4+1d", "metatt5+1d"})
    for (const std::size_t known : {std::size_t{1}, std::size_t{2}})
      BOOST_TEST_CONTEXT(kind << known) {
        const std::vector<std::string> names{"mrpc", "cola"};
        ThreeTasks trained(kind,
                           {names.begin(), names.begin() + static_cast<std::ptrdiff_t>(known)});
        randomise_adapter(*trained.model->adapter(), trained.model->weights());
        const auto adapter = trained.write();
        const GlueTask& task = find_glue_task("stsb");
        const auto model =
            read_for_new_task<float>(adapter, read_adapter_record(adapter), {}, task, 1);
        // r² numbers of the slice (rank 3), and a head of 8 + 1.
        BOOST_TEST(model->weights().trainable_count() == 9 + 9);
        TrainSettings settings = two_epochs();
        const TaskData data{task, trained.train[0], trained.development};
        const ClassificationObjective<float> objective(*model, std::array{data}, settings);
        Trainer<float>(objective, settings).run();
        const auto out = tn::prepare_output_folder(trained.folder / "added", false);
        write_with_new_task(out, adapter, *model, task);

        const AdapterRecord record = read_adapter_record(out.path);
        BOOST_TEST(record.tasks.size() == known + 1);
        BOOST_TEST(record.tasks.back() == "stsb");
        const auto read = read_adapted_model<float>(out.path, record, {});
        for (std::size_t other = 0; other < known; ++other)
          BOOST_TEST(
              task_logits(*read, trained.development, static_cast<Index>(other)) ==
                  task_logits(*trained.model, trained.development, static_cast<Index>(other)),
              boost::test_tools::per_element());
        BOOST_TEST(task_logits(*read, trained.development, static_cast<Index>(known)) ==
                       task_logits(*model, trained.development, 0),
                   boost::test_tools::per_element());
        const auto before = tensors_in(adapter), after = tensors_in(out.path);
        for (const auto& [name, values] : before)
          if (name.starts_with("adapter.") && after.at(name).size() == values.size())
            BOOST_TEST(after.at(name) == values, boost::test_tools::per_element());
      }
}

BOOST_AUTO_TEST_CASE(a_task_is_added_only_where_there_is_a_core_for_it) {
  const auto refused = [](const std::string& kind, const std::string& task,
                          const std::string& fragment) {
    const ThreeTasks trained(kind);
    const auto adapter = trained.write();
    check_error(
        [&] {
          read_for_new_task<float>(adapter, read_adapter_record(adapter), {}, find_glue_task(task),
                                   1);
        },
        {"add-task", fragment});
  };
  refused("metatt4d", "rte", "metatt4+1d or metatt5+1d, found metatt4d");
  refused("lora", "rte", "found lora");
  refused("metatt4+1d", "cola", "does not have, mrpc, cola, stsb; found \"cola\"");
}

BOOST_AUTO_TEST_SUITE_END()
