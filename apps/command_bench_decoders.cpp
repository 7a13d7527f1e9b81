/// metatt bench decoders: training steps and generation at the shapes that decoders are compared
/// at.

#include <metatt/apps/bench_timing.hpp>
#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/transformer/causal_language_model.hpp>
#include <metatt/transformer/generation.hpp>
#include <metatt/transformer/optimiser.hpp>

#include <iomanip>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

/// A GPT-2 and a batch for it; GPT-2's dropout is off, as in the programs that are compared.
struct DecoderShape {
  const char* name;
  Index layers, width, heads, vocabulary, batch, tokens;
};

constexpr DecoderShape shapes[] = {{"character", 4, 128, 4, 65, 12, 64},
                                   {"small", 6, 384, 6, 50257, 8, 256},
                                   {"gpt2", 12, 768, 12, 50257, 4, 64}};

struct DecoderBenchOptions {
  std::vector<std::string> shapes{"character", "small", "gpt2"};
  Index samples = 5, new_tokens = 64;
  bool generate = false;
  std::string json;
};

ModelConfig config_of(const DecoderShape& shape, Index positions) {
  ModelConfig config = family_defaults(find_family("gpt2", "bench"));
  config.num_hidden_layers = shape.layers;
  config.hidden_size = shape.width;
  config.num_attention_heads = shape.heads;
  config.intermediate_size = 4 * shape.width;
  config.vocab_size = shape.vocabulary;
  config.max_position_embeddings = positions;
  config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
  config.embedding_dropout = 0;
  return config;
}

Tensor<float> initial(const std::string& name, const Shape& shape) {
  return initial_weight<float>(name, shape, 1);
}

/// A model of a shape with random weights, all of which are trained.
class DecoderBench {
 public:
  DecoderBench(const DecoderShape& shape, Index positions)
      : shape_(shape),
        backbone_(config_of(shape, positions), weights_, initial),
        model_(backbone_, initial) {}

  void prepare_training() {
    train_all(weights_, {backbone_.ids(), model_.head_ids()});
    optimiser_ = std::make_unique<AdamW<float>>(weights_, AdamWSettings{},
                                                LearningRateSchedule{0, Index{1} << 40});
    std::vector<EncodedText> texts(static_cast<std::size_t>(shape_.batch));
    std::vector<std::int32_t> labels;
    for (std::size_t b = 0; b < texts.size(); ++b) {
      for (Index t = 0; t < shape_.tokens; ++t) {
        texts[b].ids.push_back(static_cast<std::int32_t>(
            (static_cast<Index>(b) * 7919 + t * 104729) % shape_.vocabulary));
        labels.push_back(static_cast<std::int32_t>((t * 7919 + 13) % shape_.vocabulary));
      }
      texts[b].type_ids.assign(texts[b].ids.size(), 0);
    }
    batch_ = Batch::pack(texts);
    labels_ = to_indices(labels);
  }

  void step() {
    autodiff::Tape<float> tape(weights_.arena(), 1, 0);
    tape.backward(model_.loss(tape, batch_, {}, labels_, nullptr, {}));
    optimiser_->step();
  }
  void optimiser_step() {
    auto& arena = weights_.arena();
    for (Index i = 0; i < arena.count(); ++i) arena.gradient_target(i);
    optimiser_->step();
  }
  void generate_tokens(Index count) const {
    const std::vector<std::int32_t> prompt{1};
    SamplingSettings settings;
    settings.max_new_tokens = count;
    settings.temperature = 0;
    generate(model_, nullptr, prompt, {}, settings, [](std::int32_t) { return true; });
  }
  Index parameters() const { return weights_.total_count(); }
  /// Bytes of weights that every new token needs: all but the tables of tokens and positions, and
  /// the former once more as the head.
  double bytes_per_token() const {
    const auto tables = backbone_.config().max_position_embeddings * shape_.width;
    return static_cast<double>(parameters() - tables) * sizeof(float);
  }

 private:
  DecoderShape shape_;
  Weights<float> weights_;
  Backbone<float> backbone_;
  CausalLanguageModel<float> model_;
  std::unique_ptr<AdamW<float>> optimiser_;
  Batch batch_;
  autodiff::Indices labels_;
};

nlohmann::json bench_training(const DecoderShape& shape, Index samples,
                              LargeProduct<float>& product) {
  DecoderBench bench(shape, shape.tokens);
  bench.prepare_training();
  tn::backend::reset_peak();
  for (int i = 0; i < 2; ++i) bench.step();
  const double peak = static_cast<double>(tn::backend::memory_statistics().peak_bytes) / 1e6 -
                      LargeProduct<float>::megabytes;
  std::vector<double> times, rels, updates;
  for (Index i = 0; i < samples; ++i) {
    const double rate = product.rate();
    auto& work = tn::backend::queue().work;
    work = {};
    times.push_back(milliseconds_of([&] { bench.step(); }));
    const double floor = (static_cast<double>(work.gemm_flops) +
                          static_cast<double>(work.attention_flops) * 12.0 / 14.0) /
                         1e9;
    rels.push_back(floor / rate / (times.back() / 1e3));
    updates.push_back(milliseconds_of([&] { bench.optimiser_step(); }));
  }
  return {{"shape", shape.name},
          {"parameters", bench.parameters()},
          {"milliseconds", times},
          {"median_ms", median(times)},
          {"rel", median(rels)},
          {"tokens_per_second",
           static_cast<double>(shape.batch * shape.tokens) / (median(times) / 1e3)},
          {"adamw_ms", median(updates)},
          {"peak_mb", peak}};
}

