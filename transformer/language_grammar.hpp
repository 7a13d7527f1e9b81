#pragma once
/// Template grammar of the built-in language: events and their many wordings, and one generator for
/// each task. Every generator is a pure function of the lexicon and the state of the sampler.

#include <metatt/transformer/language_lexicon.hpp>

#include <array>
#include <string>

namespace metatt::transformer::language {

/// A participant: a name, or a noun with an optional adjective. Pointers go into the lexicon.
struct Entity {
  const Noun* noun = nullptr;
  const Name* name = nullptr;
  const AdjectiveGroup* adjective = nullptr;
  bool plural = false;

  bool present() const { return noun != nullptr || name != nullptr; }
  bool operator==(const Entity&) const = default;
};

enum class EventKind { intransitive, person, thing, transfer };

/// Who did what to whom, where. Two events are equal when they mean the same.
struct Event {
  EventKind kind = EventKind::person;
  const VerbGroup* verb = nullptr;
  Entity agent;
  Entity patient;    ///< absent in intransitive events
  Entity recipient;  ///< present in transfer events only
  const std::string* place = nullptr;
  bool negated = false;

  bool operator==(const Event&) const = default;
};

struct AcceptabilityRow {
  std::string phenomenon;
  std::string sentence;
};

struct SentencePair {
  std::string first;
  std::string second;
};

struct ScoredPair {
  SentencePair sentences;
  int thousandths = 0;  ///< similarity 0 … 5 in units of 0.001
};

/// Longest sentence in words, full stop included.
inline constexpr std::size_t longest_sentence = 16;

bool fits(const std::string& sentence);

/// A person (noun or name); `without` is never chosen again, so that two participants differ.
Entity sample_person(const Lexicon& lexicon, RandomSource& random, const Entity& without = {});
Entity sample_thing(const Lexicon& lexicon, RandomSource& random);
Event sample_event(const Lexicon& lexicon, RandomSource& random, EventKind kind);
/// Of a random kind with two or three participants.
Event sample_event(const Lexicon& lexicon, RandomSource& random);
const std::vector<VerbGroup>& verbs_of(const Lexicon& lexicon, EventKind kind);

/// "the tall poets", "anna", "the poet that was clever": any synonym of the adjective.
std::string noun_phrase(const Entity& entity, RandomSource& random);
/// A sentence of at most longest_sentence words that means the event: any synonyms, active, passive
/// or dative wording, negation by "did not" or "failed to", the place first or last.
std::string realise(const Event& event, RandomSource& random);
/// "helped the poet" or "was helped by …": predicates without subject are active.
std::string active_predicate(const Event& event, RandomSource& random);
/// Swaps agent and patient (or recipient, or the subject's adjective); the same words, another
/// meaning. Returns false where the event has no two persons.
bool swap_roles(Event& event);
/// An event of another meaning that shares most of its words: swapped roles or adjectives, another
/// verb, person or adjective, or the opposite polarity.
Event altered(const Event& event, const Lexicon& lexicon, RandomSource& random);

/// One acceptable or unacceptable sentence of a random phenomenon.
AcceptabilityRow sample_acceptability(const Lexicon& lexicon, RandomSource& random,
                                      bool acceptable);
/// Two sentences that mean the same, or almost but not the same.
SentencePair sample_paraphrase(const Lexicon& lexicon, RandomSource& random, bool paraphrase);
/// A premise and a hypothesis that follows from it, or does not.
SentencePair sample_entailment(const Lexicon& lexicon, RandomSource& random, bool entailed);
/// Two sentences and their similarity(); all scores from 0 to 5 occur.
ScoredPair sample_similarity(const Lexicon& lexicon, RandomSource& random);

/// Similarity of two events of one kind in thousandths, 0 … 5000: 125 for each of 40 points: verb
/// 12, agent 10, patient 10 (5 for another word of the same category), place 4, the two adjectives
/// 2 each; three fifths of it when exactly one is negated. Roles count, wording does not.
int similarity(const Event& left, const Event& right);

}  // namespace metatt::transformer::language
