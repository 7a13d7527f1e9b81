#include <metatt/transformer/language_grammar.hpp>

#include <utility>

namespace metatt::transformer::language {
namespace {

Event affirmed(Event event) {
  event.negated = false;
  return event;
}

std::string sentence_of(const std::vector<std::string>& parts) {
  auto words = parts;
  words.push_back(".");
  return join(words);
}

/// Affirmed, without a place, and with short participants, so that clauses can be nested.
Event short_event(const Lexicon& lexicon, RandomSource& random, EventKind kind) {
  auto event = affirmed(sample_event(lexicon, random, kind));
  event.place = nullptr;
  event.agent.adjective = nullptr;
  event.patient.adjective = nullptr;
  return event;
}

/// "every", "no" and "some" with a wide and a narrow restrictor (poet ⊂ artist, tall poet ⊂ poet):
/// every and no let the narrow one follow, some the wide one.
SentencePair quantifiers(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  static const std::vector<std::string> all_quantifiers = {"every", "no", "some"};
  const auto& quantifier = random.pick(all_quantifiers);
  const auto& noun = random.pick(lexicon.people);
  const auto& category = lexicon.person_categories[noun.category].singular;
  const bool by_adjective = random.chance(50);
  const auto wide = by_adjective ? noun.singular : category;
  const auto narrow =
      by_adjective ? join({random.pick(random.pick(lexicon.person_adjectives)), noun.singular})
                   : noun.singular;
  const bool narrow_follows = (quantifier != "some") == entailed;
  const auto event = short_event(lexicon, random, EventKind::person);
  const auto& verb = random.pick(*event.verb);
  const auto& first = narrow_follows ? wide : narrow;
  const auto& second = narrow_follows ? narrow : wide;
  const auto other = noun_phrase(event.patient, random);
  if (random.chance(50)) {
    return {sentence_of({quantifier, first, verb.past, other}),
            sentence_of({quantifier, second, verb.past, other})};
  }
  return {sentence_of({other, verb.past, quantifier, first}),
          sentence_of({other, verb.past, quantifier, second})};
}

/// A joined subject: "and" lets one part follow, "or" follows from one part.
SentencePair joined_subjects(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  const auto first = sample_person(lexicon, random);
  const auto second = sample_person(lexicon, random, first);
  const bool both = random.chance(50);
  const auto joined =
      join({noun_phrase(first, random), both ? "and" : "or", noun_phrase(second, random)});
  const auto part = noun_phrase(random.chance(50) ? first : second, random);
  const auto event =
      short_event(lexicon, random, random.chance(50) ? EventKind::intransitive : EventKind::person);
  const auto long_form = sentence_of({joined, active_predicate(event, random)});
  const auto short_form = sentence_of({part, active_predicate(event, random)});
  if (both == entailed) return {long_form, short_form};
  return {short_form, long_form};
}

/// What a sentence about two events says, or a rearrangement of its words that it does not say.
std::string part_of(const Event& main, const Event& side, RandomSource& random, bool entailed) {
  if (entailed) return realise(random.chance(50) ? main : side, random);
  auto wrong = random.chance(50) ? main : side;
  if (wrong.kind != EventKind::person) {
    wrong.agent = side.agent == wrong.agent ? side.patient : side.agent;
    return realise(wrong, random);
  }
  swap_roles(wrong);
  return realise(wrong, random);
}

/// "the poet laughed and thanked the judge."
SentencePair joined_predicates(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  auto main = short_event(lexicon, random, EventKind::intransitive);
  auto side = short_event(lexicon, random, EventKind::person);
  main.agent = side.agent;
  auto first = active_predicate(main, random);
  auto second = active_predicate(side, random);
  if (random.chance(50)) std::swap(first, second);
  const auto premise = sentence_of({noun_phrase(side.agent, random), first, "and", second});
  return {premise, part_of(main, side, random, entailed)};
}

/// "the poet that thanked the judge laughed", "the poet that the judge thanked laughed".
SentencePair relative_clauses(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  auto main = short_event(lexicon, random, EventKind::intransitive);
  auto side = short_event(lexicon, random, EventKind::person);
  while (side.agent.noun == nullptr) side = short_event(lexicon, random, EventKind::person);
  main.agent = side.agent;
  const auto head = noun_phrase(side.agent, random);
  const auto& verb = random.pick(*side.verb);
  const auto other = noun_phrase(side.patient, random);
  std::string clause = join({verb.past, other});
  if (random.chance(50)) {
    clause = join({other, verb.past});
    swap_roles(side);
  }
  const auto premise = sentence_of({head, "that", clause, active_predicate(main, random)});
  return {premise, part_of(main, side, random, entailed)};
}

/// What one knows is true, what one claims need not be; and no clause says its own negation.
SentencePair reported_clauses(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  static const std::vector<std::string> factive = {"knew", "realised", "noticed"};
  static const std::vector<std::string> other_verbs = {"hoped", "claimed"};
  auto event = short_event(lexicon, random, EventKind::person);
  event.negated = random.chance(50);
  const auto speaker = noun_phrase(sample_person(lexicon, random, event.agent), random);
  const bool fact = entailed || random.chance(50);
  const auto premise =
      join({speaker, random.pick(fact ? factive : other_verbs), "that", realise(event, random)});
  if (!entailed && fact) swap_roles(event);
  return {premise, realise(event, random)};
}

/// An affirmed event happened also without the place; a denied one did not happen there either. The
/// reverse does not follow.
SentencePair modifiers(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  auto full =
      sample_event(lexicon, random, random.chance(60) ? EventKind::person : EventKind::transfer);
  full.negated = random.chance(50);
  full.place = &random.pick(lexicon.places);
  auto bare = full;
  bare.place = nullptr;
  auto full_sentence = realise(full, random);
  auto bare_sentence = realise(bare, random);
  if (full.negated == entailed) std::swap(full_sentence, bare_sentence);
  return {full_sentence, bare_sentence};
}

/// Another wording of the same event, or of one with swapped roles.
SentencePair wordings(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  const auto event =
      sample_event(lexicon, random, random.chance(50) ? EventKind::person : EventKind::transfer);
  auto other = event;
  if (!entailed) swap_roles(other);
  SentencePair pair;
  do {
    pair.first = realise(event, random);
    pair.second = realise(other, random);
  } while (pair.first == pair.second);
  return pair;
}

}  // namespace

SentencePair sample_entailment(const Lexicon& lexicon, RandomSource& random, bool entailed) {
  using Construction = SentencePair (*)(const Lexicon&, RandomSource&, bool);
  static constexpr std::array<Construction, 7> constructions = {
      quantifiers,      joined_subjects, joined_predicates, relative_clauses,
      reported_clauses, modifiers,       wordings};
  const auto construction = constructions[random.below(constructions.size())];
  auto pair = construction(lexicon, random, entailed);
  while (!fits(pair.first) || !fits(pair.second)) pair = construction(lexicon, random, entailed);
  return pair;
}

}  // namespace metatt::transformer::language
