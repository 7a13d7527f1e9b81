#include <metatt/transformer/multiple_choice.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/parallel.hpp>
#include <metatt/transformer/tokenizers/unicode.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace metatt::transformer {

namespace {

using nlohmann::json;

/// How an instruction begins, and what its answers are called before their texts and in the list
/// of names at its end; nothing for true and false.
struct InstructionForm {
  std::string_view opening, label, name;
};
constexpr InstructionForm forms[] = {
    {"Please choose the correct answer to the question: ", "Answer", "answer"},
    {"Please choose the correct solution to the question: ", "Solution", "solution"},
    {"Please choose the correct answer to fill in the blank to complete the given sentence: ",
     "Option", "option"},
    {"Please answer the following question with true or false, question: ", "", ""},
};

/// Lines of the objects of a JSON array, which has been parsed before.
std::vector<std::size_t> object_lines(std::string_view text) {
  std::vector<std::size_t> lines;
  std::size_t line = 1;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '{' && depth == 1) lines.push_back(line);
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
  }
  return lines;
}

/// Takes one instruction apart.
class Instruction {
 public:
  Instruction(std::string_view text, std::string source) : source_(std::move(source)) {
    for (const InstructionForm& form : forms)
      if (text.starts_with(form.opening)) form_ = &form;
    if (!form_)
      refuse("an instruction of one of the commonsense sets", std::string(text.substr(0, 80)));
    constexpr std::string_view mark = "Answer format: ";
    const std::size_t end = text.rfind(mark);
    if (end == std::string_view::npos)
      refuse("\"Answer format: \" at the end", std::string(text.substr(0, 80)));
    names_ = tn::split_at(trimmed(text.substr(end + mark.size())), '/');
    body_ = trimmed(text.substr(0, end).substr(form_->opening.size()));
  }

  /// The number of an answer's name, such as "answer3" or "true".
  std::size_t answer(const std::string& name) const {
    const auto place = std::ranges::find(names_, name);
    if (place == names_.end()) refuse("\"answer\" to be one of " + tn::joined(names_), name);
    return static_cast<std::size_t>(place - names_.begin());
  }

  std::vector<Choice> choices() const {
    if (form_->label.empty()) return yes_and_no();
    std::vector<std::string_view> answers;
    std::string_view rest = body_;
    const std::string_view question = take(rest, 1);
    for (std::size_t i = 1; i <= names_.size(); ++i) {
      if (names_[i - 1] != std::string(form_->name) + std::to_string(i))
        refuse("names " + std::string(form_->name) + "1, 2, … behind \"Answer format: \"",
               names_[i - 1]);
      answers.push_back(i < names_.size() ? take(rest, i + 1) : trimmed(rest));
    }
    if (answers.back().empty() || rest.find(mark(names_.size() + 1)) != std::string_view::npos)
      refuse("as many answers as names behind \"Answer format: \"", std::string(rest));
    if (form_->label == "Option") return in_the_blank(question, answers);
    std::vector<Choice> result;
    for (const std::string_view text : answers)
      result.push_back({prompt(question), std::string(text)});
    return result;
  }

 private:
  [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
    tn::fail(source_, ": expected ", expected, ", found \"", found, "\"");
  }

  std::string prompt(std::string_view question) const {
    return std::string("Question: ").append(question).append("\nAnswer:");
  }

  /// What stands before the text of an answer, counted from 1.
  std::string mark(std::size_t number) const {
    return std::string(form_->label) + std::to_string(number) + ": ";
  }

  /// What stands before the mark of answer `number`, which `rest` then begins behind.
  std::string_view take(std::string_view& rest, std::size_t number) const {
    const std::string before = mark(number);
    const std::size_t end = rest.find(before);
    const std::string_view text = trimmed(rest.substr(0, end));
    if (end == std::string_view::npos || text.empty())
      refuse("a text and \"" + before + "\" behind it", std::string(rest.substr(0, 80)));
    rest.remove_prefix(end + before.size());
    return text;
  }

