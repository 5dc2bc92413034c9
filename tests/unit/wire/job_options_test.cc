#include "lambdaml/wire/job_options.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::wire {
namespace {

using base::Json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// One row an option: a value that differs from the default, in text and JSON form, the payload it
// must become, and texts that must be refused with what the message must say.
struct Example {
  std::string_view key;
  std::string_view text;
  std::string_view json;
  std::string_view payload;
  std::map<std::string_view, std::string_view> refused = {};
};

const std::vector<Example> kExamples = {
    {"data", "a/b c.libsvm", R"("a/b c.libsvm")", R"({"data":"a/b c.libsvm"})"},
    {"test", "t", R"("t")", R"({"test":"t"})"},
    {"dataset_type",
     "sparse_libsvm",
     R"("sparse_libsvm")",
     R"({"dataset_type":"sparse_libsvm"})",
     {{"csv", "\"csv\" is not one of auto, dense_libsvm, sparse_libsvm, cifar10"}}},
    {"exchange",
     "float16",
     R"("float16")",
     R"({"exchange":"float16"})",
     {{"half", "float32, float16"}}},
    {"index_base", "0", "0", R"({"index_base":0})", {{"2", "2 is not within 0 to 1"}}},
    {"n_features",
     "2147483647",
     "2147483647",
     R"({"n_features":2147483647})",
     {{"0", "0 is not within 1 to 2147483647"}, {"2147483648", "not within"}}},
    {"n_classes", "10", "10.0", R"({"n_classes":10})", {{"1", "1 is not within 2 to 1000"}}},
    {"valid_ratio",
     "0.25",
     "0.25",
     R"({"valid_ratio":0.25})",
     {{"-0.1", "-0.1 is not within 0 to 0.9"}, {"0.95", "not within"}, {"1e999", "not a number"}}},
    {"augment", "true", "true", R"({"augment":true})", {{"yes", "neither true nor false"}}},
    {"model", "sparse_svm", R"("sparse_svm")", R"({"model":"sparse_svm"})", {{"LR", "not one of"}}},
    {"bias", "false", "false", R"({"bias":false})", {{"0", "\"0\" is neither true nor false"}}},
    {"n_clusters",
     "10",
     "10",
     R"({"model":"lr","n_clusters":10})",
     {{"0", "0 is not within 1 to 100000"}}},
    {"init_model", "m", R"("m")", R"({"init_model":"m"})"},
    {"output", "o", R"("o")", R"({"output":"o"})"},
    {"optim",
     "model_avg",
     R"("model_avg")",
     R"({"optim":"model_avg"})",
     {{"adam", "\"adam\" is not one of grad_avg, model_avg, admm"}}},
    {"sync_mode",
     "reduce_scatter",
     R"("reduce_scatter")",
     R"({"sync_mode":"reduce_scatter"})",
     {{"", "\"\" is not one of reduce, reduce_scatter, async"}}},
    {"n_epochs",
     "+3",
     R"("3")",
     R"({"n_epochs":3})",
     {{"0", "not within"},
      {"3.5", "\"3.5\" is not a whole number"},
      {"3 ", "not a whole number"},
      {"+-3", "not a whole number"},
      {"++3", "not a whole number"},
      {"+", "not a whole number"},
      {"", "\"\" is not a whole number"},
      {"0x10", "not a whole number"},
      {"9223372036854775808", "not a whole number"}}},
    {"batch_size", "0", "0", R"({"batch_size":0})", {{"-1", "not within"}}},
    {"lr",
     "+.5e-1",
     "0.05",
     R"({"lr":0.05})",
     {{"nan", "\"nan\" is not finite"},
      {"inf", "\"inf\" is not finite"},
      {"-1e-9", "not within"},
      {"+-1", "not a number"},
      {"0,1", "\"0,1\" is not a number"},
      {"1e", "not a number"}}},
    {"lr_schedule",
     "inverse_sqrt",
     R"("inverse_sqrt")",
     R"({"lr_schedule":"inverse_sqrt"})",
     {{"linear", "not one of constant, step, inverse_sqrt, cosine"}}},
    {"momentum", "0.9", "0.9", R"({"momentum":0.9})", {{"1", "1 is not within 0 to 0.9999"}}},
    {"regularizer", "none", R"("none")", R"({"regularizer":"none"})", {{"l0", "not one of"}}},
    {"lambda", "1e-4", R"("1e-4")", R"({"lambda":0.0001})", {{"-1", "not within"}}},
    {"n_admm_epochs", "7", "7", R"({"n_admm_epochs":7})", {{"0", "not within"}}},
    {"rho", "2", "2", R"({"rho":2})", {{"0", "0 is not within 1e-12 to 1"}}},
    {"local_solver", "sgd", R"("sgd")", R"({"local_solver":"sgd"})", {{"lbfgs", "not one of"}}},
    {"tolerance", "0", "0", R"({"tolerance":0})", {{"1.1", "not within 0 to 1"}}},
    {"init",
     "k-means++",
     R"("k-means++")",
     R"({"init":"k-means++"})",
     {{"best", "\"best\" is not one of first, random, k-means++, k-means||"}}},
    {"threshold", "1e-4", "0.0001", R"({"threshold":0.0001})", {{"-1", "not within"}}},
    {"patience", "5", "5", R"({"patience":5})", {{"-5", "not within"}}},
    {"keep", "best", R"("best")", R"({"keep":"best"})", {{"first", "not one of last, best"}}},
    {"seed",
     "9000000000000000",
     "9000000000000000",
     R"({"seed":9000000000000000})",
     {{"-1", "not within"}}},
    {"workers", "7", "7", R"({"n_workers":7})", {{"0", "0 is not within 1 to 1000"}}},
    {"channel", "file:///x", R"("file:///x")", R"({"channel":"file:///x"})"},
    {"platform",
     "aws",
     R"("aws")",
     R"({"platform":"aws"})",
     {{"mars", "\"mars\" is not one of local"}}},
    {"function_url", "http://h:1", R"("http://h:1")", R"({"function_url":"http://h:1"})", {}},
    {"trigger",
     "lambda",
     R"("lambda")",
     R"({"trigger":"lambda"})",
     {{"remote", "is not one of local, lambda"}}},
    {"metrics",
     "cloudwatch",
     R"("cloudwatch")",
     R"({"metrics":"cloudwatch"})",
     {{"all", "is not one of none, cloudwatch"}}},
    {"run_folder", "s3://b/jobs", R"("s3://b/jobs")", R"({"run_folder":"s3://b/jobs"})", {}},
    {"max_cost", "0.5", "0.5", R"({"max_cost":0.5})", {{"-1", "not within 0 to"}}},
    {"deadline", "60", "60", R"({"deadline":60})", {{"-1", "not within 0 to"}}},
    {"memory_mb", "128", "128", R"({"memory_mb":128})", {{"127", "not within 128 to 10240"}}},
    {"timeout", "1.5", "1.5", R"({"timeout":1.5})", {{"901", "901 is not within 1 to 900"}}},
    {"round_timeout", "0.1", "0.1", R"({"round_timeout":0.1})", {{"0", "not within 0.1 to 900"}}},
    {"region", "eu-west-1", R"("eu-west-1")", R"({"region":"eu-west-1"})"},
    {"endpoint_url", "http://h:1", R"("http://h:1")", R"({"endpoint_url":"http://h:1"})"},
    {"cache_node", "cache.t3.small", R"("cache.t3.small")", R"({"cache_node":"cache.t3.small"})"},
    {"prices", "p.json", R"("p.json")", R"({"prices":"p.json"})"},
    {"log", "l", R"("l")", R"({"log":"l"})"},
    {"function_name", "f", R"("f")", R"({"function_name":"f"})"},
    {"dataset", "higgs", R"("higgs")", R"({"dataset":"higgs"})"},
    {"data_bucket", "b", R"("b")", R"({"data_bucket":"b"})"},
    {"file", "0_4", R"("0_4")", R"({"file":"0_4"})"},
    {"train_file", "t", R"("t")", R"({"train_file":"t"})"},
    {"test_file", "t", R"("t")", R"({"test_file":"t"})"},
    {"tmp_bucket", "b", R"("b")", R"({"tmp_bucket":"b"})"},
    {"merged_bucket", "b", R"("b")", R"({"merged_bucket":"b"})"},
    {"cp_bucket", "b", R"("b")", R"({"cp_bucket":"b"})"},
    {"host", "h", R"("h")", R"({"host":"h"})"},
    {"port", "11211", R"("11211")", R"({"port":11211})", {{"65536", "not within 1 to 65535"}}},
    {"tmp_table_name", "t", R"("t")", R"({"tmp_table_name":"t"})"},
    {"merged_table_name", "t", R"("t")", R"({"merged_table_name":"t"})"},
    {"key_col", "k", R"("k")", R"({"key_col":"k"})"},
    {"start_timeout", "2.5", "2.5", R"({"start_timeout":2.5})", {{"0", "not within"}}},
    {"checkpoint", "c", R"("c")", R"({"checkpoint":"c"})"},
    {"resume", "c", R"("c")", R"({"resume":"c"})"},
    {"checkpoint_every", "2", "2", R"({"checkpoint_every":2})", {{"0", "not within"}}},
    {"max_restarts", "0", "0", R"({"max_restarts":0})", {{"-1", "not within"}}},
    {"generation", "2", "2", R"({"generation":2})", {{"-1", "not within"}}},
    {"attempt", "2", "2", R"({"attempt":2})", {{"0", "not within"}}},
    {"architecture", "arm64", R"("arm64")", R"({"architecture":"arm64"})", {}},
    {"is_watched", "true", "true", R"({"is_watched":true})", {{"yes", "neither true nor false"}}},
    {"ends_at_ms",
     "1574109732004",
     "1574109732004",
     R"({"ends_at_ms":1574109732004})",
     {{"-1", "not within"}}},
    {"origin", "{}", R"("{}")", R"({"origin":"{}"})"},
    {"start_epoch", "2", "2", R"({"start_epoch":2})", {{"-1", "not within"}}},
    {"run_epochs", "2", "2", R"({"run_epochs":2})", {{"0", "not within"}}},
    {"job_id", "j", R"("j")", R"({"job_id":"j"})"},
    {"worker_index", "6", "6", R"({"worker_index":6})", {{"1000", "not within 0 to 999"}}},
    {"model_url", "file:///m", R"("file:///m")", R"({"model_url":"file:///m"})"},
};

std::string TextError(std::string_view key, std::string_view text) {
  Job job;
  try {
    SetOptionFromText(job, key, text, "--key");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_EQ(JobToJson(job).Dump(), "{}") << "a refused value changed the job";
    return error.message();
  }
  return "accepted";
}

std::string JsonError(std::string_view key, std::string_view json) {
  Job job;
  try {
    SetOptionFromJson(job, key, Json::Parse(json, "test"), "job: key");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_EQ(JobToJson(job).Dump(), "{}") << "a refused value changed the job";
    return error.message();
  }
  return "accepted";
}

TEST(JobOptionsTest, EveryOptionHasAnExampleHere) {
  std::set<std::string_view> covered;
  for (const Example& example : kExamples) covered.insert(example.key);
  EXPECT_EQ(covered.size(), kExamples.size());
  for (const JobOption& option : JobOptions()) {
    EXPECT_EQ(covered.erase(option.name), 1U) << "add an example of " << option.name;
  }
  EXPECT_THAT(covered, ::testing::IsEmpty()) << "no such option";
}

TEST(JobOptionsTest, NamesAndAliasesAreUnique) {
  std::set<std::string_view> names;
  for (const JobOption& option : JobOptions()) {
    EXPECT_TRUE(names.insert(option.name).second) << option.name;
    if (option.alias.empty()) continue;
    EXPECT_TRUE(names.insert(option.alias).second) << option.alias;
  }
}

TEST(JobOptionsTest, HelpIsOneShortLineAndNamesAPlaceholderOrChoices) {
  for (const JobOption& option : JobOptions()) {
    EXPECT_FALSE(option.help.empty()) << option.name;
    EXPECT_LE(option.help.size(), 70U) << option.name;
    EXPECT_EQ(option.help.find('\n'), std::string_view::npos) << option.name;
    EXPECT_NE(option.placeholder.empty(), option.choices.empty()) << option.name;
  }
}

TEST(JobOptionsTest, TextFormSetsTheKey) {
  for (const Example& example : kExamples) {
    Job job;
    SetOptionFromText(job, example.key, example.text, "--key");
    EXPECT_EQ(JobToJson(job).Dump(), example.payload) << example.key;
  }
}

TEST(JobOptionsTest, JsonFormSetsTheKey) {
  for (const Example& example : kExamples) {
    Job job;
    SetOptionFromJson(job, example.key, Json::Parse(example.json, "test"), "job: key");
    EXPECT_EQ(JobToJson(job).Dump(), example.payload) << example.key;
  }
}

TEST(JobOptionsTest, EveryChoiceIsAcceptedAndWrittenByItsName) {
  for (const JobOption& option : JobOptions()) {
    for (const std::string_view choice : option.choices) {
      Job job;
      SetOptionFromText(job, option.name, choice, "--key");
      const Json payload = JobToJson(job);
      const Json* written = payload.Find(option.name);
      // A default is not written: then setting it must leave the job as it was.
      if (written != nullptr) {
        EXPECT_EQ(written->AsString(), choice) << option.name;
      } else {
        EXPECT_EQ(payload.Dump(), "{}") << option.name << " " << choice;
      }
    }
  }
}

TEST(JobOptionsTest, WrongTextIsRefusedNamingOriginAndCause) {
  for (const Example& example : kExamples) {
    for (const auto& [text, what] : example.refused) {
      EXPECT_THAT(TextError(example.key, text), AllOf(StartsWith("--key: "), HasSubstr(what)))
          << example.key << " = \"" << text << "\"";
    }
  }
}

TEST(JobOptionsTest, WrongJsonTypesAreRefused) {
  EXPECT_THAT(JsonError("data", "1"), EndsWith("job: key: must be a string"));
  EXPECT_THAT(JsonError("data", "[\"a\"]"), HasSubstr("must be a string"));
  EXPECT_THAT(JsonError("lr", "[0.1]"), HasSubstr("must be a single value"));
  EXPECT_THAT(JsonError("lr", "{}"), HasSubstr("must be a single value"));
  EXPECT_THAT(JsonError("lr", "true"), HasSubstr("\"true\" is not a number"));
  EXPECT_THAT(JsonError("n_epochs", "true"), HasSubstr("is not a whole number"));
  EXPECT_THAT(JsonError("n_epochs", "2.5"), HasSubstr("2.5 is not a whole number"));
  EXPECT_THAT(JsonError("n_epochs", "1e300"), HasSubstr("is not a whole number"));
  EXPECT_THAT(JsonError("n_epochs", "\"2.0\""), HasSubstr("is not a whole number"));
  EXPECT_THAT(JsonError("bias", "1"), HasSubstr("neither true nor false"));
  EXPECT_THAT(JsonError("model", "1"), HasSubstr("is not one of"));
}

TEST(JobOptionsTest, JsonNullLeavesTheDefault) {
  for (const JobOption& option : JobOptions()) {
    Job job;
    SetOptionFromJson(job, option.name, Json(), "job: key");
    EXPECT_EQ(JobToJson(job).Dump(), "{}") << option.name;
  }
}

TEST(JobOptionsTest, NumbersMayBeTextAsInLambdamlsTriggers) {
  Job job;
  SetOptionFromJson(job, "n_workers", Json("10"), "payload");
  SetOptionFromJson(job, "lr", Json("0.01"), "payload");
  SetOptionFromJson(job, "bias", Json("false"), "payload");
  EXPECT_EQ(job.n_workers, 10);
  EXPECT_EQ(job.lr, 0.01);
  EXPECT_FALSE(job.bias);
}

TEST(JobOptionsTest, WorkersIsLambdamlsNWorkers) {
  Job job;
  SetOptionFromText(job, "n_workers", "3", "--n_workers");
  EXPECT_EQ(job.n_workers, 3);
  SetOptionFromText(job, "workers", "5", "--workers");
  EXPECT_EQ(job.n_workers, 5);
}

TEST(JobOptionsTest, AnUnknownKeyIsRefusedWithTheClosestKnownOne) {
  EXPECT_EQ(TextError("learning_rate", "1"), "--key: unknown key \"learning_rate\"");
  EXPECT_EQ(TextError("batchsize", "1"),
            "--key: unknown key \"batchsize\"; did you mean \"batch_size\"?");
  EXPECT_EQ(TextError("Lr", "1"), "--key: unknown key \"Lr\"; did you mean \"lr\"?");
  EXPECT_EQ(TextError("n_worker", "1"),
            "--key: unknown key \"n_worker\"; did you mean \"n_workers\"?");
  EXPECT_EQ(JsonError("epochs", "1"),
            "job: key: unknown key \"epochs\"; did you mean \"n_epochs\"?");
  EXPECT_THAT(TextError("", "1"), StartsWith("--key: unknown key \"\""));
}

}  // namespace
}  // namespace lambdaml::wire
