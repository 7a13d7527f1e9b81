/// metatt embed: sentence embeddings of texts.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/backbone_files.hpp>
#include <metatt/transformer/parallel.hpp>
#include <metatt/transformer/safetensors.hpp>
#include <metatt/transformer/sentence_embedding.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <optional>

namespace metatt::apps {

namespace {

using namespace transformer;

struct EmbedOptions {
  std::string model, input, output;
  std::vector<std::string> texts;
  Index batch_size = 32;
};

/// Where a text comes from, for errors about it: a line of the file or the number of a --text.
std::string place(const EmbedOptions& o, std::size_t number) {
  return (o.input.empty() ? std::string("--text ") : o.input + ":") + std::to_string(number + 1);
}

std::vector<std::string> read_texts(const EmbedOptions& o) {
  if (o.input.empty() && o.texts.empty())
    tn::fail("embed: expected --text TEXT or --input FILE, found neither");
  auto texts = o.input.empty() ? o.texts : tn::split_lines(tn::read_file(o.input));
  if (texts.empty()) tn::fail(o.input, ": expected one text a line, found none");
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (!is_valid_utf8(texts[i])) tn::fail(place(o, i), ": expected UTF-8, found other bytes");
  return texts;
}

/// {"text": …, "embedding": […]}, each number as short as reads back to the same float.
std::string json_line(const std::string& text, std::span<const float> embedding) {
  std::string line = "{\"text\":";
  line.append(nlohmann::json(text).dump()).append(",\"embedding\":");
  char separator = '[';
  for (const float x : embedding) {
    char digits[32];
    line += separator;
    line.append(digits, std::to_chars(digits, digits + sizeof digits, x).ptr);
    separator = ',';
  }
  return line + "]}\n";
}

/// Takes embeddings as they are made, to where --output_file says.
class EmbeddingWriter {
 public:
  explicit EmbeddingWriter(const std::string& output) : output_(output) {
    if (output.empty() || output.ends_with(".safetensors")) return;
    if (!output.ends_with(".jsonl"))
      tn::fail("--output_file: expected a name that ends in .jsonl or .safetensors, found \"",
               output, "\"");
    lines_.emplace(output);
  }

  void add(const std::string& text, std::span<const float> embedding) {
    ++rows_;
    if (output_.empty())
      std::cout << json_line(text, embedding);
    else if (lines_)
      lines_->write(json_line(text, embedding));
    else
      numbers_.insert(numbers_.end(), embedding.begin(), embedding.end());
  }

  void finish() {
    if (lines_) return lines_->commit();
    if (output_.empty()) return;
    const Shape shape{rows_, static_cast<Index>(numbers_.size()) / rows_};
    const NamedTensor<float> tensor{"embeddings",
                                    Tensor<float>::from(shape, std::span<const float>(numbers_))};
    write_safetensors<float>(output_, std::span(&tensor, 1), {{"format", "pt"}});
  }

 private:
  std::string output_;
  std::optional<tn::AtomicFile> lines_;
  Index rows_ = 0;
  std::vector<float> numbers_;
};

/// Embeds texts first … end − 1 as one batch; how many were cut.
Index embed_batch(const EmbedOptions& o, const SentenceEncoder<float>& encoder,
                  std::span<const std::string> texts, std::size_t first, std::size_t end,
                  EmbeddingWriter& writer) {
  Index cut = 0;
  std::vector<SentenceEncoder<float>::Sentence> sentences(end - first);
  for_each_in_parallel(end - first, [&](std::size_t i) {
    sentences[i] = encoder.encode(texts[first + i]);
    if (sentences[i].tokens.ids.empty()) tn::fail(place(o, first + i), ": the text has no token");
  });
  std::vector<const EncodedText*> batch;
  for (const auto& sentence : sentences) {
    cut += sentence.cut;
    batch.push_back(&sentence.tokens);
  }
  const std::vector<float> rows = encoder.embed(batch).to_vector();
  const auto width = static_cast<std::size_t>(encoder.width());
  for (std::size_t i = first; i < end; ++i) {
    const auto row = std::span(rows).subspan((i - first) * width, width);
    if (!std::ranges::all_of(row, [](float x) { return std::isfinite(x); }))
      tn::fail(place(o, i), ": the embedding is not finite: the weights are too large for float32");
    writer.add(texts[i], row);
  }
  return cut;
}

void run_embed(const EmbedOptions& o) {
  const std::vector<std::string> texts = read_texts(o);
  EmbeddingWriter writer(o.output);
  const SentenceEncoder<float> encoder(o.model);
  print_warning(vocabulary_warning(encoder.tokenizer(), encoder.config(),
                                   (encoder.settings().encoder / "config.json").string()));
  Progress progress(static_cast<std::int64_t>(texts.size()));
  Index cut = 0;
  for (std::size_t first = 0; first < texts.size();) {
    const std::size_t end = std::min(texts.size(), first + static_cast<std::size_t>(o.batch_size));
    cut += embed_batch(o, encoder, texts, first, end, writer);
    first = end;
    // Lines on standard output show how far it is, and would mix with a bar.
    if (!o.output.empty()) progress.update(static_cast<std::int64_t>(end), "texts");
  }
  writer.finish();
  progress.clear();
  std::cerr << "metatt: " << texts.size() << (texts.size() == 1 ? " text, " : " texts, ")
            << encoder.width() << " numbers each";
  if (cut > 0) std::cerr << ", " << cut << " cut to " << encoder.max_length() << " tokens";
  std::cerr << std::endl;
}

}  // namespace

void add_embed(CLI::App& program) {
  auto o = std::make_shared<EmbedOptions>();
  CLI::App* command = add_command(program, "embed", "Sentence embeddings of texts by an encoder");
  command
      ->add_option("--model", o->model,
                   "A folder in sentence-transformers' layout (modules.json says which pooling), "
                   "or an encoder's folder: then the mean of the hidden states of all tokens")
      ->check(not_empty("a folder"))
      ->required();
  CLI::Option* text = command->add_option("--text", o->texts, "A text; may be there several times")
                          ->allow_extra_args(false);
  command
      ->add_option("--input", o->input,
                   "A file of one text a line; an empty line is an empty text, so that line and "
                   "embedding have the same number")
      ->check(not_empty("a file"))
      ->excludes(text);
  command
      ->add_option("--output_file", o->output,
                   "NAME.jsonl: an object with text and embedding a line; NAME.safetensors: "
                   "the tensor \"embeddings\", texts × numbers; default: the lines to standard "
                   "output")
      ->check(in_a_folder());
  command->add_option("--per_device_eval_batch_size", o->batch_size, "Texts a batch")
      ->transform(whole_number(1));
  command->callback([o] { run_embed(*o); });
}

}  // namespace metatt::apps
