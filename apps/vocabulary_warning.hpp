#pragma once
/// A warning about a tokenizer that may not be the model's.

#include <metatt/transformer/adapted_model.hpp>

namespace metatt::apps {

/// On standard error, if the model's tokenizer has far fewer entries than the model.
void warn_of_vocabulary(const transformer::AdaptedModel<float>& model);

}  // namespace metatt::apps
