#include <metatt/tn/files/model_file.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/coefficient.hpp>
#include <metatt/tn/files/file.hpp>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

namespace metatt::tn {

namespace {

using Words = std::vector<std::string>;

Words split_words(const std::string& line) {
  std::istringstream stream(line.substr(0, line.find('#')));
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

constexpr Index longest_chain = 1'000'000;
constexpr Index most_states = 1000;  ///< of a site

/// A whole number within these bounds.
Index read_whole(const std::string& word, Index least, Index most) {
  Index value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < least || value > most)
    fail("expected a whole number from ", least, " to ", most, ", found \"", word, "\"");
  return value;
}

/// "spin 1/2", "fermion", "electron", "boson 4".
Site read_site(std::span<const std::string> words) {
  const auto argument = [&] { return words.size() == 2 ? words[1] : std::string(); };
  if (words.size() == 1 && words[0] == "fermion") return fermion_site();
  if (words.size() == 1 && words[0] == "electron") return electron_site();
  if (words.size() == 2 && words[0] == "boson")
    return boson_site(static_cast<int>(read_whole(argument(), 1, most_states)));
  if (words.size() == 2 && words[0] == "spin") {
    const std::string spin = argument();
    const bool half = spin.ends_with("/2");
    const Index number = read_whole(half ? spin.substr(0, spin.size() - 2) : spin, 1, most_states);
    return spin_site(static_cast<int>(half ? number : 2 * number));
  }
  fail("expected a site \"spin S\", \"fermion\", \"electron\" or \"boson LARGEST\", found \"",
       joined(words), "\"");
}

/// What the lines of a text say, before the length of the chain is known.
class ModelText {
 public:
  ModelText(const std::string& text, const std::string& name, const ModelChoices& choices)
      : choices_(choices), length_(choices.length) {
    Index number = 0;
    for (const std::string& line : split_lines(text)) {
      const std::string place = name + ": line " + std::to_string(++number);
      const Words words = split_words(line);
      if (!words.empty()) at(place, [&] { read(words, place); });
    }
    at(name, [&] { check_choices(); });
  }

  ChainModel model(const std::string& name) const {
    ChainModel result;
    at(name, [&] { make_sites(result); });
    for (const Term& term : terms_) at(term.place, [&] { add(term, result); });
    if (result.hamiltonian.terms().empty())
      fail(name, ": expected at least one term that is not zero, found none");
    return result;
  }

 private:
  struct Term {
    std::string place, kind;
    Words words;  // coefficient, operators and places
  };

  /// Errors of `action` get the place in front.
  template <class Action>
  static void at(const std::string& place, const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      fail(place, ": ", error.what());
    }
  }

  void read(const Words& words, const std::string& place) {
    const std::string& key = words.front();
    const std::span<const std::string> rest = std::span(words).subspan(1);
    const bool once = key == "length" || key == "site" || key == "conserve" || key == "start";
    if (once && !seen_.insert(key).second) fail("\"", key, "\" is there twice");
    if (key == "term" || key == "everywhere" || key == "ring" || key == "pairs")
      terms_.push_back({place, key, {rest.begin(), rest.end()}});
    else if (rest.empty())
      fail("expected something behind \"", key, "\"");
    else if (key == "length")
      length_ = choices_.length.value_or(read_whole(joined(rest), 1, longest_chain));
    else if (key == "site")
      site_ = read_site(rest);
    else if (key == "site_at")
      sites_at_.insert_or_assign(read_whole(rest.front(), 0, longest_chain),
                                 read_site(rest.subspan(1)));
    else if (key == "conserve")
      conserve_.assign(rest.begin(), rest.end());
    else if (key == "start")
      start_.assign(rest.begin(), rest.end());
    else if (key == "parameter")
      read_parameter(rest);
    else
      fail(
          "expected one of length, site, site_at, parameter, conserve, start, term, everywhere, "
          "ring, pairs, found \"",
          key, "\"");
  }

  void read_parameter(std::span<const std::string> words) {
    if (words.size() != 3 || words[1] != "=")
      fail("expected \"parameter NAME = NUMBER\", found \"parameter ", joined(words), "\"");
    check_name(words[0]);
    const auto chosen = choices_.parameters.find(words[0]);
    const bool is_new =
        parameters_
            .emplace(words[0],
                     chosen != choices_.parameters.end() ? chosen->second : read_number(words[2]))
            .second;
    if (!is_new) fail("the parameter ", words[0], " is there twice");
  }

