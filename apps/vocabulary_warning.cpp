#include <metatt/apps/console.hpp>
#include <metatt/apps/vocabulary_warning.hpp>
#include <metatt/transformer/backbone_files.hpp>

namespace metatt::apps {

void warn_of_vocabulary(const transformer::AdaptedModel<float>& model) {
  print_warning(transformer::vocabulary_warning(model.tokenizer(), model.config(),
                                                (model.base() / "config.json").string()));
}

}  // namespace metatt::apps
