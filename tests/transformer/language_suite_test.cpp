#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/glue.hpp>
#include <metatt/transformer/language_grammar.hpp>
#include <metatt/transformer/language_suite.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
namespace language = metatt::transformer::language;

using Row = std::vector<std::string>;

const std::vector<std::string> tasks = {"CoLA", "MRPC", "RTE", "STS-B"};
const std::map<std::string, std::size_t> column_counts = {
    {"CoLA", 4}, {"MRPC", 5}, {"RTE", 4}, {"STS-B", 10}};
const std::map<std::string, std::vector<std::size_t>> sentence_columns = {
    {"CoLA", {3}}, {"MRPC", {3, 4}}, {"RTE", {1, 2}}, {"STS-B", {7, 8}}};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> fields(1);
  for (const char character : text) {
    if (character == separator) {
      fields.emplace_back();
    } else {
      fields.back() += character;
    }
  }
  return fields;
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  auto lines = split(metatt::tn::read_file(path), '\n');
  BOOST_REQUIRE(lines.back().empty());
  lines.pop_back();
  return lines;
}

/// The suite of a seed, written once for all tests.
std::filesystem::path suite(std::uint64_t seed) {
  static std::map<std::uint64_t, metatt::testing::TemporaryFolder> folders;
  const auto [place, is_new] = folders.try_emplace(seed);
  if (is_new) write_language_suite(place->second.path(), seed);
  return place->second.path();
}

std::vector<Row> rows_of(const std::string& task, const std::string& part) {
  std::vector<Row> rows;
  for (const auto& line : lines_of(suite(1) / task / (part + ".tsv"))) {
    rows.push_back(split(line, '\t'));
  }
  if (task != "CoLA") rows.erase(rows.begin());
  return rows;
}

std::string text_of(const std::string& task, const Row& row) {
  std::string text;
  for (const auto column : sentence_columns.at(task)) text += '\t' + row.at(column);
  return text.substr(1);
}

std::set<std::string> texts_of(const std::string& task, const std::string& part) {
  std::set<std::string> texts;
  for (const auto& row : rows_of(task, part)) texts.insert(text_of(task, row));
  return texts;
}

std::set<std::string> words_of(const std::string& task, const std::string& part) {
  std::set<std::string> words;
  for (const auto& row : rows_of(task, part)) {
    for (const auto column : sentence_columns.at(task)) {
      for (const auto& word : split(row.at(column), ' ')) words.insert(word);
    }
  }
  return words;
}

std::vector<std::string> intersection(const std::set<std::string>& left,
                                      const std::set<std::string>& right) {
  std::vector<std::string> common;
  std::set_intersection(left.begin(), left.end(), right.begin(), right.end(),
                        std::back_inserter(common));
  return common;
}

std::set<std::string> vocabulary() {
  const auto lines = lines_of(suite(1) / "vocab.txt");
  const std::set<std::string> words(lines.begin(), lines.end());
  BOOST_TEST(words.size() == lines.size());
  return words;
}

std::vector<std::string> files() {
  std::vector<std::string> names = {"vocab.txt", "corpus.txt"};
  for (const auto& task : tasks) {
    names.push_back(task + "/train.tsv");
    names.push_back(task + "/dev.tsv");
  }
  return names;
}

std::string sorted_words(const std::string& sentence) {
  auto words = split(sentence, ' ');
  std::sort(words.begin(), words.end());
  return language::join(words);
}

BOOST_AUTO_TEST_SUITE(language_suite)

BOOST_AUTO_TEST_CASE(mersenne_twister_draws_are_those_of_the_standard) {
  // [rand.predef]: the 10000th draw of a default-constructed mt19937_64 (seed 5489).
  language::RandomSource random(5489);
  std::uint64_t draw = 0;
  const std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 10000; ++i) draw = random.below(all);
  BOOST_TEST(draw == 9981545732273789042u);
}

BOOST_AUTO_TEST_CASE(same_seed_gives_same_bytes) {
  const metatt::testing::TemporaryFolder again;
  write_language_suite(again.path(), 1);
  for (const auto& file : files()) {
    BOOST_TEST((metatt::tn::read_file(again / file) == metatt::tn::read_file(suite(1) / file)),
               file);
  }
}

BOOST_AUTO_TEST_CASE(different_seed_gives_different_rows_and_the_same_vocabulary) {
  for (const auto& file : files()) {
    const bool same =
        metatt::tn::read_file(suite(2) / file) == metatt::tn::read_file(suite(1) / file);
    BOOST_TEST(same == (file == "vocab.txt"), file);
  }
}

