/// metatt embed, choose, pretrain and generate.

#include "../fixture_testing.hpp"
#include "program_testing.hpp"

#include <metatt/transformer/safetensors.hpp>

using namespace metatt;
using namespace metatt::testing;
using nlohmann::json;

namespace {

/// One JSON value a line.
std::vector<json> json_lines(const std::string& text) {
  std::vector<json> values;
  for (const std::string& line : tn::split_lines(text))
    values.push_back(transformer::parse_json(line, "line " + std::to_string(values.size() + 1)));
  return values;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(language_program)

BOOST_AUTO_TEST_CASE(embeddings_go_to_standard_output_and_to_files) {
  const FixtureFolder model("sentences", "bert_tanh");
  const json& golden = model.golden;
  const auto texts = golden["texts"].get<std::vector<std::string>>();
  std::string lines;
  for (const std::string& text : texts) lines += text + "\n";
  const std::string embed = "embed --model " + model.path().string() + " ";
  const std::string input = "--input " + model.write("texts.txt", lines).string() + " ";
  const Run shown = run(embed + input, "2>/dev/null");
  BOOST_TEST(shown.exit_code == 0);
  const auto found = json_lines(shown.output);
  BOOST_TEST_REQUIRE(found.size() == texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    BOOST_TEST(found[i]["text"].get<std::string>() == texts[i]);
    const auto embedding = found[i]["embedding"].get<std::vector<double>>();
    const auto expected = golden["embeddings"][i].get<std::vector<double>>();
    BOOST_TEST_REQUIRE(embedding.size() == expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k)
      BOOST_TEST(std::abs(embedding[k] - expected[k]) < 1e-5);
  }
  const std::string to = "--output_file " + (model / "out").string();
  const Run written = run(embed + input + to + ".jsonl");
  BOOST_TEST(written.has("metatt: 7 texts, 8 numbers each, 1 cut to 8 tokens\n"));
  BOOST_TEST(tn::read_file(model / "out.jsonl") == shown.output);
  BOOST_TEST(run(embed + input + to + ".safetensors").exit_code == 0);
  const transformer::SafetensorsFile file(model / "out.safetensors");
  const auto numbers = file.read<float>("embeddings", {7, 8}).to_vector();
  for (std::size_t i = 0; i < numbers.size(); ++i)
    BOOST_TEST(numbers[i] == found[i / 8]["embedding"][i % 8].get<float>());

  const Run typed = run(embed + "--text 'a b' --text ab --per_device_eval_batch_size 1", "2>&1");
  BOOST_TEST(typed.lines() == 3);
  BOOST_TEST(typed.has("{\"text\":\"a b\",\"embedding\":["));
  BOOST_TEST(run(embed + "--text a", "2>&1 > /dev/full").exit_code == 2);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_embedded_is_refused_and_nothing_is_half_written) {
  const FixtureFolder model("sentences", "bert_tanh");
  const std::string embed = "embed --model " + model.path().string() + " ";
  const std::string output = (model / "out.jsonl").string();
  const std::string broken = model.write("broken.txt", "a\nb\nc\xE9 d\n").string();
  check_refused(
      embed + "--per_device_eval_batch_size 1 --input " + broken + " --output_file " + output,
      broken + ":3: expected UTF-8");
  BOOST_TEST(!std::filesystem::exists(output));
  BOOST_TEST(!std::filesystem::exists(output + ".partial"));
  {
    const FileSizeLimit full_disk(100);
    check_refused(embed + "--text a --text b --output_file " + output, "out.jsonl");
  }
  BOOST_TEST(!std::filesystem::exists(output));
  BOOST_TEST(!std::filesystem::exists(output + ".partial"));
  check_refused(embed + "--text a --text 'b\xE9'", "--text 2: expected UTF-8");
  check_refused(embed + "--input " + model.write("none.txt", "").string(), "none.txt: expected");
  check_refused(embed, "--text TEXT or --input FILE");
  check_refused(embed + "--text a --input " + broken, "--text excludes --input");
  check_refused(embed + "--text a --output_file x.csv", "--output_file: expected a name");
  check_refused("embed --text a --model " + (fixtures / "families/gpt2").string(),
                "expected an encoder, found the decoder \"gpt2\"");
}

BOOST_AUTO_TEST_CASE(answers_are_chosen_and_counted) {
  const FixtureFolder model("choices", "llama");
  const std::string fill =
      "Please choose the correct answer to fill in the blank to complete the given sentence: ";
  json rows = json::array();
  for (const char* sentence : {"a _ cd", "b _ e f", "a b c d e a b c d e a b c d e a b c d e _ c"})
    rows.push_back(
        {{"instruction",
          fill + sentence + "\n\nOption1: b Option2: d e Answer format: option1/option2"},
         {"input", ""},
         {"output", "the correct answer is option2"},
         {"answer", "option2"}});
  transformer::write_json(model / "test.json", rows);
  const std::string choose = "choose --data " + model.path().string() + " --model ";
  const std::string decoder = model.path().string() + " ";
  const Run result = run(choose + decoder + "--output_file " + (model / "out.json").string() +
                         " --predictions_file " + (model / "out.jsonl").string());
  BOOST_REQUIRE_MESSAGE(result.exit_code == 0, result.output);
  const json found = read_json(model / "out.json");
  BOOST_TEST(found["questions"] == 3);
  BOOST_TEST(found["cut_questions"] == 1);
  const auto lines = json_lines(tn::read_file(model / "out.jsonl"));
  BOOST_TEST_REQUIRE(lines.size() == 3U);
  double right = 0, right_norm = 0;
  const auto largest = [](const json& numbers) { return numbers[0] >= numbers[1] ? 0 : 1; };
  for (const json& line : lines) {
    BOOST_TEST(line["correct"] == 1);
    BOOST_TEST(line["prediction"] == largest(line["log_probabilities"]));
    BOOST_TEST(line["prediction_norm"] == largest(line["log_probabilities_per_byte"]));
    right += line["prediction"] == 1;
    right_norm += line["prediction_norm"] == 1;
  }
  BOOST_TEST(found["accuracy"].get<double>() == right / 3);
  BOOST_TEST(found["accuracy_norm"].get<double>() == right_norm / 3);
  BOOST_TEST(result.has("result: 3 questions, accuracy "));
  BOOST_TEST(result.has(", prompts of 1 cut to the model's positions\n"));
  BOOST_TEST(run(choose + decoder + "--max_samples 2 --per_device_eval_batch_size 1")
                 .has("result: 2 questions, "));

  check_refused(choose + decoder + "--split train", "train.json");
  check_refused(choose + (fixtures / "families/roberta").string(),
                "expected a family that predicts next tokens");
  rows[1]["answer"] = "option3";
  transformer::write_json(model / "test.json", rows);
  check_refused(choose + decoder, "test.json:8: expected \"answer\" to be one of option1, option2");
}

BOOST_AUTO_TEST_CASE(encoders_of_all_families_are_pretrained_and_fine_tuned) {
  const TemporaryFolder folder, byte_pairs;
  std::string lines;
  for (int i = 0; i < 30; ++i) lines += i % 2 ? "a bad ace\n" : "ab\tca bad\n";
  const std::string corpus = folder.write("corpus.txt", lines).string();
  // The tokenizer of RoBERTa's fixture under a mask.
  auto file = read_json(fixtures / "sentences/roberta/0_Transformer/tokenizer.json");
  auto mask = file["added_tokens"].back();
  mask["content"] = "<mask>";
  mask["id"] = 17;
  file["added_tokens"].push_back(mask);
  transformer::write_json(byte_pairs / "tokenizer.json", file);
  const std::string word_pieces = (fixtures / "sentences/distilbert").string();
  const auto pretrain = [&](const std::string& tokenizer, const std::string& output) {
    return "pretrain --corpus " + corpus + " --tokenizer " + tokenizer + " --output_dir " + output +
           " --max_steps 2 ";
  };
  const std::string small =
      "--hidden_size 8 --num_hidden_layers 1 --num_attention_heads 2 --intermediate_size 8 ";
  const std::string train = folder.write("CoLA/train.tsv", "x\t1\t\tbad\nx\t0\t*\tace\n").string();
  folder.write("CoLA/dev.tsv", "x\t1\t\tab\nx\t0\t*\tca\n");
  for (const auto& [family, tokenizer, positions] :
       {std::tuple{"bert", word_pieces, 12}, std::tuple{"distilbert", word_pieces, 12},
        std::tuple{"roberta", byte_pairs.path().string(), 14}}) {
    const std::string output = (folder / family).string();
    const Run trained = run(pretrain(tokenizer, output) + small + "--model_type " + family +
                            " --max_seq_length 12 --validation_split_percentage 20");
    BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.output);
    BOOST_TEST(trained.has("corpus: 24 lines, 6 to validate"));
    BOOST_TEST(trained.has(", validation loss "));
    const json config = read_json(folder / family / "config.json");
    BOOST_TEST(config["model_type"] == family);
    BOOST_TEST(config["max_position_embeddings"] == positions);
    const Run tuned =
        run("finetune --model " + output + " --task cola --data " + folder.path().string() +
            " --adapter lora --num_train_epochs 1" + " --output_dir " + output + "-cola");
    BOOST_CHECK_MESSAGE(tuned.exit_code == 0, tuned.output);
    const std::string eval = "eval --adapter " + output + "-cola --data " + folder.path().string();
    BOOST_TEST(!run(eval).has("warning"));
    folder.write("SST-2/dev.tsv", "sentence\tlabel\nab\t1\nca\t0\n");
    BOOST_TEST(run(eval + " --task sst2").has("was trained for cola"));
    check_refused(eval + " --output_file " + output + "/none/x.json", "a folder that is there");
    BOOST_TEST(read_json(folder / family / "tokenizer_config.json").contains("tokenizer_class"));
    // On with the shape and the tokenizer of a model that is there.
    const Run again =
        run(pretrain(output, output + "-again") + "--config_name " + output + "/config.json");
    BOOST_CHECK_MESSAGE(again.exit_code == 0, again.output);
    json same = read_json(folder / (family + std::string("-again")) / "config.json");
    BOOST_TEST(same == config);
  }
  const std::string never = (folder / "never").string(),
                    config = "--config_name " + (folder / "bert/config.json").string();
  check_refused(pretrain(word_pieces, never) + config + " --hidden_size 8", "--config_name");
  check_refused(pretrain(word_pieces, never) + config + " --max_seq_length 13", "12 positions");
  check_refused(pretrain(word_pieces, never) + config + " --objective causal",
                "config.json: expected a decoder for --objective causal, found \"bert\"");
  check_refused(pretrain(word_pieces, never) + "--model_type gpt2",
                "--model_type: expected an encoder for --objective masked, found \"gpt2\"");
  check_refused(pretrain("bytes", never), "bytes have no mask");
  check_refused(pretrain((fixtures / "sentences/roberta/0_Transformer").string(), never),
                "expected an entry [MASK] or <mask>");
  BOOST_TEST(!std::filesystem::exists(never));
}

BOOST_AUTO_TEST_CASE(a_model_goes_on_where_it_stands) {
  const TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 60; ++i) lines += i % 2 == 0 ? "a b c d a b\n" : "b c d a b c\n";
  const std::string corpus = " --corpus " + folder.write("lines.txt", lines).string();
  folder.write("tokenizer/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\n");
  const std::string common = " --threads 1 --max_steps 30 --learning_rate 1e-2" + corpus;
  const auto name = [&](const char* part) { return (folder / part).string(); };
  const std::string tokenizer = " --tokenizer " + name("tokenizer");
  const std::string shape =
      " --hidden_size 16 --num_hidden_layers 1 --num_attention_heads 2 --intermediate_size 32";
  const auto loss = [&](const std::string& model) {
    const std::string file = name("loss.json");
    const Run done = run("eval --threads 1 --mlm_probability 0.4 --model " + model +
                         " --validation_file " + name("lines.txt") + " --output_file " + file);
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.output);
    return eval_loss(file);
  };
  BOOST_REQUIRE(
      run("pretrain" + common + tokenizer + shape + " --output_dir " + name("first")).exit_code ==
      0);
  const std::string on = "pretrain --model " + name("first") + common;
  const Run more = run(on + " --output_dir " + name("more"));
  BOOST_REQUIRE_MESSAGE(more.exit_code == 0, more.output);
  BOOST_TEST(loss(name("more")) < loss(name("first")));
  // With a rate too small to change anything it is the model that it was.
  const Run same = run("pretrain --threads 1 --max_steps 1 --warmup_ratio 0 --learning_rate 1e-30" +
                       corpus + " --model " + name("first") + " --output_dir " + name("same"));
  BOOST_REQUIRE_MESSAGE(same.exit_code == 0, same.output);
  BOOST_TEST(loss(name("same")) == loss(name("first")));
  // The best of several evaluations stays.
  const Run best = run("pretrain --threads 1 --max_steps 30 --learning_rate 3 --model " +
                       name("first") + corpus +
                       " --validation_split_percentage 20 --eval_steps 1 --load_best_model_at_end "
                       "--early_stopping_patience 3 --output_dir " +
                       name("best"));
  BOOST_TEST(best.has("stopped early: 3 evaluations without a better loss"));

  check_refused(on + shape + " --output_dir " + name("none"), "--model excludes");
  check_refused("pretrain" + common + " --output_dir " + name("none"), "expected --tokenizer");
  check_refused("pretrain" + common + " --load_best_model_at_end --model " + name("first") +
                    " --output_dir " + name("none"),
                "without --validation_split_percentage");
  check_refused(on + " --objective causal --output_dir " + name("none"), "expected a decoder");
  const FixtureFolder headless("sentences", "bert_tanh");
  check_refused(
      "eval --model " + headless.path().string() + " --validation_file " + name("lines.txt"),
      "cls.predictions.transform.dense.weight");
}

