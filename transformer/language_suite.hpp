#pragma once
/// A small built-in language with four tasks, so that the first command needs no download.

#include <cstdint>
#include <filesystem>

namespace metatt::transformer {

/// Writes into `folder`, in the column layouts of GLUE (docs/language-suite.md has the grammar):
///   CoLA/{train,dev}.tsv   acceptability, label 0 or 1; the source column names the phenomenon
///   MRPC/{train,dev}.tsv   paraphrase, label 0 or 1
///   RTE/{train,dev}.tsv    entailment, label entailment or not_entailment
///   STS-B/{train,dev}.tsv  similarity, 0 … 5
///   vocab.txt              WordPiece vocabulary: every word of the language, one per line
///   corpus.txt             unlabelled text, one sentence or two sentences with a tab between them
///   per
///                          line; none of them is a row of a task
/// 4000 training and 800 dev rows per task, labels balanced exactly; training and dev rows share
/// the templates and the closed-class words but no noun, name, verb, adjective or place. The same
/// seed gives the same bytes on every platform. Throws tn::Error where a file cannot be written.
void write_language_suite(const std::filesystem::path& folder, std::uint64_t seed);

}  // namespace metatt::transformer
