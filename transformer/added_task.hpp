#pragma once
/// One more task for a trained adapter that has a slice for each: the others stay as they are.

#include <metatt/transformer/adapter_files.hpp>

#include <filesystem>
#include <memory>

namespace metatt::transformer {

/// The adapter of a folder for a new task alone: its cores as they are, in the place of the task
/// core the mean of its slices, which with the head is all that is trained (r² numbers beside the
/// head's). Throws Error if the adapter has no task core or knows the task already, and what
/// read_adapted_model() throws.
template <class T>
std::unique_ptr<ClassifierModel<T>> read_for_new_task(const std::filesystem::path& folder,
                                                      const AdapterRecord& record,
                                                      const std::filesystem::path& base,
                                                      const GlueTask& task, std::uint64_t seed);

/// Writes the adapter of a folder with the slice and the head that `model`, of
/// read_for_new_task(), has now. All else is what the folder has, to the bit.
template <class T>
void write_with_new_task(const tn::OutputFolder& output, const std::filesystem::path& folder,
                         const ClassifierModel<T>& model, const GlueTask& task);

}  // namespace metatt::transformer
