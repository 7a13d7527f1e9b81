#pragma once
/// What of a model is trained.

#include <metatt/transformer/adapters/adapter.hpp>

#include <string>

namespace metatt::transformer {

/// What is trained besides the head.
struct Method {
  enum class Kind { head_only, adapter, full };
  Kind kind = Kind::adapter;
  AdapterSettings adapter = {};  ///< used by Kind::adapter

  /// "none", "full" or an adapter's name.
  std::string name() const;
  static Method named(const std::string& name, const AdapterSettings& settings);
};

}  // namespace metatt::transformer