  std::vector<Choice> yes_and_no() const {
    if (names_ != std::vector<std::string>{"true", "false"} || body_.empty())
      refuse("a question to be answered by true/false", std::string(body_.substr(0, 80)));
    return {{prompt(body_), "yes"}, {prompt(body_), "no"}};
  }

  std::vector<Choice> in_the_blank(std::string_view sentence,
                                   const std::vector<std::string_view>& options) const {
    const std::size_t blank = sentence.find('_');
    const std::string_view rest =
        blank == std::string_view::npos ? "" : trimmed(sentence.substr(blank + 1));
    if (rest.empty() || rest.find('_') != std::string_view::npos)
      refuse("a sentence with one _ and something behind it", std::string(sentence));
    std::vector<Choice> result;
    for (const std::string_view option : options)
      result.push_back({std::string(sentence.substr(0, blank)).append(option), std::string(rest)});
    return result;
  }

  std::string source_;
  const InstructionForm* form_ = nullptr;
  std::vector<std::string> names_;  ///< of the answers
  std::string_view body_;
};

}  // namespace

std::vector<ChoiceQuestion> read_choice_questions(const std::filesystem::path& folder,
                                                  const std::string& split) {
  const std::string file = (folder / (split + ".json")).string();
  const std::string text = tn::read_file(file);
  const json rows = parse_json(text, file);
  if (!rows.is_array() || rows.empty()) tn::fail(file, ": expected an array of questions");
  const std::vector<std::size_t> lines = object_lines(text);
  std::vector<ChoiceQuestion> questions;
  for (const json& row : rows) {
    if (!row.is_object())
      tn::fail(file, ": expected objects, found ", row.dump(), " as entry ", questions.size() + 1);
    const std::string source = file + ":" + std::to_string(lines[questions.size()]);
    if (const auto input = required<std::string>(row, "input", source); !input.empty())
      tn::fail(source, ": field \"input\": expected an empty text, found \"", input, "\"");
    const auto text_of_row = required<std::string>(row, "instruction", source);
    const Instruction instruction(text_of_row, source);
    questions.push_back({instruction.choices(),
                         instruction.answer(required<std::string>(row, "answer", source)), source});
  }
  return questions;
}

std::size_t ChoiceScores::likeliest() const {
  return static_cast<std::size_t>(std::ranges::max_element(log_probabilities) -
                                  log_probabilities.begin());
}

std::size_t ChoiceScores::likeliest_per_byte() const {
  return static_cast<std::size_t>(std::ranges::max_element(per_byte) - per_byte.begin());
}

namespace {

/// What the model reads, without the last token, and the tokens that it has to foresee at the end.
struct EncodedChoice {
  EncodedText text;
  std::vector<TokenId> answer;
  bool cut = false;
};

template <class T>
EncodedChoice encode_choice(const CausalModelFolder<T>& folder, const Choice& choice,
                            const std::string& source) {
  const std::string_view prompt = choice.prompt;
  const std::string_view begin = prompt.substr(0, white_space_before(prompt, 0, prompt.size()));
  const std::vector<TokenId> before = encode_prompt(folder.tokenizer(), folder.config(), begin);
  std::vector<TokenId> all =
      encode_prompt(folder.tokenizer(), folder.config(), choice.prompt + " " + choice.answer);
  if (begin.empty() || before.empty() || all.size() <= before.size())
    tn::fail(source, ": expected a prompt and an answer with tokens of its own, found \"",
             choice.prompt, "\" and \"", choice.answer, "\"");
  const auto tokens = static_cast<std::ptrdiff_t>(before.size());
  EncodedChoice result{{}, {all.begin() + tokens, all.end()}};
  const auto positions = static_cast<std::size_t>(folder.config().longest_sequence());
  if (result.answer.size() > positions)
    tn::fail(source, ": an answer of ", result.answer.size(), " tokens, but the model has only ",
             positions, " positions");
  all.pop_back();
  result.cut = all.size() > positions;
  if (result.cut) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(positions));
  result.text = {all, std::vector<TokenId>(all.size(), 0)};
  return result;
}

