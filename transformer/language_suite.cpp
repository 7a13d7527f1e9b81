#include <metatt/transformer/language_suite.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/language_grammar.hpp>

#include <set>
#include <string_view>

namespace metatt::transformer {
namespace {

using namespace language;

constexpr std::size_t train_rows = 4000;
constexpr std::size_t dev_rows = 800;
constexpr std::size_t corpus_lines = 30000;

/// One training or dev set in the making. No two rows share their text.
struct Rows {
  std::vector<std::string> lines;
  std::set<std::string> texts;
};

std::string padded(std::size_t number, std::size_t width) {
  auto digits = std::to_string(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return digits;
}

std::string pair_text(const SentencePair& pair) {
  return pair.first + '\t' + pair.second;
}

/// A row of the task, or "" if its text occurred before. `number` counts rows from 0; its parity is
/// the label, so that the labels are balanced.
using RowMaker = std::string (*)(const Lexicon&, RandomSource&, std::size_t number,
                                 std::set<std::string>& texts);

std::string acceptability_row(const Lexicon& lexicon, RandomSource& random, std::size_t number,
                              std::set<std::string>& texts) {
  const bool acceptable = number % 2 == 1;
  const auto row = sample_acceptability(lexicon, random, acceptable);
  if (!texts.insert(row.sentence).second) return "";
  return row.phenomenon + (acceptable ? "\t1\t\t" : "\t0\t*\t") + row.sentence;
}

std::string paraphrase_row(const Lexicon& lexicon, RandomSource& random, std::size_t number,
                           std::set<std::string>& texts) {
  const auto text = pair_text(sample_paraphrase(lexicon, random, number % 2 == 1));
  if (!texts.insert(text).second) return "";
  return std::to_string(number % 2) + '\t' + std::to_string(2 * number) + '\t' +
         std::to_string(2 * number + 1) + '\t' + text;
}

std::string entailment_row(const Lexicon& lexicon, RandomSource& random, std::size_t number,
                           std::set<std::string>& texts) {
  const bool entailed = number % 2 == 1;
  const auto text = pair_text(sample_entailment(lexicon, random, entailed));
  if (!texts.insert(text).second) return "";
  return std::to_string(number) + '\t' + text + (entailed ? "\tentailment" : "\tnot_entailment");
}

std::string similarity_row(const Lexicon& lexicon, RandomSource& random, std::size_t number,
                           std::set<std::string>& texts) {
  const auto pair = sample_similarity(lexicon, random);
  const auto text = pair_text(pair.sentences);
  if (!texts.insert(text).second) return "";
  const auto score = static_cast<std::size_t>(pair.thousandths);
  return std::to_string(number) + "\tbuilt-in\tgrammar\tnone\t" + padded(number, 4) +
         "\tnone\tnone\t" + text + '\t' + std::to_string(score / 1000) + '.' +
         padded(score % 1000, 3);
}

struct Task {
  std::string_view folder;
  std::string_view header;  ///< empty: no header line
  RowMaker make;
};

constexpr std::array suite_tasks = {
    Task{"CoLA", "", acceptability_row},
    Task{"MRPC", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", paraphrase_row},
    Task{"RTE", "index\tsentence1\tsentence2\tlabel", entailment_row},
    Task{"STS-B",
         "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
         similarity_row},
};

Rows make_rows(const Task& task, Fillers fillers, std::size_t count, RandomSource& random) {
  const auto lexicon = make_lexicon(fillers);
  Rows rows;
  while (rows.lines.size() < count) {
    auto line = task.make(lexicon, random, rows.lines.size(), rows.texts);
    if (!line.empty()) rows.lines.push_back(std::move(line));
  }
  return rows;
}

std::string joined_lines(std::string_view header, const std::vector<std::string>& lines) {
  std::string contents;
  if (!header.empty()) contents.append(header).push_back('\n');
  for (const auto& line : lines) contents.append(line).push_back('\n');
  return contents;
}

/// "every poet is some kind of artist", "trucks are vehicles": the hypernyms in words.
std::string taxonomy_sentence(const Lexicon& lexicon, RandomSource& random) {
  const bool person = random.chance(60);
  const auto& noun = random.pick(person ? lexicon.people : lexicon.things);
  const auto& categories = person ? lexicon.person_categories : lexicon.thing_categories;
  const auto& category = categories[noun.category];
  if (random.chance(50)) return join({noun.plural, "are", category.plural, "."});
  const auto determiner = random.pick(singular_determiners());
  return join({determiner, noun.singular, "is some kind of", category.singular, "."});
}

/// A short sentence and its echo. Finding a word of one sentence in the other is learned soonest
/// where there are few words to choose from.
std::string echo(const Lexicon& lexicon, RandomSource& random) {
  auto event = sample_event(lexicon, random, EventKind::person);
  event.place = nullptr;
  event.agent.adjective = nullptr;
  event.patient.adjective = nullptr;
  const auto sentence = realise(event, random);
  return pair_text({sentence, sentence});
}

/// Acceptable sentences, pairs that say the same or follow from each other, and taxonomy.
std::string corpus_line(const Lexicon& lexicon, RandomSource& random) {
  const auto draw = random.below(100);
  if (draw < 27) return sample_acceptability(lexicon, random, true).sentence;
  if (draw < 62) return echo(lexicon, random);
  if (draw < 82) return pair_text(sample_paraphrase(lexicon, random, true));
  if (draw < 97) return pair_text(sample_entailment(lexicon, random, true));
  return taxonomy_sentence(lexicon, random);
}

std::string make_corpus(const std::set<std::string>& withheld, RandomSource& random) {
  const auto lexicon = make_lexicon(Fillers::all);
  std::vector<std::string> lines;
  while (lines.size() < corpus_lines) {
    auto line = corpus_line(lexicon, random);
    if (!withheld.contains(line)) lines.push_back(std::move(line));
  }
  return joined_lines("", lines);
}

std::string make_vocabulary() {
  std::vector<std::string> lines = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  auto words = closed_class_words();
  for (auto& word : filler_words(make_lexicon(Fillers::all))) words.push_back(std::move(word));
  std::set<std::string> pieces(words.begin(), words.end());
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    pieces.insert({std::string(1, letter), std::string("##") + letter});
  }
  lines.insert(lines.end(), pieces.begin(), pieces.end());
  return joined_lines("", lines);
}

}  // namespace

void write_language_suite(const std::filesystem::path& folder, std::uint64_t seed) {
  RandomSource random(seed);
  std::set<std::string> withheld;
  for (const auto& task : suite_tasks) {
    const auto task_folder = folder / task.folder;
    tn::prepare_output_folder(task_folder, true);
    auto train = make_rows(task, Fillers::train, train_rows, random);
    auto dev = make_rows(task, Fillers::dev, dev_rows, random);
    tn::write_file_atomically(task_folder / "train.tsv", joined_lines(task.header, train.lines));
    tn::write_file_atomically(task_folder / "dev.tsv", joined_lines(task.header, dev.lines));
    withheld.merge(train.texts);
    withheld.merge(dev.texts);
  }
  tn::write_file_atomically(folder / "vocab.txt", make_vocabulary());
  tn::write_file_atomically(folder / "corpus.txt", make_corpus(withheld, random));
}

}  // namespace metatt::transformer
