#pragma once
/// The examples of a task of GLUE, to train and to evaluate on.

#include <metatt/apps/training_options.hpp>
#include <metatt/transformer/classification_objective.hpp>
#include <metatt/transformer/fingerprint.hpp>

#include <string>
#include <vector>

namespace metatt::apps {

/// read_glue(), which says how many rows were left out.
std::vector<transformer::GlueRow> read_labelled(const std::string& folder,
                                                const transformer::GlueTask& task,
                                                const std::string& split);

struct GlueExamples {
  const transformer::GlueTask& task;
  std::vector<transformer::Example> train, development;

  transformer::TaskData data() const { return {task, train, development}; }
};

/// Those of `train` (at most `limit`, if it is not 0) and of the first split for development, each
/// cut to `max_length` tokens; says how many there are and how many were cut.
GlueExamples read_glue_examples(const std::string& folder, const transformer::GlueTask& task,
                                const transformer::Tokenizer& tokenizer, tn::Index max_length,
                                tn::Index limit);

/// Starts the head of a task of scores at their mean.
void center_if_regression(transformer::ClassifierModel<float>& model,
                          const transformer::TaskData& data, tn::Index place);

/// Of all token ids and labels.
transformer::Fingerprint fingerprint_of(std::span<const transformer::TaskData> tasks);

}  // namespace metatt::apps
