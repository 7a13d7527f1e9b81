#include <metatt/transformer/language_lexicon.hpp>

#include <set>
#include <span>
#include <sstream>
#include <string_view>

namespace metatt::transformer::language {
namespace {

// In the tables a line is a class or a group of synonyms. A verb is regular, or
// base/past/participle.

constexpr std::string_view person_table[] = {
    "artist painter poet singer dancer sculptor novelist composer drummer juggler",
    "worker farmer baker plumber miner welder tailor carpenter gardener porter",
    "scientist chemist physicist biologist geologist astronomer botanist zoologist geographer "
    "statistician",
    "official mayor judge governor senator minister ambassador sheriff chancellor consul",
    "athlete runner swimmer boxer skier wrestler cyclist rower gymnast archer",
};

constexpr std::string_view thing_table[] = {
    "tool hammer shovel wrench chisel ladder drill",
    "vehicle truck wagon bicycle tractor boat sledge",
    "fruit apple lemon peach plum melon apricot",
    "instrument guitar flute trumpet violin cello banjo",
    "garment coat jacket shirt glove sweater apron",
    "document letter map contract diary poster ticket",
};

constexpr std::string_view female_names =
    "anna clara edith flora grace helen irene julia laura maria nora olive";
constexpr std::string_view male_names =
    "adam bruno carl david edgar felix george henry ivan jacob karl louis";

constexpr std::string_view person_verb_table[] = {
    "aid assist",
    "chase pursue",
    "admire respect",
    "praise commend",
    "warn alert",
    "push shove",
    "greet welcome",
    "scold rebuke",
    "insult offend",
    "fool trick/tricked/tricked",
    "visit",
    "thank",
    "instruct teach/taught/taught",
    "frighten terrify",
    "amuse entertain",
    "rescue",
    "annoy irritate",
    "calm soothe",
};

constexpr std::string_view thing_verb_table[] = {
    "repair fix",      "purchase buy/bought/bought",
    "ruin destroy",    "hide/hid/hidden conceal",
    "lift raise",      "clean wash",
    "borrow",          "find/found/found locate",
    "examine inspect",
};

constexpr std::string_view transfer_verb_table[] = {
    "give/gave/given hand", "send/sent/sent mail", "lend/lent/lent loan", "sell/sold/sold", "offer",
    "show/showed/shown",
};

constexpr std::string_view intransitive_verb_table[] = {
    "laugh giggle",
    "sleep/slept/slept doze",
    "complain grumble",
    "depart",
    "vanish disappear",
    "cry weep/wept/wept",
    "smile",
    "arrive",
    "hesitate",
    "sneeze",
    "work toil",
    "faint collapse",
};

constexpr std::string_view person_adjective_table[] = {
    "clever smart",
    "brave courageous",
    "famous renowned",
    "angry furious",
    "rich wealthy",
    "happy cheerful",
    "tall",
    "young",
    "polite courteous",
    "lazy idle",
    "sad gloomy",
    "tired weary",
};

constexpr std::string_view thing_adjective_table[] = {
    "big large", "old ancient", "small little", "costly expensive", "red", "dirty filthy",
};

constexpr std::string_view place_table =
    "park garden market library station kitchen harbour museum forest school church castle";

constexpr std::string_view template_words =
    ". , ? the no some who and or by to in not is are was were did will had has ever failed "
    "himself "
    "herself themselves that knew realised noticed hoped claimed kind of";

std::vector<std::string> split(std::string_view text, char separator) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> fields;
  for (std::string field; std::getline(stream, field, separator);) fields.push_back(field);
  return fields;
}

bool is_vowel(char letter) {
  return std::string_view("aeiou").find(letter) != std::string_view::npos;
}

bool ends_in_consonant_y(const std::string& word) {
  return word.size() > 1 && word.back() == 'y' && !is_vowel(word[word.size() - 2]);
}

/// The plural of a noun and the third person of a verb are spelt alike.
std::string with_s(const std::string& word) {
  if (ends_in_consonant_y(word)) return word.substr(0, word.size() - 1) + "ies";
  for (const std::string_view hissing : {"s", "sh", "ch", "x", "z"}) {
    if (word.ends_with(hissing)) return word + "es";
  }
  return word + "s";
}

std::string with_ed(const std::string& word) {
  if (ends_in_consonant_y(word)) return word.substr(0, word.size() - 1) + "ied";
  return word + (word.back() == 'e' ? "d" : "ed");
}

Verb parse_verb(const std::string& entry) {
  const auto forms = split(entry, '/');
  const auto& base = forms.front();
  if (forms.size() == 3) return {base, with_s(base), forms[1], forms[2]};
  return {base, with_s(base), with_ed(base), with_ed(base)};
}

bool open_to(Fillers fillers, std::size_t position) {
  const bool is_dev = position % 3 == 2;
  return fillers == Fillers::all || is_dev == (fillers == Fillers::dev);
}

void read_nouns(std::span<const std::string_view> table, Fillers fillers,
                std::vector<Category>& categories, std::vector<Noun>& nouns) {
  for (const auto line : table) {
    const auto words = split(line, ' ');
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (!open_to(fillers, i - 1)) continue;
      nouns.push_back({words[i], with_s(words[i]), categories.size()});
    }
    categories.push_back({words[0], with_s(words[0])});
  }
}