/// In 10⁹ bytes a second, by x += y of large arrays: what a token's weights could at best come
/// with.
double memory_bandwidth() {
  constexpr Index count = Index{1} << 26;
  const Tensor<float> array = Tensor<float>::zeros({count});
  Tensor<float> other = Tensor<float>::zeros({count});
  auto& queue = tn::backend::queue();
  std::vector<double> times;
  for (int i = 0; i < 5; ++i)
    times.push_back(milliseconds_of(
        [&] { tn::backend::add_scaled(queue, count, 1.0f, array.data(), other.mutable_data()); }));
  return 3.0 * static_cast<double>(count) * sizeof(float) / 1e6 / *std::ranges::min_element(times);
}

nlohmann::json bench_generation(const DecoderShape& shape, Index samples, Index new_tokens) {
  const DecoderBench bench(shape, new_tokens + 1);
  bench.generate_tokens(new_tokens);
  std::vector<double> times, shares;
  for (Index i = 0; i < samples; ++i) {
    const double bandwidth = memory_bandwidth();
    times.push_back(milliseconds_of([&] { bench.generate_tokens(new_tokens); }) /
                    static_cast<double>(new_tokens));
    shares.push_back(bench.bytes_per_token() / 1e6 / bandwidth / times.back());
  }
  return {{"shape", shape.name},
          {"parameters", bench.parameters()},
          {"milliseconds_per_token", times},
          {"median_ms", median(times)},
          {"tokens_per_second", 1e3 / median(times)},
          {"share_of_bandwidth", median(shares)}};
}

void print_training(const nlohmann::json& line) {
  const auto number = [&](const char* key, int digits) {
    return fixed(line[key].get<double>(), digits);
  };
  std::cout << std::left << std::setw(11) << line["shape"].get<std::string>() << std::right
            << std::setw(12) << line["parameters"].get<Index>() << std::setw(10)
            << number("median_ms", 1) << std::setw(7) << number("rel", 3) << std::setw(10)
            << number("tokens_per_second", 0) << std::setw(10) << number("adamw_ms", 1)
            << std::setw(9) << number("peak_mb", 0) << std::endl;
}

void print_generation(const nlohmann::json& line) {
  std::cout << std::left << std::setw(11) << line["shape"].get<std::string>() << std::right
            << std::setw(12) << line["parameters"].get<Index>() << std::setw(10)
            << fixed(line["median_ms"].get<double>(), 2) << std::setw(10)
            << fixed(line["tokens_per_second"].get<double>(), 0) << std::setw(11)
            << fixed(line["share_of_bandwidth"].get<double>(), 3) << std::endl;
}

void bench_decoders(const DecoderBenchOptions& o) {
  BenchRecords records(o.json);
  print_backend();
  if (o.generate)
    std::cout << "generation of " << o.new_tokens << " tokens, batch 1\n"
              << "shape        parameters  ms/token  tokens/s  bandwidth\n";
  else
    std::cout << "training steps, float32, median of " << o.samples << "\n"
              << "shape        parameters        ms    rel  tokens/s  AdamW ms  peak MB\n";
  LargeProduct<float> product;
  for (const DecoderShape& shape : shapes) {
    if (std::ranges::find(o.shapes, shape.name) == o.shapes.end()) continue;
    auto line = o.generate ? bench_generation(shape, o.samples, o.new_tokens)
                           : bench_training(shape, o.samples, product);
    o.generate ? print_generation(line) : print_training(line);
    records.add(std::move(line));
  }
  records.commit();
}

}  // namespace

void add_bench_decoders(CLI::App& bench) {
  auto o = std::make_shared<DecoderBenchOptions>();
  CLI::App* command =
      add_command(bench, "decoders", "Training steps of decoders, or tokens that they generate");
  command->add_option("--shapes", o->shapes, "character, small, gpt2")
      ->delimiter(',')
      ->check(one_of({"character", "small", "gpt2"}));
  command->add_option("--samples", o->samples, "Steps measured")->transform(whole_number(1));
  command->add_flag("--generate", o->generate, "Measure generation, not training")
      ->check(true_or_false());
  command->add_option("--max_new_tokens", o->new_tokens, "Tokens to generate")
      ->transform(whole_number(1, 1024));
  command->add_option("--json", o->json, "The same as JSON");
  command->callback([o] { bench_decoders(*o); });
}

}  // namespace metatt::apps
