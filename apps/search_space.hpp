#pragma once
/// The settings that a search tries, from a file of ranges and lists.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace metatt::apps {

/// One run of a search.
struct SearchTrial {
  std::string name;     ///< "2-seed-1": setting 2, seed 1
  std::string section;  ///< empty where the file has no headings
  std::size_t setting;  ///< from 1; trials of one setting differ in their seed alone
  std::string seed;
  /// What differs between settings of its section, without the seed.
  std::vector<std::pair<std::string, std::string>> varied;
  std::vector<std::string> words;  ///< for finetune, "--key=value"
  std::string task = {};           ///< or several, "cola,mrpc"; empty for texts
  std::string metric = {};         ///< by which it is compared; empty if it evaluates nothing

  /// What one of them says; empty if none has the key.
  std::string value_of(const std::string& key) const;
};

/// How many settings are drawn at random, and from which random numbers.
struct SearchDraws {
  std::size_t samples = 0;  ///< 0: all combinations
  std::uint64_t seed = 42;
};

/// Reads a file of KEY = VALUE lines as finetune's own, in which a value may also be
///
///     [1e-3 | 3e-3]        a list
///     log 1e-4 .. 1e-2     a range, its logarithm drawn evenly
///     uniform 0 .. 0.1     a range, drawn evenly
///     integer 2 .. 16      the same for whole numbers, both ends included
///
/// Without samples the trials are all combinations of the lists; otherwise so many settings are
/// drawn from lists and ranges. Each setting is tried with every entry of a list for `seed`.
///
/// Settings that are drawn twice are tried once.
///
/// Headings [NAME] part the file into sections, each a search of its own in which the lines before
/// the first heading hold too, but for keys (and what they exclude) that it has itself; KEY =
/// without a value takes such a line away.
/// Throws Error naming the file, and line or trial, on what finetune would refuse before it reads a
/// model, on an empty list or entry and on a wrong range.
std::vector<SearchTrial> read_search(const std::string& file, const SearchDraws& draws);

}  // namespace metatt::apps
