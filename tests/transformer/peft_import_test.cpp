// Adapters in PEFT's files as updates of our matrices.

#include "../fixture_testing.hpp"
#include "decoder_testing.hpp"
#include "peft_testing.hpp"

using namespace metatt;
using namespace metatt::testing;

namespace {

using enum MatrixType;

const std::string layer0 = "bert.encoder.layer.0.", layer1 = "bert.encoder.layer.1.";

std::vector<double> update_of(const PeftLora& lora, Index layer, MatrixType type) {
  return dense_update<double>(lora.updates.at({layer, type})).to_vector();
}

void check_update(const PeftFolder& peft, std::size_t first, double factor, Index layer,
                  MatrixType type) {
  const auto found = update_of(peft.read(small_config()), layer, type);
  BOOST_TEST(relative_error(peft.update(first, factor), found) < 1e-14);
}

/// One value matrix with the setting, and what the error has to say.
void check_refused(const std::string& field, const nlohmann::json& value,
                   const std::string& fragment) {
  PeftFolder peft;
  peft.add_factors(layer0 + "attention.self.value", 2, 8, 8);
  peft.config[field] = value;
  if (value.is_null()) peft.config.erase(field);
  BOOST_TEST_CONTEXT(field << " = " << value)
  check_error([&] { peft.read(small_config()); }, {"adapter_config.json", field, fragment});
}

BOOST_AUTO_TEST_SUITE(peft_import)

BOOST_AUTO_TEST_CASE(the_updates_of_saved_adapters_are_those_that_peft_makes_of_them) {
  for (const std::string name : {"bert_tanh", "gpt2"}) BOOST_TEST_CONTEXT(name) {
      const auto folder = fixtures / "peft_lora" / name;
      const ModelConfig config = read_model_config(fixtures / "families" / name / "config.json");
      const Family& family = config.family();
      const SafetensorsFile golden(folder / "updates.safetensors");
      const PeftLora lora = read_peft_lora(folder, config);
      BOOST_TEST(lora.updates.size() == (name == "gpt2" ? 4U : 8U));
      for (const auto& [site, factors] : lora.updates) {
        const auto [layer, type] = site;
        const char* own = module_of(family, type);
        const bool joined = !own;
        // The names in PEFT's model: AutoModel has no prefix.
        const std::string module = (name == "gpt2" ? family.names.prefix : "") +
                                   (family.names.layers + std::to_string(layer)) + "." +
                                   (joined ? family.names.joined : own);
        auto expected = golden.read<double>(module, golden.entry(module).shape);
        if (family.transposed_in_file) expected = scaled_transpose(expected, 1.0);
        const Index rows = factors.B.extent(0),
                    first = joined ? rows * static_cast<Index>(type) : 0;
        BOOST_TEST(relative_error(expected.slice(first, first + rows).to_vector(),
                                  dense_update<double>(factors).to_vector()) < 1e-6);
      }
    }
}

BOOST_AUTO_TEST_CASE(an_update_is_lora_alpha_over_r_times_the_factors) {
  PeftFolder peft;
  peft.add_factors(layer0 + "attention.self.value", 2, 8, 8);
  peft.add_factors(layer1 + "output.dense", 2, 12, 8);
  check_update(peft, 0, 3, 0, value);
  check_update(peft, 2, 3, 1, feed_forward_down);
  const PeftLora lora = peft.read(small_config());
  BOOST_TEST(lora.updates.size() == 2U);
  BOOST_TEST(lora.parameters == 2 * (8 + 8) + 2 * (12 + 8));
  BOOST_TEST(lora.saved.empty());
}

BOOST_AUTO_TEST_CASE(rslora_divides_by_the_root_of_the_rank) {
  PeftFolder peft;
  peft.add_factors(layer0 + "attention.self.value", 2, 8, 8);
  peft.config["use_rslora"] = true;
  check_update(peft, 0, 6 / std::sqrt(2.0), 0, value);
}

BOOST_AUTO_TEST_CASE(patterns_set_rank_and_alpha_of_the_modules_that_end_in_them) {
  PeftFolder peft;
  peft.add_factors(layer0 + "attention.self.value", 3, 8, 8);
  peft.add_factors(layer1 + "attention.self.value", 3, 8, 8);
  peft.add_factors(layer1 + "output.dense", 2, 12, 8);
  peft.add_factors(layer1 + "attention.output.dense", 2, 8, 8);
  peft.config["rank_pattern"] = {{"layer.0.attention.self.value", 3},
                                 {"layer.1.attention.self.value", 3}};
  peft.config["alpha_pattern"] = {{"layer.1.attention.self.value", 12},
                                  {R"(^bert\.encoder\.layer\.\d+\.output\.dense)", 1},
                                  {"alue", 5}};  // the end of a name, but of no part of it
  check_update(peft, 0, 2, 0, value);
  check_update(peft, 2, 4, 1, value);
  check_update(peft, 4, 0.5, 1, feed_forward_down);
  check_update(peft, 6, 3, 1, attention_output);
  peft.config["use_rslora"] = true;
  check_update(peft, 2, 12 / std::sqrt(3.0), 1, value);
}

BOOST_AUTO_TEST_CASE(an_alpha_that_depends_on_the_version_of_peft_is_refused) {
  PeftFolder peft;
  peft.add_factors(layer0 + "attention.self.value", 3, 8, 8);
  peft.config["rank_pattern"] = {{"value", 3}};
  peft.config["alpha_pattern"] = {{"self.value", 12}};  // 0.13 finds no "value" here: 6
  check_error([&] { peft.read(small_config()); },
              {"alpha_pattern", "has alpha 12", "and 6 before"});
  peft.config["alpha_pattern"] = {{"value", 12}};
  check_update(peft, 0, 4, 0, value);
}

BOOST_AUTO_TEST_CASE(names_without_the_prefix_of_the_family_are_the_same_modules) {
  PeftFolder peft;
  peft.add_factors("encoder.layer.0.attention.self.value", 2, 8, 8);
  check_update(peft, 0, 3, 0, value);
  peft.add_factors(layer0 + "attention.self.value", 2, 8, 8);
  check_error([&] { peft.read(small_config()); }, {"there are two updates of " + layer0});
}

BOOST_AUTO_TEST_CASE(a_joined_matrix_has_the_updates_of_its_rows) {
  PeftFolder peft;
  peft.config["fan_in_fan_out"] = true;
  peft.add_factors("transformer.h.1.attn.c_attn", 2, 16, 48);
  // The keys, rows 16 … 31, are not adapted.
  float* B = peft.tensors[1].tensor.mutable_data();
  std::fill(B + 16 * 2, B + 32 * 2, 0.0F);
  const PeftLora lora = peft.read(byte_decoder_config());
  const std::vector<double> all = peft.update(0, 3);
  BOOST_TEST(lora.updates.size() == 2U);
  BOOST_TEST(lora.parameters == 2 * (16 + 48));
  const auto rows = [&](std::ptrdiff_t first) {
    return std::vector<double>(all.begin() + 16 * first, all.begin() + 16 * (first + 16));
  };
  BOOST_TEST(relative_error(rows(0), update_of(lora, 1, query)) < 1e-14);
  BOOST_TEST(relative_error(rows(32), update_of(lora, 1, value)) < 1e-14);
  std::fill(B, B + 48 * 2, 0.0F);
  check_error([&] { peft.read(byte_decoder_config()); }, {"all updates are zero"});
}

BOOST_AUTO_TEST_CASE(what_is_saved_whole_is_kept_by_name) {
  PeftFolder peft;
  peft.add_factors(layer0 + "attention.self.value", 2, 8, 8);
  peft.add("classifier.weight", {2, 8});
  const PeftLora lora = peft.read(small_config());
  BOOST_TEST_REQUIRE(lora.saved.size() == 1U);
  BOOST_TEST(lora.saved[0].name == "classifier.weight");
}

BOOST_AUTO_TEST_CASE(settings_under_which_an_update_is_not_the_product_are_refused) {
  check_refused("peft_type", "VERA", "expected \"LORA\", found \"VERA\"");
  check_refused("peft_type", nullptr, "peft_type");
  check_refused("use_dora", true, "found true");
  check_refused("bias", "all", "expected \"none\", found \"all\"");
  check_refused("lora_bias", true, "found true");
  check_refused("layer_replication", {{0, 1}, {0, 1}}, "found [[0,1],[0,1]]");
  check_refused("target_parameters", {"experts"}, "found [\"experts\"]");
  for (const char* start : {"pissa", "pissa_niter_4", "olora", "corda", "loftq"})
    check_refused("init_lora_weights", start, start);
  check_refused("r", nullptr, "r");
  check_refused("r", 0, "expected at least 1, found 0");
  check_refused("lora_alpha", "8", "lora_alpha");
  check_refused("rank_pattern", {{"value", 2.5}}, "expected whole numbers, found 2.5");
  check_refused("rank_pattern", {{"value", 0}}, "expected at least 1, found 0");
  check_refused("rank_pattern", {{"value", "2"}}, "expected a number, found string");
  check_refused("rank_pattern", {{"(a*)*b*", 2}}, "simple pattern");
  check_refused("rank_pattern", {{"(value", 2}}, "no regular expression");
  check_refused("alpha_pattern", {{"value", 2}, {"self.value", 3}}, "several patterns match");
  check_refused("alpha_pattern", 3, "expected an object, found number");
}

BOOST_AUTO_TEST_CASE(tensors_that_are_no_factors_of_the_models_matrices_are_refused) {
  const auto check = [](const std::vector<std::pair<std::string, Shape>>& tensors,
                        const std::string& fragment) {
    PeftFolder peft;
    for (const auto& [name, shape] : tensors) peft.add(name, shape);
    check_error([&] { peft.read(small_config()); }, {"adapter_model.safetensors", fragment});
  };
  const std::string site = layer0 + "attention.self.value.lora_";
  check({{"classifier.weight", {2, 8}}}, "found none");
  check({{site + "A.weight", {2, 8}}}, site + "B.weight");
  check({{site + "B.weight", {8, 2}}}, site + "A.weight");
  check({{site + "A.weight", {3, 8}}, {site + "B.weight", {8, 3}}}, "3×8");
  check({{site + "magnitude_vector", {8}}}, "lora_magnitude_vector");
  check({{site + "B.bias", {8}}}, "lora_B.bias");
  check({{"bert.embeddings.word_embeddings.lora_embedding_A", {2, 24}}}, "lora_embedding_A");
  check({{"bert.encoder.layer.2.attention.self.value.lora_A.weight", {2, 8}}}, "2 layers");
  check({{"bert.pooler.dense.lora_A.weight", {2, 8}}}, "belongs to no LoRA of a matrix");
  PeftFolder peft;
  peft.tensors.push_back({site + "A.weight", tn::random_normal<float>({2, 8}, 1)});
  check_error([&] { peft.read(small_config()); }, {"belongs to no LoRA of a matrix"});
}

BOOST_AUTO_TEST_CASE(an_older_adapter_as_a_pickle_is_refused_with_a_way_out) {
  const PeftFolder peft;
  write_json(peft.folder / "adapter_config.json", peft.config);
  peft.folder.write("adapter_model.bin", "x");
  check_error([&] { read_peft_lora(peft.folder.path(), small_config()); },
              {"adapter_model.safetensors", "safe_serialization=True"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
