#pragma once
/// What the config.json of a classifier says of its outputs.

#include <metatt/tn/tensor.hpp>
#include <metatt/transformer/glue.hpp>

#include <filesystem>
#include <vector>

namespace metatt::transformer {

/// Which output of the model's head stands for each class of the task, by the names in "id2label":
/// the labels of the task's files, what Hugging Face's data set calls them, or LABEL_0, …, in any
/// order and case. Without names the outputs are in the task's order, and so is the score of a
/// regression. Throws Error naming file and field on other names, and on a number of them or a
/// "problem_type" that another task has.
std::vector<tn::Index> stored_outputs(const std::filesystem::path& config_file,
                                      const GlueTask& task);

}  // namespace metatt::transformer
