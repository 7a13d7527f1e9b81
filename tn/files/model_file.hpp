#pragma once
/// Models of chains as text: sites, terms, what is conserved. docs/models.md has the format.

#include <metatt/tn/chain/operator_sum.hpp>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace metatt::tn {

/// A chain with its Hamiltonian.
struct ChainModel {
  Sites sites;
  OperatorSum hamiltonian;
  std::vector<std::string> start;  ///< a basis state for each site, to start from
};

/// What the text leaves open, or is overridden.
struct ModelChoices {
  std::optional<Index> length = {};
  std::optional<std::string> site = {};  ///< "spin 1"
  std::map<std::string, double> parameters = {};
  std::optional<std::vector<std::string>> conserve = {};  ///< none: an empty list
  std::vector<std::string> start = {};                    ///< repeated along the chain
};

/// The model that a text describes; `name` stands for it in messages. Throws Error naming the line
/// on anything that is not understood, and on a choice that the text has no place for.
ChainModel read_model(const std::string& text, const std::string& name,
                      const ModelChoices& choices);

/// A model that needs no file.
struct BuiltInModel {
  std::string name, description, text;
};
std::span<const BuiltInModel> built_in_models();

/// Throws Error naming the models there are.
const BuiltInModel& find_model(const std::string& name);

}  // namespace metatt::tn
