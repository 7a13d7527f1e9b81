#pragma once
/// Words of the built-in language, their classes, and a sampler that is the same on every platform.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace metatt::transformer::language {

/// std::mt19937_64 is fixed by the standard, its distributions are not: so bounded draws are made
/// here, and a seed gives the same text with every standard library.
class RandomSource {
 public:
  explicit RandomSource(std::uint64_t seed) : engine_(seed) {}

  /// Uniform in 0 … count-1, by rejection; count ≥ 1.
  std::size_t below(std::size_t count) {
    const std::uint64_t limit = std::numeric_limits<std::uint64_t>::max() / count * count;
    std::uint64_t draw = engine_();
    while (draw >= limit) draw = engine_();
    return static_cast<std::size_t>(draw % count);
  }

  bool chance(std::size_t percent) { return below(100) < percent; }

  template <class Element>
  const Element& pick(const std::vector<Element>& elements) {
    return elements[below(elements.size())];
  }

 private:
  std::mt19937_64 engine_;
};

/// Which open-class words a text may use. Every class is split in two, about two to one: labelled
/// training rows draw from `train` only, labelled dev rows from `dev` only, unlabelled text from
/// `all`, so that what a dev word means can be learned from unlabelled text alone.
enum class Fillers { train, dev, all };

struct Noun {
  std::string singular;
  std::string plural;
  std::size_t category;  ///< index into the categories of its kind
};

struct Category {
  std::string singular;
  std::string plural;
};

struct Name {
  std::string word;
  bool female;
};

struct Verb {
  std::string base;  ///< also the present plural
  std::string third_person;
  std::string past;
  std::string participle;
};

using VerbGroup = std::vector<Verb>;              ///< verbs of one meaning
using AdjectiveGroup = std::vector<std::string>;  ///< adjectives of one meaning

/// Open-class words. The hypernyms (categories) are in every lexicon; the rest is split by Fillers.
struct Lexicon {
  std::vector<Category> person_categories;
  std::vector<Category> thing_categories;
  std::vector<Noun> people;
  std::vector<Noun> things;
  std::vector<Name> names;
  std::vector<VerbGroup> person_verbs;    ///< a person … a person
  std::vector<VerbGroup> thing_verbs;     ///< a person … a thing
  std::vector<VerbGroup> transfer_verbs;  ///< a person … a person a thing
  std::vector<VerbGroup> intransitive_verbs;
  std::vector<AdjectiveGroup> person_adjectives;
  std::vector<AdjectiveGroup> thing_adjectives;
  std::vector<std::string> places;
};

/// The words open to one part of the suite.
Lexicon make_lexicon(Fillers fillers);

/// Words that a lexicon adds to the closed class (every inflected form), without the categories.
std::vector<std::string> filler_words(const Lexicon& lexicon);

/// Categories, determiners, prepositions, auxiliaries and the other words of the templates,
/// punctuation included; shared by all parts.
std::vector<std::string> closed_class_words();

/// Small closed classes that several templates draw from.
const std::vector<std::string>& prepositions();
const std::vector<std::string>& adverbs();
const std::vector<std::string>& singular_determiners();
const std::vector<std::string>& plural_determiners();

/// Joins non-empty parts with single spaces.
std::string join(const std::vector<std::string>& parts);

}  // namespace metatt::transformer::language
