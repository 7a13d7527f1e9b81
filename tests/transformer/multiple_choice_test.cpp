/// Multiple choice: the sets' files, and scores against transformers, which wrote fixtures/choices
/// (README.md there).

#include "../fixture_testing.hpp"
#include "model_testing.hpp"

#include <metatt/transformer/multiple_choice.hpp>

#include <regex>
#include <tuple>

using namespace metatt;
using namespace metatt::testing;
using boost::unit_test::precondition;

namespace {

using Types = std::tuple<float, double>;

/// One question from a file of one row.
ChoiceQuestion read_one(const std::string& instruction, const std::string& answer,
                        const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json row = {{"instruction", instruction},
                        {"input", ""},
                        {"output", "the correct answer is " + answer},
                        {"answer", answer}};
  row.update(changes);
  const TemporaryFolder folder;
  folder.write("test.json", "[\n" + row.dump() + "]\n");
  const auto questions = read_choice_questions(folder.path(), "test");
  BOOST_TEST_REQUIRE(questions.size() == 1U);
  BOOST_TEST(questions[0].source == (folder / "test.json").string() + ":2");
  return questions[0];
}

void check_choices(const ChoiceQuestion& question,
                   const std::vector<std::pair<std::string, std::string>>& expected,
                   std::size_t correct) {
  BOOST_TEST_REQUIRE(question.choices.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    BOOST_TEST(question.choices[i].prompt == expected[i].first);
    BOOST_TEST(question.choices[i].answer == expected[i].second);
  }
  BOOST_TEST(question.correct == correct);
}

/// The cases of a fixture, each a question of one answer.
std::vector<ChoiceQuestion> fixture_questions(const FixtureFolder& folder) {
  std::vector<ChoiceQuestion> questions;
  for (const auto& c : folder.golden["cases"])
    questions.push_back(
        {{{c["prompt"].get<std::string>(), c["answer"].get<std::string>()}}, 0, "case"});
  return questions;
}

BOOST_AUTO_TEST_SUITE(multiple_choice)

BOOST_AUTO_TEST_CASE(arc_openbookqa_and_social_i_qa_are_questions_with_answers) {
  const std::string opening = "Please choose the correct answer to the question: ";
  const std::string four = "\n\nAnswer format: answer1/answer2/answer3/answer4";
  const std::string ice = "Question: What is ice made of?\nAnswer:";
  check_choices(read_one(opening +
                             "What is ice made of?\n\nAnswer1: sand Answer2: water Answer3: "
                             "air, mostly Answer4: iron" +
                             four,
                         "answer2"),
                {{ice, "sand"}, {ice, "water"}, {ice, "air, mostly"}, {ice, "iron"}}, 1);
  // Some of ARC's have five answers or three; OpenBookQA's questions may be begun sentences.
  const std::string birds = "Question: Birds that fly south\nAnswer:";
  check_choices(read_one(opening +
                             "Birds that fly south\n\nAnswer1: a Answer2: b Answer3: c "
                             "Answer4: d Answer5: e" +
                             four + "/answer5",
                         "answer5"),
                {{birds, "a"}, {birds, "b"}, {birds, "c"}, {birds, "d"}, {birds, "e"}}, 4);
  const std::string kim = "Question: Kim lent Lee a pen. Why did Kim do this?\nAnswer:";
  check_choices(read_one(opening + "Kim lent Lee a pen. Why did Kim do this?\n\nAnswer1: to be "
                                   "kind Answer2: to write Answer3: was angry\n\nAnswer format: "
                                   "answer1/answer2/answer3",
                         "answer1"),
                {{kim, "to be kind"}, {kim, "to write"}, {kim, "was angry"}}, 0);
}

BOOST_AUTO_TEST_CASE(piqa_has_two_solutions) {
  const std::string prompt = "Question: open a jar\nAnswer:";
  check_choices(read_one("Please choose the correct solution to the question: open a jar\n\n"
                         "Solution1: turn the lid \n\nSolution2: turn the  table\n\n"
                         "Answer format: solution1/solution2",
                         "solution1"),
                {{prompt, "turn the lid"}, {prompt, "turn the  table"}}, 0);
}

BOOST_AUTO_TEST_CASE(winogrande_has_the_options_in_the_sentence_and_what_follows_as_the_answer) {
  check_choices(read_one("Please choose the correct answer to fill in the blank to complete the "
                         "given sentence: The cup fell off the shelf because the _ was not level."
                         "\n\nOption1: cup Option2: shelf Answer format: option1/option2",
                         "option2"),
                {{"The cup fell off the shelf because the cup", "was not level."},
                 {"The cup fell off the shelf because the shelf", "was not level."}},
                1);
}

BOOST_AUTO_TEST_CASE(boolq_is_answered_by_yes_and_no) {
  const std::string instruction =
      "Please answer the following question with true or false, question: is rain wet?\n\n"
      "Answer format: true/false";
  const std::string prompt = "Question: is rain wet?\nAnswer:";
  check_choices(read_one(instruction, "true"), {{prompt, "yes"}, {prompt, "no"}}, 0);
  check_choices(read_one(instruction, "false"), {{prompt, "yes"}, {prompt, "no"}}, 1);
}

BOOST_AUTO_TEST_CASE(what_is_no_question_is_refused_by_file_and_line) {
  const std::string opening = "Please choose the correct answer to the question: ";
  const std::string good =
      opening + "Q?\n\nAnswer1: a Answer2: b\n\nAnswer format: answer1/answer2";
  const auto refuse = [](const std::string& instruction, const std::string& answer,
                         const std::vector<std::string_view>& fragments,
                         const nlohmann::json& changes = nlohmann::json::object()) {
    check_error([&] { read_one(instruction, answer, changes); }, fragments);
    check_error([&] { read_one(instruction, answer, changes); }, {"test.json:2: "});
  };
  refuse(good, "answer3", {"one of answer1, answer2, found \"answer3\""});
  refuse(good, "", {"found \"\""});
  refuse(good, "answer1", {"\"input\"", "more"}, {{"input", "more"}});
  refuse(good, "answer1", {"\"answer\": expected a string", "3"}, {{"answer", 3}});
  refuse(good + "/answer3", "answer1", {"\"Answer3: \" behind it"});
  refuse("Q?\n\nAnswer1: a", "answer1", {"commonsense sets", "Q?"});
  refuse(opening + "Q?\n\nAnswer1: a", "answer1", {"\"Answer format: \""});
  refuse(opening + "Answer1: a Answer2: b\n\nAnswer format: answer1/answer2", "answer1",
         {"a text and \"Answer1: \""});
  refuse(opening + "Q?\n\nAnswer1: a Answer2: b\n\nAnswer format: answer1", "answer1",
         {"as many answers as names", "a Answer2: b"});
  refuse(opening + "Q?\n\nAnswer1: a Answer2: b\n\nAnswer format: answer2/answer1", "answer1",
         {"names answer1, 2", "answer2"});
  refuse(
      "Please answer the following question with true or false, question: q?\n\n"
      "Answer format: yes/no",
      "yes", {"true/false"});
  const std::string fill =
      "Please choose the correct answer to fill in the blank to complete the given sentence: ";
  for (const char* sentence : {"No blank.", "A _ and a _ here.", "At the end _"})
    refuse(fill + sentence + "\n\nOption1: a Option2: b Answer format: option1/option2", "option1",
           {"one _", sentence});
  const TemporaryFolder folder;
  const auto check_file = [&](const std::string& contents, std::string_view fragment) {
    const std::string file = folder.write("train.json", contents).string();
    check_error([&] { read_choice_questions(folder.path(), "train"); }, {file, fragment});
  };
  check_file("[\n{\"instruction\": \"a\", \"input\"}]", "line 2");
  check_file("{}", "an array of questions");
  check_file("[]", "an array of questions");
  check_file("[\n3]", "found 3 as entry 1");
  check_file("[\n{}]", ":2: field \"input\"");
  check_error([&] { read_choice_questions(folder.path(), "test"); }, {"test.json"});
}

BOOST_AUTO_TEST_CASE(lines_are_those_of_the_objects) {
  const std::string row = R"({"instruction": "Please answer the following question with true or )"
                          R"(false, question: \"{[\\\" q?\n\nAnswer format: true/false", "input": )"
                          "\n"
                          R"("", "answer": "true"})";
  const TemporaryFolder folder;
  folder.write("test.json", "[" + row + ",\n\n" + row + "]");
  const auto questions = read_choice_questions(folder.path(), "test");
  BOOST_TEST_REQUIRE(questions.size() == 2U);
  BOOST_TEST(questions[0].source.ends_with("test.json:1"));
  BOOST_TEST(questions[1].source.ends_with("test.json:4"));
}

