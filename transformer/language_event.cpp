#include <metatt/transformer/language_grammar.hpp>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace metatt::transformer::language {
namespace {

const AdjectiveGroup* maybe_adjective(const std::vector<AdjectiveGroup>& adjectives,
                                      RandomSource& random) {
  return random.chance(30) ? &random.pick(adjectives) : nullptr;
}

std::string place_phrase(const Event& event) {
  return event.place == nullptr ? "" : "in the " + *event.place;
}

std::string was(const Entity& subject) {
  return subject.plural ? "were" : "was";
}

std::string negated_finite(const Verb& verb, RandomSource& random) {
  return random.chance(40) ? "failed to " + verb.base : "did not " + verb.base;
}

std::string finite(const Event& event, const Verb& verb, RandomSource& random) {
  return event.negated ? negated_finite(verb, random) : verb.past;
}

std::string passive_verb(const Event& event, const Entity& subject, const Verb& verb) {
  return join({was(subject), event.negated ? "not" : "", verb.participle});
}

std::string passive_clause(const Event& event, RandomSource& random) {
  const auto& verb = random.pick(*event.verb);
  if (event.kind != EventKind::transfer) {
    return join({noun_phrase(event.patient, random), passive_verb(event, event.patient, verb), "by",
                 noun_phrase(event.agent, random)});
  }
  const bool recipient_first = random.chance(50);
  const auto& subject = recipient_first ? event.recipient : event.patient;
  const auto& other = recipient_first ? event.patient : event.recipient;
  return join({noun_phrase(subject, random), passive_verb(event, subject, verb),
               recipient_first ? "" : "to", noun_phrase(other, random), "by",
               noun_phrase(event.agent, random)});
}

std::string wording(const Event& event, RandomSource& random) {
  const bool passive = event.kind != EventKind::intransitive && random.chance(40);
  const auto clause =
      passive ? passive_clause(event, random)
              : join({noun_phrase(event.agent, random), active_predicate(event, random)});
  const auto place = place_phrase(event);
  if (place.empty()) return join({clause, "."});
  return random.chance(30) ? join({place, ",", clause, "."}) : join({clause, place, "."});
}

bool swap_adjectives(Event& event) {
  auto& partner = event.kind == EventKind::transfer ? event.recipient : event.patient;
  if (event.kind == EventKind::thing || event.agent.noun == nullptr || partner.noun == nullptr) {
    return false;
  }
  std::swap(event.agent.adjective, partner.adjective);
  return true;
}

void change_patient(Event& event, const Lexicon& lexicon, RandomSource& random) {
  if (event.kind == EventKind::person) {
    event.patient = sample_person(lexicon, random, event.agent);
  } else {
    event.patient = sample_thing(lexicon, random);
  }
}

bool change_adjective(Event& event, const Lexicon& lexicon, RandomSource& random) {
  auto& changed = event.kind == EventKind::thing ? event.patient : event.agent;
  if (changed.adjective == nullptr) return false;
  changed.adjective = &random.pick(event.kind == EventKind::thing ? lexicon.thing_adjectives
                                                                  : lexicon.person_adjectives);
  return true;
}

void alter(Event& event, const Lexicon& lexicon, RandomSource& random) {
  const auto draw = random.below(100);
  if (draw < 25) {
    swap_roles(event);
  } else if (draw < 30) {
    swap_adjectives(event);
  } else if (draw < 42) {
    event.negated = !event.negated;
  } else if (draw < 62) {
    event.verb = &random.pick(verbs_of(lexicon, event.kind));
  } else if (draw < 85) {
    event.agent =
        sample_person(lexicon, random, event.recipient.present() ? event.recipient : event.patient);
  } else if (draw < 95) {
    change_patient(event, lexicon, random);
  } else {
    change_adjective(event, lexicon, random);
  }
}

}  // namespace

bool fits(const std::string& sentence) {
  return static_cast<std::size_t>(std::count(sentence.begin(), sentence.end(), ' ')) <
         longest_sentence;
}

