/// metatt bench step: the time of one training step against the floor that its products set.

#include <metatt/apps/bench_timing.hpp>
#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/adapters/meta_tt.hpp>
#include <metatt/transformer/classifier.hpp>
#include <metatt/transformer/model.hpp>
#include <metatt/transformer/optimiser.hpp>

#include <algorithm>
#include <iomanip>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct BenchOptions {
  std::vector<std::string> variants{"lora", "metatt4d", "full"};
  std::vector<std::string> targets{"query", "value"}, core_order;
  std::vector<double> dropouts{0.0, 0.1};
  Index samples = 7, batch = 16, tokens = 128, rank = 8;
  ModelConfig config;
  std::string json;
};

Method method_of(const BenchOptions& o, const std::string& variant) {
  AdapterSettings settings;
  settings.rank = o.rank;
  settings.targets = find_matrix_types(o.targets);
  std::ranges::sort(settings.targets);
  if (has_task_mode(variant)) settings.tasks = 3;
  if (is_one_train(variant)) {
    settings.core_order = find_core_modes(o.core_order);
    const std::vector<CoreMode> inner = inner_modes_of(variant);
    settings.ranks.assign(inner.size() + 1, o.rank);
    if (std::ranges::count(inner, CoreMode::head) > 0)  // the last bond: what a head can hold
      settings.ranks.back() = std::min(o.rank, o.config.head_size());
  }
  return Method::named(variant, settings);
}

/// Before anything is measured or printed.
void check_variants(const BenchOptions& o) {
  for (const std::string& variant : o.variants) {
    const Method method = method_of(o, variant);
    if (method.kind == Method::Kind::adapter) check_adapter_settings(method.adapter, o.config);
    if (is_one_train(variant)) inner_modes(method.adapter);
  }
}

/// A model of the given shape with random weights, and one batch.
class StepBench {
 public:
  StepBench(const BenchOptions& o, const std::string& variant)
      : config_(o.config),
        backbone_(config_, weights_, initial),
        classifier_(backbone_, 2, initial),
        labels_(static_cast<std::size_t>(o.batch)) {
    const Method method = method_of(o, variant);
    if (method.kind == Method::Kind::adapter)
      adapter_ = make_adapter(method.adapter, config_, weights_);
    mark_trained(method, backbone_, classifier_, /*pooler=*/false);
    weights_.build_arena();
    optimiser_ = std::make_unique<AdamW<float>>(weights_, AdamWSettings{},
                                                LearningRateSchedule{0, Index{1} << 40});
    std::vector<EncodedText> texts(static_cast<std::size_t>(o.batch));
    for (std::size_t b = 0; b < texts.size(); ++b) {
      for (Index t = 0; t < o.tokens; ++t)
        texts[b].ids.push_back(static_cast<std::int32_t>(
            (static_cast<Index>(b) * 7919 + t * 104729) % config_.vocab_size));
      texts[b].type_ids.assign(texts[b].ids.size(), 0);
      labels_[b] = static_cast<double>(b % 2);
    }
    batch_ = Batch::pack(texts);
  }

  void step(double dropout) {
    autodiff::Tape<float> tape(weights_.arena(), 1,
                               static_cast<std::uint64_t>(optimiser_->counts().steps));
    const auto logits = classifier_.logits(tape, batch_, adapter_.get(),
                                           DropoutRates::of(with_dropout(config_, dropout)));
    const auto loss = classifier_.loss(tape, logits, labels_);
    tape.backward(loss);
    optimiser_->step();
    saved_bytes_ = tape.saved_bytes();
  }
  std::int64_t saved_bytes() const { return saved_bytes_; }
  Index trainable() const { return weights_.trainable_count(); }

 private:
  static ModelConfig with_dropout(ModelConfig config, double dropout) {
    config.hidden_dropout_prob = dropout;
    config.attention_probs_dropout_prob = dropout;
    return config;
  }
  static Tensor<float> initial(const std::string& name, const Shape& shape) {
    return initial_weight<float>(name, shape, 1);
  }