BOOST_AUTO_TEST_CASE(every_row_has_the_columns_of_glue) {
  for (const auto& task : tasks) {
    for (const auto& part : {"train", "dev"}) {
      const auto rows = rows_of(task, part);
      BOOST_TEST(rows.size() == (part == std::string("train") ? 4000u : 800u));
      for (const auto& row : rows) BOOST_REQUIRE_EQUAL(row.size(), column_counts.at(task));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_glue_reader_accepts_every_file) {
  for (const auto& name : {"cola", "mrpc", "rte", "stsb"}) {
    const auto& task = find_glue_task(name);
    BOOST_TEST(read_glue(suite(1), task, "train").size() == 4000u);
    const auto dev = read_glue(suite(1), task, "dev");
    BOOST_TEST(dev.size() == 800u);
    const auto rows = rows_of(task.folder, "dev");
    const auto& columns = sentence_columns.at(task.folder);
    for (std::size_t i = 0; i < dev.size(); ++i) {
      BOOST_REQUIRE_EQUAL(dev[i].sentence1, rows[i].at(columns.front()));
      BOOST_REQUIRE_EQUAL(dev[i].sentence2.value_or(dev[i].sentence1), rows[i].at(columns.back()));
    }
  }
}

BOOST_AUTO_TEST_CASE(labels_are_balanced) {
  const std::map<std::string, std::pair<std::size_t, std::string>> positive = {
      {"CoLA", {1, "1"}}, {"MRPC", {0, "1"}}, {"RTE", {3, "entailment"}}};
  for (const auto& [task, label] : positive) {
    for (const auto& part : {"train", "dev"}) {
      const auto rows = rows_of(task, part);
      const auto count =
          std::count_if(rows.begin(), rows.end(), [&expected = label](const Row& row) {
            return row.at(expected.first) == expected.second;
          });
      BOOST_TEST(2 * static_cast<std::size_t>(count) == rows.size());
    }
  }
}

BOOST_AUTO_TEST_CASE(every_phenomenon_is_balanced_and_frequent) {
  std::map<std::string, std::pair<int, int>> counts;
  for (const auto& row : rows_of("CoLA", "train")) {
    auto& [acceptable, all] = counts[row.at(0)];
    acceptable += row.at(1) == "1";
    ++all;
    BOOST_TEST((row.at(2) == "*") == (row.at(1) == "0"));
  }
  BOOST_TEST(counts.size() == 11u);
  for (const auto& [phenomenon, count] : counts) {
    BOOST_TEST(count.second > 200, phenomenon);
    BOOST_TEST(count.first > 0.35 * count.second, phenomenon);
    BOOST_TEST(count.first < 0.65 * count.second, phenomenon);
  }
}

BOOST_AUTO_TEST_CASE(scores_cover_zero_to_five) {
  for (const auto& part : {"train", "dev"}) {
    std::vector<int> bins(5);
    for (const auto& row : rows_of("STS-B", part)) {
      const double score = std::stod(row.at(9));
      BOOST_REQUIRE(score >= 0.0);
      BOOST_REQUIRE(score <= 5.0);
      ++bins.at(std::min(static_cast<std::size_t>(score), std::size_t{4}));
    }
    for (const auto count : bins) BOOST_TEST(count >= (part == std::string("dev") ? 60 : 300));
  }
}

BOOST_AUTO_TEST_CASE(no_row_occurs_twice_and_none_is_in_both_parts) {
  for (const auto& task : tasks) {
    const auto train = texts_of(task, "train");
    const auto dev = texts_of(task, "dev");
    BOOST_TEST(train.size() == 4000u, task);
    BOOST_TEST(dev.size() == 800u, task);
    BOOST_TEST(intersection(train, dev).empty(), task);
  }
}

BOOST_AUTO_TEST_CASE(train_and_dev_share_closed_class_words_only) {
  const auto listed = language::closed_class_words();
  const std::set<std::string> closed_class(listed.begin(), listed.end());
  std::set<std::string> train;
  std::set<std::string> dev;
  for (const auto& task : tasks) {
    train.merge(words_of(task, "train"));
    dev.merge(words_of(task, "dev"));
  }
  for (const auto& word : intersection(train, dev)) BOOST_TEST(closed_class.contains(word), word);
  BOOST_TEST(train.size() > closed_class.size() + 150);
  BOOST_TEST(dev.size() > closed_class.size() + 60);
}

BOOST_AUTO_TEST_CASE(fillers_of_the_parts_are_disjoint_and_together_all) {
  const auto train = language::filler_words(language::make_lexicon(language::Fillers::train));
  const auto dev = language::filler_words(language::make_lexicon(language::Fillers::dev));
  const auto all = language::filler_words(language::make_lexicon(language::Fillers::all));
  std::set<std::string> both(train.begin(), train.end());
  both.insert(dev.begin(), dev.end());
  BOOST_TEST(train.size() + dev.size() == both.size());
  BOOST_TEST((both == std::set<std::string>(all.begin(), all.end())));
}

BOOST_AUTO_TEST_CASE(no_spelling_stands_for_two_meanings_of_the_open_classes) {
  const auto lexicon = language::make_lexicon(language::Fillers::all);
  std::set<std::string> nouns;
  for (const auto* members : {&lexicon.people, &lexicon.things}) {
    for (const auto& noun : *members) {
      BOOST_TEST(nouns.insert(noun.singular).second, noun.singular);
      BOOST_TEST(nouns.insert(noun.plural).second, noun.plural);
    }
  }
  std::set<std::string> bases;
  for (const auto* groups : {&lexicon.person_verbs, &lexicon.thing_verbs, &lexicon.transfer_verbs,
                             &lexicon.intransitive_verbs}) {
    for (const auto& group : *groups) {
      for (const auto& verb : group) {
        BOOST_TEST(bases.insert(verb.base).second, verb.base);
        BOOST_TEST(!nouns.contains(verb.third_person), verb.third_person);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_word_is_in_the_vocabulary_and_every_filler_in_the_corpus) {
  const auto known = vocabulary();
  BOOST_TEST(known.size() < 1000u);
  for (const auto& task : tasks) {
    for (const auto& part : {"train", "dev"}) {
      for (const auto& word : words_of(task, part)) BOOST_TEST(known.contains(word), word);
    }
  }
  std::set<std::string> corpus_words;
  for (auto line : lines_of(suite(1) / "corpus.txt")) {
    std::replace(line.begin(), line.end(), '\t', ' ');
    for (const auto& word : split(line, ' ')) corpus_words.insert(word);
  }
  for (const auto& word : corpus_words) BOOST_TEST(known.contains(word), word);
  for (const auto& word : language::filler_words(language::make_lexicon(language::Fillers::all))) {
    BOOST_TEST(corpus_words.contains(word), word);
  }
}

BOOST_AUTO_TEST_CASE(vocabulary_begins_with_the_special_tokens) {
  const auto lines = lines_of(suite(1) / "vocab.txt");
  const std::vector<std::string> special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  BOOST_TEST(std::vector<std::string>(lines.begin(), lines.begin() + 5) == special,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_corpus_holds_no_row_of_a_task) {
  std::set<std::string> texts;
  for (const auto& task : tasks) {
    texts.merge(texts_of(task, "train"));
    texts.merge(texts_of(task, "dev"));
  }
  const auto lines = lines_of(suite(1) / "corpus.txt");
  BOOST_TEST(lines.size() == 30000u);
  for (const auto& line : lines) BOOST_TEST(!texts.contains(line), line);
}

BOOST_AUTO_TEST_CASE(sentences_are_lower_case_and_short) {
  for (const auto& task : tasks) {
    for (const auto& row : rows_of(task, "train")) {
      for (const auto column : sentence_columns.at(task)) {
        const auto& sentence = row.at(column);
        BOOST_TEST((sentence.ends_with(" .") || sentence.ends_with(" ?")), sentence);
        BOOST_TEST(std::none_of(sentence.begin(), sentence.end(),
                                [](char letter) { return letter >= 'A' && letter <= 'Z'; }));
        const auto count = split(sentence, ' ').size();
        BOOST_TEST(count >= 3u, sentence);
        BOOST_TEST(count <= language::longest_sentence, sentence);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(role_swaps_keep_the_words_and_change_the_label) {
  int unrelated = 0;
  for (const auto& row : rows_of("MRPC", "train")) {
    unrelated += row.at(0) == "0" && sorted_words(row.at(3)) == sorted_words(row.at(4));
  }
  BOOST_TEST(unrelated > 40);
}

BOOST_AUTO_TEST_CASE(similarity_follows_the_documented_weights) {
  const auto lexicon = language::make_lexicon(language::Fillers::all);
  const auto entity = [&](std::size_t index) {
    language::Entity person;
    person.noun = &lexicon.people.at(index);
    return person;
  };
  language::Event event;
  event.verb = &lexicon.person_verbs.at(0);
  event.agent = entity(0);
  event.patient = entity(lexicon.people.size() - 1);
  BOOST_TEST(language::similarity(event, event) == 5000);

  auto other = event;
  language::swap_roles(other);
  BOOST_TEST(language::similarity(event, other) == 2500);
  other = event;
  other.agent = entity(1);  // the same category
  BOOST_TEST(language::similarity(event, other) == 4375);
  other.negated = true;
  BOOST_TEST(language::similarity(event, other) == 2625);
  other = event;
  other.verb = &lexicon.person_verbs.at(1);
  BOOST_TEST(language::similarity(event, other) == 3500);
  other.place = &lexicon.places.at(0);
  BOOST_TEST(language::similarity(event, other) == 3000);
  other.agent.adjective = &lexicon.person_adjectives.at(0);
  BOOST_TEST(language::similarity(event, other) == 2750);
}

BOOST_AUTO_TEST_CASE(an_altered_event_means_something_else) {
  const auto lexicon = language::make_lexicon(language::Fillers::dev);
  language::RandomSource random(7);
  for (int i = 0; i < 1000; ++i) {
    const auto event = language::sample_event(lexicon, random);
    BOOST_REQUIRE(!(language::altered(event, lexicon, random) == event));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
