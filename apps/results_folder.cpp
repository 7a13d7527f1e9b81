#include <metatt/apps/results_folder.hpp>

#include <metatt/apps/search_trial.hpp>
#include <metatt/apps/study_report.hpp>
#include <metatt/tn/error.hpp>
#include <metatt/transformer/adapter_files.hpp>

#include <algorithm>

namespace metatt::apps {

namespace {

struct Kind {
  Results results;
  const char* main_file;
  const char* description;
};

constexpr Kind kinds[] = {
    {Results::adapter, transformer::adapter_file_name, "an adapter"},
    {Results::model, "model.safetensors", "a model"},
    {Results::peft_adapter, "adapter_model.safetensors", "a PEFT adapter"},
    {Results::language_suite, "corpus.txt", "a language suite"},
    {Results::dmrg, "dmrg.h5", "states of a chain"},
    {Results::rank_study, study_summary_name, "a study of rank adaptation"},
    {Results::search, search_table_name, "a search over settings"},
};

}  // namespace

void check_results_folder(const std::string& output, Results kind,
                          const std::vector<std::filesystem::path>& inputs) {
  std::error_code ignored;
  const auto folder = std::filesystem::weakly_canonical(output, ignored);
  for (const auto& input : inputs) {
    const auto [end, rest] =
        std::ranges::mismatch(folder, std::filesystem::weakly_canonical(input, ignored));
    if (end == folder.end() && std::filesystem::exists(output, ignored))
      tn::fail(output, ": expected another folder for the results than one that is read, or that ",
               "holds ", input.string(), ", which is read");
  }
  for (const Kind& other : kinds)
    if (other.results != kind &&
        std::filesystem::exists(std::filesystem::path(output) / other.main_file, ignored))
      tn::fail(output, ": holds ", other.description, " already (", other.main_file,
               "); choose another folder or remove it");
}

tn::OutputFolder open_results_folder(const std::string& output, bool overwrite, bool resumable) {
  std::error_code ignored;
  if (!overwrite && std::filesystem::is_directory(output, ignored) &&
      !std::filesystem::is_empty(output, ignored))
    tn::fail(output, ": expected an empty or new output folder, found files in it; ",
             "--overwrite_output_dir accepts them",
             resumable ? ", --resume goes on with a run that has left them" : "");
  return tn::prepare_output_folder(output, overwrite);
}

}  // namespace metatt::apps