BOOST_AUTO_TEST_CASE(a_decoder_is_pretrained_and_tells_texts) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 200; ++i) text += "the cat sat. ";
  const std::string corpus = folder.write("corpus.txt", text).string();
  const std::string model = (folder / "model").string();
  const std::string small =
      " --hidden_size 16 --num_hidden_layers 1 --num_attention_heads 2"
      " --intermediate_size 32 --max_seq_length 16";
  const std::string pretrain =
      "pretrain --objective causal --corpus " + corpus + small + " --output_dir ";
  const Run trained = run(pretrain + model + " --tokenizer bytes --max_steps 6 --eval_steps 3");
  BOOST_REQUIRE_MESSAGE(trained.exit_code == 0, trained.output);
  BOOST_TEST(trained.has("corpus: 2340 tokens, 260 to validate"));
  BOOST_TEST(trained.has("step 3: validation loss 5."));
  BOOST_TEST(trained.has(", validation loss 5."));

  const std::string generate = "generate --model " + model + " --prompt 'the c' ";
  const Run told = run(generate + "--max_new_tokens 5 --temperature 0");
  BOOST_TEST(told.exit_code == 0);
  BOOST_TEST(told.has("metatt: 5 tokens"));
  BOOST_TEST(run(generate + "--max_new_tokens 100").has("all positions of the model are used"));
  const auto text_of_seed = [&](const char* seed) {
    const std::string output = run(generate + "--seed " + seed).output;
    return output.substr(0, output.find("metatt: "));
  };
  BOOST_TEST(text_of_seed("7") == text_of_seed("7"));
  BOOST_TEST(text_of_seed("7") != text_of_seed("8"));
  BOOST_TEST(run("generate --model " + model).exit_code == 0);  // from the token of the beginning
  // On with its tokenizer, as a Llama with shared keys.
  const Run again = run(pretrain + (folder / "llama").string() + " --tokenizer " + model +
                        " --model_type llama --num_key_value_heads 1 --max_steps 2");
  BOOST_REQUIRE_MESSAGE(again.exit_code == 0, again.output);
  BOOST_TEST(run("generate --model " + (folder / "llama").string() + " --prompt a").exit_code == 0);

  // Most ids of this model have no entry: none of them is taken.
  const std::string large = (folder / "large").string();
  std::string config = metatt::tn::read_file(model + "/config.json");
  config.replace(config.find(": 257"), 5, ": 5000");  // vocab_size
  const Run larger = run("pretrain --objective causal --max_steps 1 --tokenizer bytes --corpus " +
                         corpus + " --output_dir " + large + " --config_name " +
                         folder.write("large.json", config).string());
  BOOST_REQUIRE_MESSAGE(larger.exit_code == 0, larger.output);
  BOOST_TEST(larger.has("257 entries, but "));
  BOOST_TEST(larger.has("large.json says vocab_size 5000"));
  const Run warned = run("generate --model " + large + " --prompt a --seed 1");
  BOOST_TEST(warned.exit_code == 0);
  BOOST_TEST(warned.has("warning: " + large + "/tokenizer.json: 257 entries, but "));
  BOOST_TEST(!told.has("warning: " + model));

  check_refused(pretrain + model + "2", "expected --tokenizer for a new model");
  check_refused(pretrain + model + "2 --tokenizer bytes --mlm_probability 0.2",
                "--mlm_probability: has no meaning for --objective causal");
  check_refused(pretrain + model + "2 --tokenizer bytes --model_type bert", "--model_type");
  check_refused("pretrain --corpus " + corpus + " --tokenizer t --eval_steps 3 --output_dir o",
                "--eval_steps: has no meaning without --validation_split_percentage");
  check_refused("pretrain --objective causal --tokenizer bytes --output_dir " + model +
                    "2 --corpus " + folder.write("short.txt", "abc").string(),
                "at least 65 tokens");
  check_refused("generate --model " + model + " --prompt 0123456789abcdefg", "16 positions");
  check_refused(pretrain + model + "2 --tokenizer bytes --num_key_value_heads 1",
                "--num_key_value_heads: the family \"gpt2\"");
  check_refused(pretrain + model + "2 --tokenizer bytes --model_type llama --dropout 0.1",
                "--dropout: the family \"llama\"");
  check_refused("pretrain --objective causal --tokenizer bytes --output_dir " + model +
                    "2 --corpus " + folder.write("latin.txt", "caf\xE9 au lait").string(),
                "expected UTF-8, found something else at byte 3");
  const TemporaryFolder encoder;
  encoder.write("config.json", R"({"model_type": "bert", "vocab_size": 9, "hidden_size": 8,
      "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
      "max_position_embeddings": 8, "type_vocab_size": 2})");
  check_refused("generate --prompt a --model " + encoder.path().string(),
                "\"model_type\": expected a family that predicts next tokens");
  check_refused(generate + "--top_p 2", "--top_p");
  check_refused(generate + "--prompt_file x", "--prompt");
  check_refused("generate --model " + folder.path().string() + " --prompt a", "config.json");
}

BOOST_AUTO_TEST_SUITE_END()
