#pragma once
/// The folder that a command writes its results to.

#include <metatt/tn/files/file.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace metatt::apps {

/// What a folder of results holds; told apart by the name of its main file.
enum class Results { adapter, model, peft_adapter, language_suite, dmrg, rank_study, search };

/// Throws Error if `output` is one of the folders that are read (results would replace what they
/// come from) or holds results of another kind. Creates nothing, so that a command can ask before
/// it does any work.
void check_results_folder(const std::string& output, Results kind,
                          const std::vector<std::filesystem::path>& inputs);

/// tn::prepare_output_folder, whose error about files in the folder names the flags that accept
/// them; `resumable`: --resume too.
tn::OutputFolder open_results_folder(const std::string& output, bool overwrite,
                                     bool resumable = false);

}  // namespace metatt::apps