/// The log-probabilities of the answers, each the sum over its tokens.
template <class T>
std::vector<double> answer_log_probabilities(const CausalModelFolder<T>& folder,
                                             std::span<const EncodedChoice> choices) {
  std::vector<const EncodedText*> texts;
  std::vector<std::int32_t> rows, labels;
  std::size_t end = 0;
  for (const EncodedChoice& choice : choices) {
    texts.push_back(&choice.text);
    end += choice.text.ids.size();
    for (std::size_t row = end - choice.answer.size(); row < end; ++row)
      rows.push_back(static_cast<std::int32_t>(row));
    labels.insert(labels.end(), choice.answer.begin(), choice.answer.end());
  }
  Batch batch = Batch::pack(texts);
  batch.task = folder.task();
  const std::vector<T> each =
      folder.model()
          .log_probabilities(batch, to_indices(rows), to_indices(labels), folder.adapter())
          .to_vector();
  std::vector<double> sums;
  auto next = each.begin();
  for (const EncodedChoice& choice : choices) {
    sums.push_back(0);
    for (std::size_t i = 0; i < choice.answer.size(); ++i)
      sums.back() += static_cast<double>(*next++);
  }
  return sums;
}

}  // namespace

template <class T>
std::vector<ChoiceScores> score_choices(const CausalModelFolder<T>& folder,
                                        std::span<const ChoiceQuestion> questions) {
  std::vector<std::pair<const ChoiceQuestion*, const Choice*>> choices;
  for (const ChoiceQuestion& question : questions)
    for (const Choice& choice : question.choices) choices.emplace_back(&question, &choice);
  std::vector<EncodedChoice> encoded(choices.size());
  for_each_in_parallel(choices.size(), [&](std::size_t i) {
    encoded[i] = encode_choice(folder, *choices[i].second, choices[i].first->source);
  });
  if (encoded.empty()) return std::vector<ChoiceScores>(questions.size());
  const std::vector<double> sums = answer_log_probabilities<T>(folder, encoded);
  std::vector<ChoiceScores> all;
  std::size_t next = 0;
  for (const ChoiceQuestion& question : questions) {
    ChoiceScores scores;
    for (const Choice& choice : question.choices) {
      const double sum = sums[next];
      if (!std::isfinite(sum))
        tn::fail(question.source, ": the log-probability of answer ",
                 scores.log_probabilities.size() + 1, " is ", sum);
      scores.log_probabilities.push_back(sum);
      scores.per_byte.push_back(sum / static_cast<double>(choice.answer.size()));
      scores.cut = scores.cut || encoded[next].cut;
      ++next;
    }
    all.push_back(std::move(scores));
  }
  return all;
}

ChoiceAccuracy choice_accuracy(std::span<const ChoiceQuestion> questions,
                               std::span<const ChoiceScores> scores) {
  if (questions.empty() || questions.size() != scores.size())
    tn::fail("choice_accuracy: expected questions and the scores of each, found ", questions.size(),
             " and ", scores.size());
  std::size_t right = 0, right_per_byte = 0;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    right += scores[i].likeliest() == questions[i].correct;
    right_per_byte += scores[i].likeliest_per_byte() == questions[i].correct;
  }
  const auto all = static_cast<double>(questions.size());
  return {static_cast<double>(right) / all, static_cast<double>(right_per_byte) / all};
}

template std::vector<ChoiceScores> score_choices(const CausalModelFolder<float>&,
                                                 std::span<const ChoiceQuestion>);
template std::vector<ChoiceScores> score_choices(const CausalModelFolder<double>&,
                                                 std::span<const ChoiceQuestion>);

}  // namespace metatt::transformer