void read_names(std::string_view table, bool female, Fillers fillers, std::vector<Name>& names) {
  const auto words = split(table, ' ');
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (open_to(fillers, i)) names.push_back({words[i], female});
  }
}

std::vector<std::vector<std::string>> read_groups(std::span<const std::string_view> table,
                                                  Fillers fillers) {
  std::vector<std::vector<std::string>> groups;
  std::size_t position = 0;
  for (const auto line : table) {
    if (open_to(fillers, position++)) groups.push_back(split(line, ' '));
  }
  return groups;
}

std::vector<VerbGroup> read_verbs(std::span<const std::string_view> table, Fillers fillers) {
  std::vector<VerbGroup> groups;
  for (const auto& entries : read_groups(table, fillers)) {
    VerbGroup group;
    for (const auto& entry : entries) group.push_back(parse_verb(entry));
    groups.push_back(group);
  }
  return groups;
}

}  // namespace

Lexicon make_lexicon(Fillers fillers) {
  Lexicon lexicon;
  read_nouns(person_table, fillers, lexicon.person_categories, lexicon.people);
  read_nouns(thing_table, fillers, lexicon.thing_categories, lexicon.things);
  read_names(female_names, true, fillers, lexicon.names);
  read_names(male_names, false, fillers, lexicon.names);
  lexicon.person_verbs = read_verbs(person_verb_table, fillers);
  lexicon.thing_verbs = read_verbs(thing_verb_table, fillers);
  lexicon.transfer_verbs = read_verbs(transfer_verb_table, fillers);
  lexicon.intransitive_verbs = read_verbs(intransitive_verb_table, fillers);
  lexicon.person_adjectives = read_groups(person_adjective_table, fillers);
  lexicon.thing_adjectives = read_groups(thing_adjective_table, fillers);
  const auto places = split(place_table, ' ');
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (open_to(fillers, i)) lexicon.places.push_back(places[i]);
  }
  return lexicon;
}

std::vector<std::string> filler_words(const Lexicon& lexicon) {
  std::set<std::string> words(lexicon.places.begin(), lexicon.places.end());
  for (const auto* nouns : {&lexicon.people, &lexicon.things}) {
    for (const auto& noun : *nouns) words.insert({noun.singular, noun.plural});
  }
  for (const auto& name : lexicon.names) words.insert(name.word);
  for (const auto* groups : {&lexicon.person_verbs, &lexicon.thing_verbs, &lexicon.transfer_verbs,
                             &lexicon.intransitive_verbs}) {
    for (const auto& group : *groups) {
      for (const auto& verb : group) {
        words.insert({verb.base, verb.third_person, verb.past, verb.participle});
      }
    }
  }
  for (const auto* groups : {&lexicon.person_adjectives, &lexicon.thing_adjectives}) {
    for (const auto& group : *groups) words.insert(group.begin(), group.end());
  }
  return {words.begin(), words.end()};
}

std::vector<std::string> closed_class_words() {
  const auto listed = split(template_words, ' ');
  std::set<std::string> words(listed.begin(), listed.end());
  for (const auto* members :
       {&prepositions(), &adverbs(), &singular_determiners(), &plural_determiners()}) {
    words.insert(members->begin(), members->end());
  }
  const auto lexicon = make_lexicon(Fillers::all);
  for (const auto* categories : {&lexicon.person_categories, &lexicon.thing_categories}) {
    for (const auto& category : *categories) words.insert({category.singular, category.plural});
  }
  return {words.begin(), words.end()};
}

const std::vector<std::string>& prepositions() {
  static const std::vector<std::string> members = {"near", "behind", "beside", "opposite"};
  return members;
}

const std::vector<std::string>& adverbs() {
  static const std::vector<std::string> members = {"quietly", "often", "suddenly", "rarely"};
  return members;
}

const std::vector<std::string>& singular_determiners() {
  static const std::vector<std::string> members = {"this", "every", "each"};
  return members;
}

const std::vector<std::string>& plural_determiners() {
  static const std::vector<std::string> members = {"these", "many", "several"};
  return members;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) {
    if (part.empty()) continue;
    if (!text.empty()) text += ' ';
    text += part;
  }
  return text;
}

}  // namespace metatt::transformer::language