  void check_choices() const {
    for (const auto& [name, value] : choices_.parameters) {
      if (parameters_.contains(name)) continue;
      std::string names;
      for (const auto& [known, ignored] : parameters_) names += " " + known;
      fail("no parameter ", name, "; there ", names.empty() ? "are none" : "are:" + names);
    }
    if (!length_) fail("expected a length, found none");
    if (!site_ && !choices_.site) fail("expected a line \"site …\", found none");
  }

  void make_sites(ChainModel& result) const {
    const Words kind = choices_.site ? split_words(*choices_.site) : Words();
    const Site usual = choices_.site ? read_site(kind) : *site_;
    result.sites = uniform_chain(*length_, usual);
    for (const auto& [position, site] : sites_at_) {
      if (position >= *length_)
        fail("site_at ", position, " is outside a chain of ", *length_, " sites");
      result.sites[static_cast<std::size_t>(position)] = site;
    }
    Words conserved = choices_.conserve.value_or(conserve_);
    if (conserved == Words{"none"}) conserved.clear();
    if (!conserved.empty())
      for (Site& site : result.sites) site = site.conserving(conserved);
    const Words& pattern = choices_.start.empty() ? start_ : choices_.start;
    if (pattern.empty()) fail("expected the states to start from, found none");
    for (std::size_t k = 0; k < result.sites.size(); ++k)
      result.start.push_back(state_name(result.sites[k], pattern[k % pattern.size()]));
  }

  static std::string state_name(const Site& site, const std::string& word) {
    if (word == "first") return site.state_names().front();
    if (word == "last") return site.state_names().back();
    site.find_state(word);  // throws Error if there is none
    return word;
  }

  void add(const Term& term, ChainModel& result) const {
    if (term.words.size() < 3)
      fail("expected a coefficient and operators behind \"", term.kind, "\", found \"",
           joined(term.words), "\"");
    if (term.kind == "pairs")
      add_pairs(term, result);
    else
      add_product(term, result);
  }

  void add_product(const Term& term, ChainModel& result) const {
    const std::complex<double> factor = coefficient(term.words.front(), parameters_);
    OperatorProduct product;
    product.coefficient = factor;
    Index farthest = 0;
    if (term.words.size() % 2 == 0)
      fail("expected an operator and a site in turn, found \"", joined(term.words), "\"");
    for (std::size_t i = 1; i < term.words.size(); i += 2) {
      product.factors.push_back({term.words[i], read_whole(term.words[i + 1], 0, longest_chain)});
      farthest = std::max(farthest, product.factors.back().site);
    }
    if (term.kind == "term") return add_term(product, result);
    if (farthest >= *length_) return;  // a chain that is too short has no such term
    const Index copies = term.kind == "ring" ? *length_ : *length_ - farthest;
    for (Index shift = 0; shift < copies; ++shift) {
      OperatorProduct moved = product;
      for (auto& operand : moved.factors) operand.site = (operand.site + shift) % *length_;
      add_term(moved, result);
    }
  }

  void add_pairs(const Term& term, ChainModel& result) const {
    if (term.words.size() != 3)
      fail("expected \"pairs COEFFICIENT OPERATOR OPERATOR\", found \"pairs ", joined(term.words),
           "\"");
    auto names = parameters_;
    for (Index i = 0; i < *length_; ++i)
      for (Index j = i + 1; j < *length_; ++j) {
        names["r"] = static_cast<double>(j - i);
        add_term(coefficient(term.words[0], names) * op(term.words[1], i) * op(term.words[2], j),
                 result);
      }
  }

  static void add_term(const OperatorProduct& product, ChainModel& result) {
    local_product(product, result.sites);  // throws Error on what the sites do not have
    if (product.coefficient != 0.0) result.hamiltonian += product;
  }

  const ModelChoices& choices_;
  std::optional<Index> length_;
  std::optional<Site> site_;
  std::map<Index, Site> sites_at_;
  std::map<std::string, double> parameters_;
  Words conserve_, start_;
  std::set<std::string> seen_;  ///< keys that may be there once
  std::vector<Term> terms_;
};

}  // namespace

ChainModel read_model(const std::string& text, const std::string& name,
                      const ModelChoices& choices) {
  return ModelText(text, name, choices).model(name);
}

}  // namespace metatt::tn
