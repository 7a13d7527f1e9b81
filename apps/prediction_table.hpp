#pragma once
/// A classifier's predictions as the tables that GLUE takes.

#include <metatt/transformer/glue.hpp>

#include <span>
#include <string>

namespace metatt::apps {

/// "index" and "prediction" (a label as the task's files have it, or a score), a row each.
std::string prediction_table(const transformer::GlueTask& task,
                             std::span<const double> predictions);

}  // namespace metatt::apps
