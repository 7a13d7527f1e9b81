#include <metatt/transformer/rank_schedule.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

#include <charconv>

namespace metatt::transformer {

namespace {

template <class... Parts>
[[noreturn]] void bad_schedule(const std::string& text, const Parts&... why) {
  tn::fail(
      "rank_schedule: expected WHEN:WHAT,WHEN:WHAT,… with epochs (3) or steps (200s) from 0 "
      "rising, "
      "and ranks (8), a rank for each bond (8-4-8), cutoff=… or parameters=…, found \"",
      text, "\": ", why...);
}

template <class Number>
Number parse_number(const std::string& whole, std::string_view part) {
  Number value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  if (error != std::errc() || end != part.data() + part.size() || !(value >= 0))
    bad_schedule(whole, "\"", part, "\" is no number");
  return value;
}

RankTarget parse_target(const std::string& whole, std::string_view part) {
  constexpr std::string_view cutoff = "cutoff=", parameters = "parameters=";
  RankTarget target;
  if (part.starts_with(cutoff)) {
    target.budget.cutoff = parse_number<double>(whole, part.substr(cutoff.size()));
    if (target.budget.cutoff >= 1) bad_schedule(whole, "a cutoff is below 1");
    return target;
  }
  if (part.starts_with(parameters)) {
    target.budget.maximum_parameters = parse_number<Index>(whole, part.substr(parameters.size()));
    return target;
  }
  for (const std::string& rank : tn::split_at(part, '-')) {
    target.ranks.push_back(parse_number<Index>(whole, rank));
    if (target.ranks.back() < 1) bad_schedule(whole, "a rank below 1");
  }
  return target;
}

}  // namespace

std::vector<RankStep> parse_rank_schedule(const std::string& text) {
  std::vector<RankStep> steps;
  for (const std::string& part : tn::split_at(text, ',')) {
    const std::size_t colon = part.find(':');
    if (colon == std::string::npos) bad_schedule(text, "\"", part, "\" has no \":\"");
    std::string_view when = std::string_view(part).substr(0, colon);
    RankStep step;
    step.in_steps = when.ends_with('s');
    if (step.in_steps) when.remove_suffix(1);
    step.when = parse_number<Index>(text, when);
    constexpr Index latest = 1'000'000'000;
    if (step.when > latest) bad_schedule(text, step.when, " is more than ", latest);
    step.target = parse_target(text, std::string_view(part).substr(colon + 1));
    if (steps.empty()) {
      if (step.when != 0) bad_schedule(text, "the first entry is not 0");
      if (step.target.ranks.empty()) bad_schedule(text, "training starts with ranks");
    } else {
      if (steps.size() > 1 && step.in_steps != steps.back().in_steps)
        bad_schedule(text, "the entries after the first mix epochs and steps");
      if (step.when <= steps.back().when)
        bad_schedule(text, step.when, " does not come after ", steps.back().when);
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace metatt::transformer
