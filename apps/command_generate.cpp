/// metatt generate: text from a causal language model, as it comes.

#include <metatt/apps/commands.hpp>
#include <metatt/apps/console.hpp>
#include <metatt/apps/trained_decoder.hpp>
#include <metatt/apps/validators.hpp>
#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/generation.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>

#include <chrono>
#include <iostream>

namespace metatt::apps {

namespace {

using namespace transformer;

struct GenerateOptions {
  DecoderOptions decoder;
  std::string prompt, prompt_file;
  SamplingSettings sampling;
};

/// Turns tokens into text as they come. A character may need several tokens, and how a token reads
/// may depend on the one before, so text is only handed on behind a point where both are settled.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, std::vector<TokenId> prompt)
      : tokenizer_(tokenizer), ids_(std::move(prompt)), settled_(ids_.size()) {}

  /// The text that the token completes; may be empty.
  std::string add(TokenId id) {
    ids_.push_back(id);
    const std::string before = text(settled_), now = text(ids_.size());
    const std::string unfinished = "\xEF\xBF\xBD";  // U+FFFD: the rest of a character is to come
    if (now.size() <= before.size() || now.ends_with(unfinished)) return "";
    return settle(before, now);
  }
  /// What has not been handed on.
  std::string rest() { return settle(text(settled_), text(ids_.size())); }

 private:
  std::string text(std::size_t end) const {
    return tokenizer_.decode(std::span(ids_).subspan(begin_, end - begin_));
  }
  std::string settle(const std::string& before, const std::string& now) {
    begin_ = settled_;
    settled_ = ids_.size();
    return now.size() > before.size() ? now.substr(before.size()) : "";
  }

  const Tokenizer& tokenizer_;
  std::vector<TokenId> ids_;
  std::size_t begin_ = 0, settled_;
};

const char* reason(GenerationEnd end) {
  if (end == GenerationEnd::end_token) return "the model ended the text";
  if (end == GenerationEnd::stopped) return "the text could not be written";
  return end == GenerationEnd::positions ? "all positions of the model are used"
                                         : "max_new_tokens reached";
}

void run_generate(const GenerateOptions& o) {
  check_sampling(o.sampling);
  const auto decoder = read_trained_decoder(o.decoder);
  const CausalModelFolder<float>& folder = *decoder;
  const std::string prompt = o.prompt_file.empty() ? o.prompt : tn::read_file(o.prompt_file);
  if (!is_valid_utf8(prompt))
    print_warning("the prompt is no UTF-8: the model sees U+FFFD where it is broken");
  const auto ids = encode_prompt(folder.tokenizer(), folder.config(), prompt);
  std::vector<TokenId> ends;
  for (const std::int64_t id : folder.config().eos_token_id)
    ends.push_back(static_cast<TokenId>(id));
  SamplingSettings sampling = o.sampling;
  sampling.vocabulary = folder.tokenizer().vocabulary().size();
  TextStream text(folder.tokenizer(), ids);
  Index tokens = 0;
  const auto begin = std::chrono::steady_clock::now();
  const GenerationEnd end = generate(
      folder.model(), folder.adapter(), ids, ends, sampling,
      [&](TokenId token) {
        ++tokens;
        std::cout << text.add(token) << std::flush;
        return static_cast<bool>(std::cout);
      },
      folder.task());
  std::cout << text.rest() << std::endl;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cerr << "metatt: " << tokens << " tokens, "
            << fixed(static_cast<double>(tokens) / seconds, 1) << " tokens/s, " << reason(end)
            << std::endl;
}

}  // namespace

void add_generate(CLI::App& program) {
  auto o = std::make_shared<GenerateOptions>();
  CLI::App* command =
      add_command(program, "generate", "Continue a text with a causal language model");
  add_decoder_options(*command, o->decoder);
  CLI::Option* prompt = command->add_option("--prompt", o->prompt, "The text to continue");
  command->add_option("--prompt_file", o->prompt_file, "A file with that text")
      ->check(not_empty("a file"))
      ->excludes(prompt);
  command
      ->add_option("--max_new_tokens", o->sampling.max_new_tokens,
                   "At most so many tokens; the model's positions may end the text sooner")
      ->transform(whole_number(1));
  command
      ->add_option("--temperature", o->sampling.temperature,
                   "Divides the logits; 0: always the likeliest token")
      ->check(number_between(0, 1e6));
  command->add_option("--top_k", o->sampling.top_k, "Only the likeliest so many; 0: all")
      ->transform(whole_number(0));
  command
      ->add_option("--top_p", o->sampling.top_p,
                   "Only the likeliest that together have this probability")
      ->check(number_between(1e-9, 1));
  command->add_option("--seed", o->sampling.seed, "The same seed gives the same text")
      ->transform(seed_number());
  command->callback([o] { run_generate(*o); });
}

}  // namespace metatt::apps
