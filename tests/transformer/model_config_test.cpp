#include <boost/test/unit_test.hpp>

#include <metatt/tn/files/file.hpp>
#include <metatt/transformer/json.hpp>
#include <metatt/transformer/model_config.hpp>
#include <nlohmann/json.hpp>

#include "../file_testing.hpp"

namespace {

using namespace metatt::transformer;
using metatt::testing::check_error;
using metatt::testing::TemporaryFolder;
using nlohmann::json;

BOOST_AUTO_TEST_SUITE(model_config)

json valid_fields() {
  return {{"architectures", {"BertModel"}},
          {"model_type", "bert"},
          {"vocab_size", 99},
          {"hidden_size", 32},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"intermediate_size", 37},
          {"hidden_act", "gelu"},
          {"hidden_dropout_prob", 0.25},
          {"max_position_embeddings", 64},
          {"type_vocab_size", 2},
          {"layer_norm_eps", 1e-5},
          {"pad_token_id", 1},
          {"classifier_dropout", 0}};
}

/// The error for valid fields with one changed names the file and the field and has the fragment.
void check_refused(const char* field, const json& value, const char* fragment) {
  const TemporaryFolder folder;
  json fields = valid_fields();
  fields[field] = value;
  const auto path = folder.write("config.json", fields.dump());
  check_error([&] { read_model_config(path); }, {path.string(), field, fragment});
}

BOOST_AUTO_TEST_CASE(all_fields_are_read_and_absent_ones_have_their_defaults) {
  const TemporaryFolder folder;
  const ModelConfig config = read_model_config(folder.write("config.json", valid_fields().dump()));
  BOOST_TEST(config.vocab_size == 99);
  BOOST_TEST(config.hidden_size == 32);
  BOOST_TEST(config.num_hidden_layers == 3);
  BOOST_TEST(config.num_attention_heads == 4);
  BOOST_TEST(config.head_size() == 8);
  BOOST_TEST(config.intermediate_size == 37);
  BOOST_TEST(config.hidden_dropout_prob == 0.25);
  BOOST_TEST(config.attention_probs_dropout_prob == 0.1);
  BOOST_TEST(config.classifier_dropout.value() == 0);
  BOOST_TEST(config.max_position_embeddings == 64);
  BOOST_TEST(config.type_vocab_size == 2);
  BOOST_TEST(config.layer_norm_eps == 1e-5);
  BOOST_TEST(config.pad_token_id.value() == 1);
}

BOOST_AUTO_TEST_CASE(a_written_config_reads_back_the_same) {
  const TemporaryFolder folder;
  ModelConfig config;
  config.num_hidden_layers = 7;
  config.layer_norm_eps = 3e-11;
  config.classifier_dropout = 0.125;
  write_json(folder / "config.json", model_config_json(config));
  BOOST_TEST((read_model_config(folder / "config.json") == config));
}

BOOST_AUTO_TEST_CASE(other_models_are_refused_by_name_and_value) {
  check_refused("model_type", "t5", "found \"t5\"");
  check_refused("hidden_act", "relu", "found \"relu\"");
  check_refused("position_embedding_type", "relative_key", "found \"relative_key\"");
  check_refused("is_decoder", true, "expected false");
  check_refused("quantization_config", {{"quant_method", "gptq"}}, "expected null");
  check_refused("logits_scaling", 8, "expected null or 1, found 8");
}

BOOST_AUTO_TEST_CASE(impossible_values_are_refused) {
  check_refused("hidden_size", 30, "num_attention_heads");
  check_refused("hidden_size", 0, "found 0");
  check_refused("num_hidden_layers", -1, "found -1");
  check_refused("vocab_size", 1'000'000'000'000, "found 1000000000000");
  check_refused("vocab_size", 12.5, "an integer");
  check_refused("vocab_size", 18446744073709551615u, "18446744073709551615");
  check_refused("intermediate_size", "37", "found \"37\"");
  check_refused("intermediate_size", nullptr, "found null");
  check_refused("num_attention_heads", json::array({4}), "found an array");
  check_refused("pad_token_id", 99, "0 … 98");
  check_refused("hidden_dropout_prob", 1, "below 1");
  check_refused("layer_norm_eps", 0, "above 0");
}

BOOST_AUTO_TEST_CASE(files_that_are_no_config_are_refused) {
  const TemporaryFolder folder;
  const auto check = [&](const char* contents, const char* fragment) {
    const auto path = folder.write("config.json", contents);
    check_error([&] { read_model_config(path); }, {path.string(), fragment});
  };
  check("", "byte 1");
  check("{\"model_type\": \"bert\"", "byte 22");
  check("[1, 2]", "expected an object");
  check("{\"model_type\": \"bert\"}", "\"vocab_size\": expected an integer");
  check("{\"vocab_size\": 1, \"vocab_size\": 2}", "\"vocab_size\" twice");
  check((std::string(1000, '[') + std::string(1000, ']')).c_str(), "64 levels");
  check("{\"layer_norm_eps\": 1e999}", "error");
  check_error([&] { read_model_config(folder / "absent.json"); },
              {"absent.json", "No such file or directory"});
  check_error([&] { read_model_config(folder.path()); }, {folder.path().string(), "a folder"});
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(an_uncommitted_file_leaves_the_old_one_and_no_other) {
  const TemporaryFolder folder;
  const auto path = folder.write("log", "old");
  {
    metatt::tn::AtomicFile file(path);
    file.write("new");
  }
  BOOST_TEST(metatt::tn::read_file(path) == "old");
  BOOST_TEST(!std::filesystem::exists(folder / "log.partial"));
  metatt::tn::AtomicFile file(path);
  file.write("ne");
  file.write("w");
  BOOST_TEST(metatt::tn::read_file(path) == "old");
  file.commit();
  BOOST_TEST(metatt::tn::read_file(path) == "new");
  BOOST_TEST(!std::filesystem::exists(folder / "log.partial"));
  check_error([&] { file.write("more"); }, {path.string(), "after commit"});
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_written_is_an_error) {
  const TemporaryFolder folder;
  check_error([&] { metatt::tn::write_file_atomically(folder / "absent/file", ""); },
              {"absent/file", "No such file or directory"});
  check_error([&] { metatt::tn::write_file_atomically(folder.path(), ""); },
              {"a folder has this name"});
}

BOOST_AUTO_TEST_CASE(an_output_folder_is_new_or_empty_unless_overwriting_is_allowed) {
  const TemporaryFolder folder;
  // Without the lock, as a run that has ended leaves it.
  const metatt::tn::OutputFolder output{
      metatt::tn::prepare_output_folder(folder / "runs/first", false).path};
  BOOST_TEST(std::filesystem::is_directory(output.path));
  metatt::tn::prepare_output_folder(output.path, false);
  metatt::tn::write_file_atomically(output / "log", "text");
  check_error([&] { metatt::tn::prepare_output_folder(output.path, false); },
              {output.path.string(), "found files in it"});
  metatt::tn::prepare_output_folder(output.path, true);
  BOOST_TEST(metatt::tn::read_file(output / "log") == "text");
  check_error([&] { metatt::tn::prepare_output_folder(output / "log", true); }, {"found a file"});
  check_error([&] { metatt::tn::prepare_output_folder(output / "log/below", true); },
              {"cannot create the output folder"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
