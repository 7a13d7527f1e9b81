#include <metatt/transformer/language_grammar.hpp>

#include <utility>

namespace metatt::transformer::language {
namespace {

/// "the poets", "these poets", "every poet": the determiner agrees, whatever the label depends on.
std::string plain(const Noun& noun, bool plural, RandomSource& random) {
  const auto determiner = random.chance(60)
                              ? "the"
                              : random.pick(plural ? plural_determiners() : singular_determiners());
  return join({determiner, plural ? noun.plural : noun.singular});
}

const Noun& other_person(const Lexicon& lexicon, RandomSource& random, const Noun& first) {
  const Noun* second = &random.pick(lexicon.people);
  while (second == &first) second = &random.pick(lexicon.people);
  return *second;
}

/// Draws the noun, then its number.
std::string any_phrase(const std::vector<Noun>& nouns, RandomSource& random) {
  const auto& noun = random.pick(nouns);
  return plain(noun, random.chance(50), random);
}

const Verb& any_verb(const std::vector<VerbGroup>& groups, RandomSource& random) {
  return random.pick(random.pick(groups));
}

std::string present(const Verb& verb, bool plural) {
  return plural ? verb.base : verb.third_person;
}

std::string present_predicate(const Lexicon& lexicon, RandomSource& random, bool plural) {
  const auto draw = random.below(100);
  if (draw < 50) return present(any_verb(lexicon.intransitive_verbs, random), plural);
  if (draw < 75) {
    return join({present(any_verb(lexicon.thing_verbs, random), plural),
                 any_phrase(lexicon.things, random)});
  }
  return join({present(any_verb(lexicon.transfer_verbs, random), plural),
               random.pick(lexicon.names).word, any_phrase(lexicon.things, random)});
}

std::string maybe_place(const Lexicon& lexicon, RandomSource& random) {
  return random.chance(40) ? "in the " + random.pick(lexicon.places) : "";
}

/// An adjective that no label depends on, for variety.
std::string maybe_adjective(const Lexicon& lexicon, RandomSource& random) {
  return random.chance(30) ? random.pick(random.pick(lexicon.person_adjectives)) : "";
}

/// The verb agrees with the head of the subject, not with the noun beside it; joined subjects are
/// plural: "the poet near the judges laughs", "the poet and the judge laugh".
std::string agreement(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& head = random.pick(lexicon.people);
  const auto& attractor = other_person(lexicon, random, head);
  const bool head_plural = random.chance(50);
  const bool attractor_plural = random.chance(50);
  const bool joined = random.chance(35);
  const bool plural = (joined || head_plural) == acceptable;
  const auto predicate = present_predicate(lexicon, random, plural);
  return join({plain(head, head_plural, random), joined ? "and" : random.pick(prepositions()),
               plain(attractor, attractor_plural, random), predicate,
               maybe_place(lexicon, random)});
}

/// Agreement in and around a relative clause: "the poets that the judge admires laugh".
std::string agreement_across_clause(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& head = random.pick(lexicon.people);
  const auto& attractor = other_person(lexicon, random, head);
  const bool head_plural = random.chance(50);
  const bool attractor_plural = random.chance(50);
  const bool object_clause = random.chance(50);
  const bool fault_inside = !acceptable && random.chance(35);
  const bool fault_outside = !acceptable && !fault_inside;
  const auto& inner = any_verb(lexicon.person_verbs, random);
  const auto clause = object_clause ? join({plain(attractor, attractor_plural, random),
                                            present(inner, attractor_plural != fault_inside)})
                                    : join({present(inner, head_plural != fault_inside),
                                            plain(attractor, attractor_plural, random)});
  return join({plain(head, head_plural, random), "that", clause,
               present(any_verb(lexicon.intransitive_verbs, random), head_plural != fault_outside),
               maybe_place(lexicon, random)});
}

std::string reflexive_of(bool plural, bool female) {
  if (plural) return "themselves";
  return female ? "herself" : "himself";
}

/// The reflexive agrees in number with the head of its own clause: "the judges near the poet
/// thanked themselves".
std::string reflexive_number(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& head = random.pick(lexicon.people);
  const auto& attractor = other_person(lexicon, random, head);
  const bool head_plural = random.chance(50);
  const bool attractor_plural = random.chance(50);
  const auto reflexive = reflexive_of(head_plural == acceptable, random.chance(50));
  const auto& verb = any_verb(lexicon.person_verbs, random);
  if (random.chance(50)) {
    return join({plain(head, head_plural, random), random.pick(prepositions()),
                 plain(attractor, attractor_plural, random), verb.past, reflexive});
  }
  const std::string saying = random.chance(50) ? "hoped" : "claimed";
  return join({plain(attractor, attractor_plural, random), saying, "that",
               plain(head, head_plural, random), verb.past, reflexive});
}

/// The reflexive agrees in gender with the nearest clause's subject: "anna claimed that henry
/// thanked himself".
std::string reflexive_gender(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& inner = random.pick(lexicon.names);
  const Name* outer = &random.pick(lexicon.names);
  while (outer == &inner) outer = &random.pick(lexicon.names);
  const std::string saying = random.chance(50) ? "hoped" : "claimed";
  return join({outer->word, saying, "that", inner.word, any_verb(lexicon.person_verbs, random).past,
               reflexive_of(false, inner.female == acceptable)});
}

/// Transitive verbs need their object, intransitive verbs bear none and have no passive.
std::string subcategorisation(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& subject = random.pick(lexicon.people);
  const bool with_object = random.chance(50);
  const auto& verb = any_verb(
      with_object == acceptable ? lexicon.person_verbs : lexicon.intransitive_verbs, random);
  const auto head = join({"the", maybe_adjective(lexicon, random), subject.singular});
  const auto& object = other_person(lexicon, random, subject);
  const auto place = maybe_place(lexicon, random);
  if (!with_object) return join({head, random.pick(adverbs()), verb.past, place});
  if (random.chance(40)) return join({head, "was", random.pick(adverbs()), verb.participle, place});
  return join({head, verb.past, plain(object, random.chance(50), random), place});
}

/// Persons act on things: "the poet repaired the truck", not the reverse; passives turn it round.
std::string animacy(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const bool person_plural = random.chance(50);
  const bool thing_plural = random.chance(50);
  auto subject = join(
      {"the", maybe_adjective(lexicon, random),
       person_plural ? random.pick(lexicon.people).plural : random.pick(lexicon.people).singular});
  auto object = plain(random.pick(lexicon.things), thing_plural, random);
  const auto& verb = any_verb(lexicon.thing_verbs, random);
  const bool passive = random.chance(50);
  bool first_plural = person_plural;
  if (passive == acceptable) {
    std::swap(subject, object);
    first_plural = thing_plural;
  }
  const auto place = maybe_place(lexicon, random);
  if (!passive) {
    const auto form = random.chance(50) ? verb.past : present(verb, first_plural);
    return join({subject, form, object, place});
  }
  return join({subject, first_plural ? "were" : "was", verb.participle, "by", object, place});
}

/// "these clever poets", "every clever poet".
std::string determiner_number(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const bool plural = random.chance(50);
  const auto& noun = random.pick(lexicon.people);
  const auto& object = other_person(lexicon, random, noun);
  const auto phrase =
      join({random.pick(plural ? plural_determiners() : singular_determiners()),
            maybe_adjective(lexicon, random), plural == acceptable ? noun.plural : noun.singular});
  const auto& verb = any_verb(lexicon.person_verbs, random);
  const auto other = plain(object, random.chance(50), random);
  const auto place = maybe_place(lexicon, random);
  if (random.chance(50)) return join({phrase, verb.past, other, place});
  return join({other, verb.past, phrase, place});
}

/// Two neighbouring words change places.
std::string word_order(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& head = random.pick(lexicon.people);
  std::vector<std::string> words = {"the",
                                    random.pick(random.pick(lexicon.person_adjectives)),
                                    head.singular,
                                    random.pick(prepositions()),
                                    "the",
                                    other_person(lexicon, random, head).plural,
                                    "has",
                                    random.pick(adverbs()),
                                    any_verb(lexicon.intransitive_verbs, random).participle};
  const auto place = maybe_place(lexicon, random);
  if (!acceptable) {
    // The adverb keeps its place: English allows it several.
    const auto position = 1 + random.below(5);
    std::swap(words[position], words[position + 1]);
  }
  words.push_back(place);
  return join(words);
}

/// "who" leaves a gap, "that" leaves none: each of the two needs the other half of the clause.
std::string filler_gap(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& subject = random.pick(lexicon.people);
  const auto& object = other_person(lexicon, random, subject);
  const bool has_gap = random.chance(50);
  const std::string complementiser = has_gap == acceptable ? "who" : "that";
  static const std::vector<std::string> knowing = {"knew", "realised", "noticed"};
  const auto outer =
      random.chance(50) ? random.pick(lexicon.names).word : any_phrase(lexicon.people, random);
  return join(
      {outer, random.pick(knowing), complementiser, plain(subject, random.chance(50), random),
       any_verb(lexicon.person_verbs, random).past,
       has_gap ? "" : plain(object, random.chance(50), random), maybe_place(lexicon, random)});
}

/// Modals and "did" need the base form, "had" the participle, across adverb or subject.
std::string auxiliary_form(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const bool perfect = random.chance(50);
  const auto& verb = any_verb(lexicon.intransitive_verbs, random);
  const auto& subject = random.pick(lexicon.people);
  const auto form = perfect == acceptable ? verb.participle : verb.base;
  const std::string auxiliary = perfect ? "had" : (random.chance(50) ? "will" : "did");
  const auto phrase = join({"the", maybe_adjective(lexicon, random),
                            random.chance(50) ? subject.plural : subject.singular});
  if (random.chance(30) && auxiliary != "will") {
    return join(
        {auxiliary, phrase, random.pick(adverbs()), form, maybe_place(lexicon, random), "?"});
  }
  return join({phrase, auxiliary, auxiliary == "did" ? "not" : random.pick(adverbs()), form,
               maybe_place(lexicon, random)});
}

/// "ever" needs a "no" above it; one inside a relative clause does not count.
std::string polarity(const Lexicon& lexicon, RandomSource& random, bool acceptable) {
  const auto& head = random.pick(lexicon.people);
  const auto& other = other_person(lexicon, random, head);
  const std::string outer = acceptable ? "no" : "the";
  const std::string inner = acceptable ? "the" : "no";
  const auto& verb = any_verb(lexicon.person_verbs, random);
  const auto clause = random.chance(50) ? join({inner, other.singular, verb.past})
                                        : join({verb.past, inner, other.singular});
  return join({outer, head.singular, "that", clause, "has ever",
               any_verb(lexicon.intransitive_verbs, random).participle,
               maybe_place(lexicon, random)});
}

struct Phenomenon {
  const char* label;
  std::string (*sample)(const Lexicon&, RandomSource&, bool);
};

constexpr std::array phenomena = {
    Phenomenon{"agreement", agreement},
    Phenomenon{"agreement-clause", agreement_across_clause},
    Phenomenon{"reflexive-number", reflexive_number},
    Phenomenon{"reflexive-gender", reflexive_gender},
    Phenomenon{"subcategorisation", subcategorisation},
    Phenomenon{"animacy", animacy},
    Phenomenon{"determiner", determiner_number},
    Phenomenon{"word-order", word_order},
    Phenomenon{"filler-gap", filler_gap},
    Phenomenon{"auxiliary", auxiliary_form},
    Phenomenon{"polarity", polarity},
};

}  // namespace

AcceptabilityRow sample_acceptability(const Lexicon& lexicon, RandomSource& random,
                                      bool acceptable) {
  const auto& phenomenon = phenomena[random.below(phenomena.size())];
  auto sentence = phenomenon.sample(lexicon, random, acceptable);
  if (!sentence.ends_with('?')) sentence += " .";
  return {phenomenon.label, sentence};
}

}  // namespace metatt::transformer::language