  ModelConfig config_;
  Weights<float> weights_;
  Backbone<float> backbone_;
  Classifier<float> classifier_;
  std::unique_ptr<Adapter<float>> adapter_;
  std::unique_ptr<AdamW<float>> optimiser_;
  Batch batch_;
  std::vector<double> labels_;
  std::int64_t saved_bytes_ = 0;
};

/// The measured steps of one dropout probability. Costs are times relative to those of the first
/// probability, and of the first variant, measured just before.
struct Series {
  double dropout;
  std::vector<double> times, rels, dropout_costs, variant_costs;
  double floor_gflop = 0, saved_mb = 0, peak_mb = 0;
};

/// `others` are the megabytes that are there without the bench.
Series warm_up(StepBench& bench, double dropout, double others) {
  Series series{dropout, {}, {}, {}, {}};
  tn::backend::reset_peak();
  for (int i = 0; i < 2; ++i) bench.step(dropout);  // memory pool and threads are warm after that
  series.saved_mb = static_cast<double>(bench.saved_bytes()) / 1e6;
  series.peak_mb = static_cast<double>(tn::backend::memory_statistics().peak_bytes) / 1e6 - others;
  return series;
}

/// One step, against the large product that was timed just before it.
void measure(StepBench& bench, const std::string& variant, double rate, Series& series) {
  auto& work = tn::backend::queue().work;
  work = {};
  series.times.push_back(milliseconds_of([&] { bench.step(series.dropout); }));
  // The recomputed product of attention's backward pass is extra work, not part of the floor.
  const double needed = variant == "none" ? 1.0 : 12.0 / 14.0;
  series.floor_gflop =
      (static_cast<double>(work.gemm_flops) + static_cast<double>(work.attention_flops) * needed) /
      1e9;
  series.rels.push_back(series.floor_gflop / rate / (series.times.back() / 1e3));
}

/// A line for each dropout probability. A virtual machine's speed changes from second to second, so
/// the probabilities take turns, with the first variant too, and the large product is timed before
/// every step; `rel` and the costs are medians over such pairs.
nlohmann::json bench_variant(const BenchOptions& o, const std::string& variant, StepBench* first,
                             LargeProduct<float>& product) {
  const double others = static_cast<double>(tn::backend::memory_statistics().live_bytes) / 1e6;
  StepBench bench(o, variant);
  std::vector<Series> all;
  for (const double dropout : o.dropouts) all.push_back(warm_up(bench, dropout, others));
  const auto allocations = tn::backend::memory_statistics().system_allocations;
  std::vector<double> rates;
  for (Index i = 0; i < o.samples; ++i)
    for (Series& series : all) {
      const double reference = first ? milliseconds_of([&] { first->step(series.dropout); }) : 0;
      rates.push_back(product.rate());
      measure(bench, variant, rates.back(), series);
      series.dropout_costs.push_back(series.times.back() / all.front().times.back());
      series.variant_costs.push_back(first ? series.times.back() / reference : 1);
    }
  nlohmann::json lines = nlohmann::json::array();
  for (const Series& series : all) {
    const double ms = median(series.times);
    lines.push_back(
        {{"variant", variant},
         {"dropout", series.dropout},
         {"milliseconds", series.times},
         {"median_ms", ms},
         {"sgemm_gflops", median(rates)},
         {"floor_gflop", series.floor_gflop},
         {"rel", median(series.rels)},
         {"dropout_cost", median(series.dropout_costs)},
         {"variant_cost", median(series.variant_costs)},
         {"tokens_per_second", static_cast<double>(o.batch * o.tokens) / (ms / 1e3)},
         {"trainable", bench.trainable()},
         {"saved_mb", series.saved_mb},
         {"peak_mb", series.peak_mb},
         {"new_allocations", tn::backend::memory_statistics().system_allocations - allocations}});
  }
  return lines;
}

