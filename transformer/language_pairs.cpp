#include <metatt/transformer/language_grammar.hpp>

#include <algorithm>
#include <utility>

namespace metatt::transformer::language {
namespace {

constexpr int verb_points = 12;
constexpr int participant_points = 10;
constexpr int adjective_points = 2;
constexpr int place_points = 4;
constexpr int thousandths_per_point = 125;

int participant_similarity(const Entity& left, const Entity& right) {
  if (left.noun == right.noun && left.name == right.name) return participant_points;
  const bool siblings =
      left.noun != nullptr && right.noun != nullptr && left.noun->category == right.noun->category;
  return siblings ? participant_points / 2 : 0;
}

/// Another noun of the same category, in the same number and with the same adjective.
void replace_by_sibling(Entity& entity, const std::vector<Noun>& nouns, RandomSource& random) {
  if (entity.noun == nullptr) return;
  const Noun* sibling = entity.noun;
  while (sibling == entity.noun || sibling->category != entity.noun->category) {
    sibling = &random.pick(nouns);
  }
  entity.noun = sibling;
}

void change_place(Event& event, const Lexicon& lexicon, RandomSource& random) {
  event.place = event.place == nullptr ? &random.pick(lexicon.places) : nullptr;
}

void change_one_aspect(Event& event, const Lexicon& lexicon, RandomSource& random) {
  const bool person = event.kind == EventKind::person;
  const auto& patients = person ? lexicon.people : lexicon.things;
  const auto draw = random.below(100);
  if (draw < 25) {
    event.verb = &random.pick(verbs_of(lexicon, event.kind));
  } else if (draw < 45) {
    event.agent = sample_person(lexicon, random, event.patient);
  } else if (draw < 65) {
    event.patient =
        person ? sample_person(lexicon, random, event.agent) : sample_thing(lexicon, random);
  } else if (draw < 75) {
    replace_by_sibling(event.agent, lexicon.people, random);
  } else if (draw < 85) {
    replace_by_sibling(event.patient, patients, random);
  } else if (draw < 95) {
    change_place(event, lexicon, random);
  } else {
    event.negated = !event.negated;
  }
}

}  // namespace

int similarity(const Event& left, const Event& right) {
  int points = left.verb == right.verb ? verb_points : 0;
  points += participant_similarity(left.agent, right.agent);
  points += participant_similarity(left.patient, right.patient);
  points += left.agent.adjective == right.agent.adjective ? adjective_points : 0;
  points += left.patient.adjective == right.patient.adjective ? adjective_points : 0;
  points += left.place == right.place ? place_points : 0;
  const int thousandths = thousandths_per_point * points;
  return left.negated == right.negated ? thousandths : thousandths * 3 / 5;
}

SentencePair sample_paraphrase(const Lexicon& lexicon, RandomSource& random, bool paraphrase) {
  const auto event = sample_event(lexicon, random);
  const auto other = paraphrase ? event : altered(event, lexicon, random);
  SentencePair pair;
  do {
    pair.first = realise(event, random);
    pair.second = realise(other, random);
  } while (pair.first == pair.second);
  return pair;
}

ScoredPair sample_similarity(const Lexicon& lexicon, RandomSource& random) {
  const auto kind = random.chance(70) ? EventKind::person : EventKind::thing;
  const auto event = sample_event(lexicon, random, kind);
  auto other = event;
  if (random.chance(15)) {
    other = sample_event(lexicon, random, kind);
  } else {
    if (random.chance(15)) swap_roles(other);
    for (auto changes = random.below(5); changes > 0; --changes) {
      change_one_aspect(other, lexicon, random);
    }
  }
  ScoredPair pair;
  do {
    pair.sentences = {realise(event, random), realise(other, random)};
  } while (pair.sentences.first == pair.sentences.second);
  pair.thousandths = similarity(event, other);
  return pair;
}

}  // namespace metatt::transformer::language