Entity sample_person(const Lexicon& lexicon, RandomSource& random, const Entity& without) {
  Entity entity;
  if (random.chance(25)) {
    do entity.name = &random.pick(lexicon.names);
    while (entity.name == without.name);
    return entity;
  }
  do entity.noun = &random.pick(lexicon.people);
  while (entity.noun == without.noun);
  entity.plural = random.chance(35);
  entity.adjective = maybe_adjective(lexicon.person_adjectives, random);
  return entity;
}

Entity sample_thing(const Lexicon& lexicon, RandomSource& random) {
  Entity entity;
  entity.noun = &random.pick(lexicon.things);
  entity.plural = random.chance(35);
  entity.adjective = maybe_adjective(lexicon.thing_adjectives, random);
  return entity;
}

const std::vector<VerbGroup>& verbs_of(const Lexicon& lexicon, EventKind kind) {
  switch (kind) {
    case EventKind::intransitive:
      return lexicon.intransitive_verbs;
    case EventKind::person:
      return lexicon.person_verbs;
    case EventKind::thing:
      return lexicon.thing_verbs;
    case EventKind::transfer:
      return lexicon.transfer_verbs;
  }
  std::abort();
}

Event sample_event(const Lexicon& lexicon, RandomSource& random, EventKind kind) {
  Event event;
  event.kind = kind;
  event.verb = &random.pick(verbs_of(lexicon, kind));
  event.agent = sample_person(lexicon, random);
  if (kind == EventKind::person) event.patient = sample_person(lexicon, random, event.agent);
  if (kind == EventKind::thing || kind == EventKind::transfer) {
    event.patient = sample_thing(lexicon, random);
  }
  if (kind == EventKind::transfer) {
    event.patient.adjective = nullptr;
    event.recipient = sample_person(lexicon, random, event.agent);
  }
  if (random.chance(20)) event.place = &random.pick(lexicon.places);
  event.negated = random.chance(20);
  return event;
}

Event sample_event(const Lexicon& lexicon, RandomSource& random) {
  const auto draw = random.below(100);
  if (draw < 55) return sample_event(lexicon, random, EventKind::person);
  return sample_event(lexicon, random, draw < 80 ? EventKind::transfer : EventKind::thing);
}

std::string noun_phrase(const Entity& entity, RandomSource& random) {
  if (entity.name != nullptr) return entity.name->word;
  const auto& noun = entity.plural ? entity.noun->plural : entity.noun->singular;
  if (entity.adjective == nullptr) return "the " + noun;
  const auto& adjective = random.pick(*entity.adjective);
  if (random.chance(10)) return join({"the", noun, "that", was(entity), adjective});
  return join({"the", adjective, noun});
}

std::string active_predicate(const Event& event, RandomSource& random) {
  const auto verb = finite(event, random.pick(*event.verb), random);
  if (event.kind == EventKind::intransitive) return verb;
  const auto patient = noun_phrase(event.patient, random);
  if (event.kind != EventKind::transfer) return join({verb, patient});
  const auto recipient = noun_phrase(event.recipient, random);
  if (random.chance(50)) return join({verb, recipient, patient});
  return join({verb, patient, "to", recipient});
}

std::string realise(const Event& event, RandomSource& random) {
  auto sentence = wording(event, random);
  while (!fits(sentence)) sentence = wording(event, random);
  return sentence;
}

bool swap_roles(Event& event) {
  if (event.kind == EventKind::person) {
    std::swap(event.agent, event.patient);
    return true;
  }
  if (event.kind == EventKind::transfer) {
    std::swap(event.agent, event.recipient);
    return true;
  }
  return false;
}

Event altered(const Event& event, const Lexicon& lexicon, RandomSource& random) {
  Event changed = event;
  do {
    for (auto changes = 1 + random.below(3); changes > 0; --changes) {
      alter(changed, lexicon, random);
    }
  } while (changed == event);
  return changed;
}

}  // namespace metatt::transformer::language