void print_line(const nlohmann::json& line) {
  const auto number = [&](const char* key, int digits) {
    return fixed(line[key].get<double>(), digits);
  };
  std::cout << std::left << std::setw(11) << line["variant"].get<std::string>() << std::right
            << std::setw(7) << line["dropout"].get<double>() << std::setw(9)
            << number("median_ms", 1) << std::setw(7) << number("dropout_cost", 3) << std::setw(9)
            << number("variant_cost", 3) << std::setw(7) << number("rel", 3) << std::setw(11)
            << number("tokens_per_second", 0) << std::setw(8) << number("floor_gflop", 1)
            << std::setw(15) << number("sgemm_gflops", 0) << std::setw(11)
            << line["trainable"].get<Index>() << std::setw(10) << number("saved_mb", 1)
            << std::setw(9) << number("peak_mb", 1) << std::endl;
}

void bench_step(const BenchOptions& o) {
  check_variants(o);
  BenchRecords records(o.json);
  print_backend();
  std::cout
      << o.config.num_hidden_layers << " layers, width " << o.config.hidden_size << ", "
      << o.config.num_attention_heads << " heads, feed-forward " << o.config.intermediate_size
      << ", batch " << o.batch << " × " << o.tokens << " tokens, rank " << o.rank << " on "
      << tn::joined(o.targets) << ", float32, median of " << o.samples << "\n"
      << "variant    dropout       ms   cost to first    rel   tokens/s   GFLOP  sgemm GFLOP/s  "
         "trainable  saved MB  peak MB\n";
  LargeProduct<float> product;
  std::unique_ptr<StepBench> first;
  for (const auto& variant : o.variants) {
    for (auto& line : bench_variant(o, variant, first.get(), product)) {
      print_line(line);
      records.add(std::move(line));
    }
    if (!first && o.variants.size() > 1) first = std::make_unique<StepBench>(o, variant);
  }
  records.commit();
}

}  // namespace

void add_bench(CLI::App& program) {
  CLI::App* bench = program.add_subcommand("bench", "Measure speed");
  bench->require_subcommand(1);
  auto o = std::make_shared<BenchOptions>();
  o->config.hidden_size = 384;
  o->config.num_hidden_layers = 6;
  o->config.num_attention_heads = 12;
  o->config.intermediate_size = 1536;
  CLI::App* command = add_command(*bench, "step", "One training step at the shape of MiniLM-L6");
  auto variants = adapter_kinds();
  variants.insert(variants.end(), {"full", "none"});
  command
      ->add_option("--variants", o->variants,
                   "The others are compared with the first: " + tn::joined(variants))
      ->delimiter(',')
      ->check(one_of(variants));
  command
      ->add_option("--target_modules", o->targets,
                   "query, key, value, attention_output, feed_forward_up, feed_forward_down")
      ->delimiter(',');
  command
      ->add_option("--core_order", o->core_order,
                   "Order of the inner cores of the MetaTTs, such as head,layer,matrix_type")
      ->delimiter(',');
  command
      ->add_option("--dropouts", o->dropouts,
                   "Dropout probabilities; the first is what the others are compared with")
      ->delimiter(',')
      ->check(number_between(0, 0.99));
  command->add_option("--samples", o->samples, "Steps measured")->transform(whole_number(1));
  command->add_option("--batch_size", o->batch, "Sequences a step")
      ->transform(whole_number(1, 4096));
  command->add_option("--max_seq_length", o->tokens, "Tokens a sequence")
      ->transform(whole_number(1, 512));
  command->add_option("--rank", o->rank, "Rank of the adapters")->transform(whole_number(1, 384));
  command->add_option("--json", o->json, "The same as JSON");
  command->callback([o] { bench_step(*o); });
  add_bench_contractions(*bench);
  add_bench_decoders(*bench);
  add_bench_trains(*bench);
}

}  // namespace metatt::apps
