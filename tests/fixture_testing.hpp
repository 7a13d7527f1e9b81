#pragma once
/// Model folders put together from fixtures, for tests of the libraries and of the program.

#include "file_testing.hpp"

#include <metatt/transformer/json.hpp>
#include <nlohmann/json.hpp>

#include <string>

namespace metatt::testing {

inline const std::filesystem::path fixtures = METATT_FIXTURES;

inline nlohmann::json read_json(const std::filesystem::path& path) {
  return transformer::parse_json(metatt::tn::read_file(path), path.string());
}

/// fixtures/KIND/NAME with config.json and the weights of fixtures/families/NAME, which may be
/// changed.
struct FixtureFolder : TemporaryFolder {
  /// `model`: where in the folder these two go.
  FixtureFolder(const std::string& kind, const std::string& name, const std::string& model = ".")
      : golden(read_json(fixtures / kind / name / "fixture.json")) {
    std::filesystem::copy(fixtures / kind / name, path(), std::filesystem::copy_options::recursive);
    for (const char* file : {"config.json", "model.safetensors"})
      std::filesystem::copy(fixtures / "families" / name / file, path() / model / file);
  }

  nlohmann::json golden;  ///< fixture.json
};

}  // namespace metatt::testing