BOOST_AUTO_TEST_CASE(all_questions_of_the_real_sets_are_read, *precondition(has_shared_data)) {
  const auto root = shared_data() / "commonsense";
  int files = 0;
  for (const char* set :
       {"ARC-Challenge", "ARC-Easy", "boolq", "openbookqa", "piqa", "social_i_qa", "winogrande"})
    for (const char* split : {"train", "test"}) BOOST_TEST_CONTEXT(set << " " << split) {
        // "Rows and licence: train 1119, test 1172; …"
        const std::string readme = tn::read_file(root / set / "README.md");
        std::smatch rows;
        const std::regex count("Rows and licence: .*\\b" + std::string(split) + " ([0-9]+)");
        if (!std::regex_search(readme, rows, count)) continue;
        const auto questions = read_choice_questions(root / set, split);
        BOOST_TEST(questions.size() == std::stoul(rows[1]));
        ++files;
        for (const ChoiceQuestion& question : questions) {
          BOOST_TEST_REQUIRE(question.choices.size() >= 2U);
          BOOST_TEST_REQUIRE(question.correct < question.choices.size());
        }
      }
  BOOST_TEST(files == 11);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(scores_are_those_of_transformers, T, Types) {
  for (const char* name : {"gpt2", "llama"}) BOOST_TEST_CONTEXT(name) {
      const FixtureFolder files("choices", name);
      const CausalModelFolder<T> folder(files.path());
      const auto questions = fixture_questions(files);
      const auto scores = score_choices<T>(folder, questions);
      BOOST_TEST_REQUIRE(scores.size() == questions.size());
      // transformers makes the angles of rotary positions in single precision.
      const bool exact = sizeof(T) == 8 && !folder.config().family().rotary;
      for (std::size_t i = 0; i < scores.size(); ++i) BOOST_TEST_CONTEXT("case " << i) {
          const auto& c = files.golden["cases"][i];
          const double golden = c["log_probability"].get<double>();
          BOOST_TEST(std::abs(scores[i].log_probabilities[0] - golden) < (exact ? 1e-10 : 1e-5));
          BOOST_TEST(scores[i].per_byte[0] ==
                     scores[i].log_probabilities[0] /
                         static_cast<double>(c["answer"].get<std::string>().size()));
          BOOST_TEST(scores[i].cut == c["cut"].get<bool>());
        }
    }
}

BOOST_AUTO_TEST_CASE(a_question_gets_the_same_alone_and_in_company) {
  const FixtureFolder files("choices", "llama");
  const CausalModelFolder<double> folder(files.path());
  std::vector<ChoiceQuestion> questions = fixture_questions(files);
  questions.push_back({{{"a", "b"}, {"a", "cd e"}, {"b", "f"}}, 0, "three"});
  const auto together = score_choices<double>(folder, questions);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto alone = score_choices<double>(folder, std::span(questions).subspan(i, 1));
    BOOST_TEST_REQUIRE(alone.size() == 1U);
    BOOST_TEST(relative_error(alone[0].log_probabilities, together[i].log_probabilities) < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(answers_that_cannot_be_scored_are_refused_by_their_source) {
  const FixtureFolder files("choices", "gpt2");
  const CausalModelFolder<float> folder(files.path());
  const auto refuse = [&](const Choice& choice, const std::vector<std::string_view>& fragments) {
    const std::vector<ChoiceQuestion> questions{{{choice}, 0, "here:7"}};
    check_error([&] { score_choices<float>(folder, questions); }, fragments);
  };
  refuse({" ", "a"}, {"here:7", "a prompt"});
  refuse({"a", ""}, {"here:7", "tokens of its own"});  // the blank joins the token of the prompt
  refuse({"a", "bfbfbfbfbfbfbfbfbfbfb"}, {"here:7", "21 tokens", "20 positions"});
}

BOOST_AUTO_TEST_CASE(an_adapter_is_used) {
  const FixtureFolder files("choices", "llama");
  const CausalModelFolder<double> base(files.path());
  const auto questions = fixture_questions(files);
  const auto before = score_choices<double>(base, questions);
  AdapterSettings settings;
  settings.rank = 2;
  settings.targets = matrix_types(base.config().family());
  CausalModelFolder<double> adapted(files.path(), Method::named("lora", settings));
  const auto fresh = score_choices<double>(adapted, questions);
  BOOST_TEST(fresh[1].log_probabilities == before[1].log_probabilities,
             boost::test_tools::per_element());
  randomise_adapter(*adapted.adapter(), adapted.weights());
  const auto changed = score_choices<double>(adapted, questions);
  BOOST_TEST(std::abs(changed[1].log_probabilities[0] - before[1].log_probabilities[0]) > 0.1);
}

BOOST_AUTO_TEST_CASE(accuracy_counts_the_likeliest_by_all_tokens_and_by_bytes) {
  const std::vector<ChoiceQuestion> questions{{{{"p", "ab"}, {"p", "c"}}, 0, ""},
                                              {{{"p", "a"}, {"p", "b"}, {"p", "c"}}, 0, ""}};
  const std::vector<ChoiceScores> scores{{{-3, -2}, {-1.5, -2}},  // longer, but likelier by bytes
                                         {{-1, -1, -2}, {-2, -1, -1}}};
  BOOST_TEST(scores[1].likeliest() == 0U);  // the first of equal ones
  BOOST_TEST(scores[1].likeliest_per_byte() == 1U);
  const ChoiceAccuracy result = choice_accuracy(questions, scores);
  BOOST_TEST(result.accuracy == 0.5);
  BOOST_TEST(result.accuracy_norm == 0.5);
  check_error([&] { choice_accuracy(questions, {}); }, {"choice_accuracy", "2 and 0"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
