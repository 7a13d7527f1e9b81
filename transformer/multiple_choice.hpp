#pragma once
/// Multiple choice by likelihood: the answer that a decoder finds likeliest behind the question, as
/// EleutherAI's lm-evaluation-harness scores it.

#include <metatt/transformer/causal_model_files.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace metatt::transformer {

/// An answer, and the text that it follows behind a blank: for most sets the question, for
/// WinoGrande the sentence up to the blank that is filled in.
struct Choice {
  std::string prompt, answer;
};

struct ChoiceQuestion {
  std::vector<Choice> choices;
  std::size_t correct = 0;
  std::string source;  ///< file and line, for errors
};

/// Reads split + ".json" of a folder: BoolQ, PIQA, Social IQa, WinoGrande, ARC or OpenBookQA in the
/// instruction form of the LLM-Adapters benchmark (Hu and others, arXiv:2304.01933), an array of
/// objects whose "instruction" has question and answers and whose "answer" names the correct one.
/// They are taken apart again:
///   Question: QUESTION (new line) Answer: ANSWER
/// with the answers "yes" and "no" for BoolQ, and for WinoGrande
///   SENTENCE with OPTION in place of "_", and what follows there as the answer.
/// Throws tn::Error naming file and line on anything else, and on an answer that is none of those
/// that the instruction has.
std::vector<ChoiceQuestion> read_choice_questions(const std::filesystem::path& folder,
                                                  const std::string& split);

/// What a model makes of the answers to a question.
struct ChoiceScores {
  std::vector<double> log_probabilities;  ///< of all tokens of an answer
  std::vector<double> per_byte;           ///< the same by the bytes of the answer in UTF-8
  bool cut = false;                       ///< whether a prompt was longer than the positions

  /// Number of the largest; the first of equal ones.
  std::size_t likeliest() const;
  std::size_t likeliest_per_byte() const;
};

/// Scores questions, all answers of all in one batch without padding. Prompt, blank and answer are
/// encoded together; the answer's tokens are those behind as many as the prompt alone has (without
/// white space at its end). Prompts that are too long for the model's positions lose tokens at the
/// beginning. Throws tn::Error naming the question's source on an answer
/// that has no token of its own or more than the model has positions, and on a log-probability that
/// is not finite.
template <class T>
std::vector<ChoiceScores> score_choices(const CausalModelFolder<T>& folder,
                                        std::span<const ChoiceQuestion> questions);

/// The share of questions whose correct answer is the likeliest.
struct ChoiceAccuracy {
  double accuracy = 0;       ///< by log_probabilities: the harness's acc
  double accuracy_norm = 0;  ///< by per_byte: acc_norm
};
ChoiceAccuracy choice_accuracy(std::span<const ChoiceQuestion> questions,
                               std::span<const ChoiceScores> scores);

}  // namespace metatt::transformer
