#include "lambdaml/wire/job.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::wire {
namespace {

using base::Json;
using ::testing::HasSubstr;

Job JobOf(std::string_view json) { return JobFromJson(Json::Parse(json, "job"), "job"); }

Job ApplyTo(std::string_view json) {
  Job job = JobOf(json);
  ApplyLambdamlKeys(job);
  return job;
}

std::string ErrorOf(std::string_view json) {
  try {
    ApplyTo(json);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "accepted";
}

// A value within (nearly) every key's range, in its text form.
std::string RandomText(const JobOption& option, base::Random& random) {
  if (!option.choices.empty()) {
    return std::string(option.choices[random.Below(option.choices.size())]);
  }
  if (option.placeholder == "true|false") return random.Below(2) == 0 ? "true" : "false";
  if (option.placeholder == "0|1") return random.Below(2) == 0 ? "0" : "1";
  // Doubles with all their bits, so that a lost digit shows.
  if (option.placeholder == "X") return Json(random.Uniform() * 0.9).Dump();
  if (option.placeholder == "S") return Json(1 + random.Uniform() * 899).Dump();
  if (option.name == "memory_mb") return std::to_string(128 + random.Below(10'000));
  if (option.placeholder == "N") return std::to_string(2 + random.Below(900));
  std::string text = "text \"\\\xc3\xa9\n\t ";
  for (uint64_t i = random.Below(20); i > 0; --i) text += static_cast<char>(1 + random.Below(126));
  return text;
}

TEST(JobTest, ADefaultJobIsAnEmptyPayload) {
  EXPECT_EQ(JobToJson(Job{}).Dump(), "{}");
  EXPECT_EQ(JobToJson(JobOf("{}")).Dump(), "{}");
}

TEST(JobTest, APayloadOfClustersWithoutAModelIsLambdamlsKmeans) {
  EXPECT_EQ(JobOf(R"({"n_clusters":10,"threshold":0.0001})").model, ModelKind::kKmeans);
  EXPECT_EQ(JobOf(R"({"n_clusters":10,"model":"lr"})").model, ModelKind::kLr);
}

TEST(JobTest, RandomJobsSurviveTheRoundTripThroughTheirPayload) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    base::Random random(seed);
    Job job;
    for (const JobOption& option : JobOptions()) {
      if (random.Below(2) == 0) continue;
      SetOptionFromText(job, option.name, RandomText(option, random), option.name);
    }
    const std::string payload = JobToJson(job).Dump();
    const Job again = JobOf(payload);
    EXPECT_EQ(JobToJson(again).Dump(), payload) << "seed " << seed;
    EXPECT_EQ(again.lr, job.lr) << "seed " << seed;
    EXPECT_EQ(again.valid_ratio, job.valid_ratio) << "seed " << seed;
    EXPECT_EQ(again.n_workers, job.n_workers) << "seed " << seed;
    EXPECT_EQ(again.optim, job.optim) << "seed " << seed;
    EXPECT_EQ(again.channel, job.channel) << "seed " << seed;
  }
}

TEST(JobTest, PayloadsAreReadStrictly) {
  EXPECT_EQ(ErrorOf("[]"), "job: a job is a JSON object");
  EXPECT_EQ(ErrorOf("null"), "job: a job is a JSON object");
  EXPECT_EQ(ErrorOf(R"({"n_epoch":1})"),
            "job: n_epoch: unknown key \"n_epoch\"; did you mean \"n_epochs\"?");
  EXPECT_EQ(ErrorOf(R"({"lr":"fast"})"), "job: lr: \"fast\" is not a number");
  EXPECT_THAT(ErrorOf(R"({"n_workers":100000})"),
              HasSubstr("job: n_workers: 100000 is not within"));
  EXPECT_THAT(ErrorOf(R"({"data":{"path":"x"}})"), HasSubstr("job: data: must be a string"));
}

TEST(JobTest, AKeyAndItsAliasTogetherAreRefused) {
  EXPECT_EQ(ErrorOf(R"({"workers":2,"n_workers":3})"),
            "job: n_workers: given twice, the other time as \"workers\"");
  EXPECT_EQ(ErrorOf(R"({"n_workers":2,"workers":2})"),
            "job: workers: given twice, the other time as \"n_workers\"");
}

// The payload of LambdaML's linear-model trigger over S3, as its code writes it.
TEST(JobTest, APayloadOfLambdamlsTriggerIsAJob) {
  const Job job =
      ApplyTo(R"({"dataset":"higgs","data_bucket":"higgs-10","dataset_type":"dense_libsvm",
      "n_features":30,"n_classes":2,"n_workers":10,"worker_index":0,"tmp_bucket":"tmp-params",
      "merged_bucket":"merged-params","key_col":"key","model":"lr","optim":"admm",
      "sync_mode":"reduce","file":"0_10","lr":0.01,"batch_size":10000,"n_epochs":10,
      "valid_ratio":0.2,"n_admm_epochs":4,"lambda":0.01,"rho":0.01})");
  EXPECT_EQ(job.data, "s3://higgs-10/higgs");
  EXPECT_EQ(job.channel, "s3://tmp-params");
  EXPECT_EQ(job.n_workers, 10);
  EXPECT_EQ(job.n_features, 30);
  EXPECT_EQ(job.dataset_type, DatasetType::kDenseLibsvm);
  EXPECT_EQ(job.optim, Optim::kAdmm);
  EXPECT_EQ(job.n_admm_epochs, 4);
  EXPECT_EQ(job.regularizer, Regularizer::kL1) << "LambdaML's ADMM penalises with L1";
}

TEST(JobTest, LambdaMeansL1OnlyForAdmmOfALambdamlPayload) {
  EXPECT_EQ(ApplyTo(R"({"data":"x","optim":"admm","lambda":0.1})").regularizer, std::nullopt);
  EXPECT_EQ(ApplyTo(R"({"data_bucket":"b","optim":"grad_avg","lambda":0.1})").regularizer,
            std::nullopt);
  EXPECT_EQ(ApplyTo(R"({"data_bucket":"b","optim":"admm"})").regularizer, std::nullopt);
  EXPECT_EQ(
      ApplyTo(R"({"data_bucket":"b","optim":"admm","lambda":1,"regularizer":"l2"})").regularizer,
      Regularizer::kL2);
}

TEST(JobTest, ABucketIsAnS3NameAUrlOrAPath) {
  EXPECT_EQ(ApplyTo(R"({"data_bucket":"b"})").data, "s3://b");
  EXPECT_EQ(ApplyTo(R"({"data_bucket":"/srv/data","dataset":"d"})").data, "/srv/data/d");
  EXPECT_EQ(ApplyTo(R"({"data_bucket":"./data/","dataset":"d"})").data, "./data/d");
  EXPECT_EQ(ApplyTo(R"({"data_bucket":"file:///srv","dataset":"d"})").data, "file:///srv/d");
  EXPECT_EQ(ApplyTo(R"({"data_bucket":"shards/of","dataset":"d"})").data, "shards/of/d")
      << "no S3 bucket has a slash in its name";
  EXPECT_EQ(ApplyTo(R"({"dataset":"d.libsvm"})").data, "d.libsvm");
}

TEST(JobTest, TrainAndTestFilesLieInTheDataBucket) {
  const Job job = ApplyTo(R"({"data_bucket":"b","train_file":"train","test_file":"test"})");
  EXPECT_EQ(job.data, "s3://b/train");
  EXPECT_EQ(job.test, "s3://b/test");
  EXPECT_EQ(ApplyTo(R"({"test_file":"t"})").test, "t");
}

TEST(JobTest, TheChannelFollowsFromBucketServerOrTables) {
  EXPECT_EQ(ApplyTo(R"({"tmp_bucket":"t","merged_bucket":"m"})").channel, "s3://t");
  EXPECT_EQ(ApplyTo(R"({"tmp_bucket":"/dev/shm/t"})").channel, "/dev/shm/t");
  EXPECT_EQ(ApplyTo(R"({"host":"10.0.0.1","port":27000})").channel, "ps://10.0.0.1:27000");
  EXPECT_EQ(ApplyTo(R"({"host":"10.0.0.1","port":6379})").channel, "redis://10.0.0.1:6379");
  EXPECT_EQ(ApplyTo(R"({"host":"10.0.0.1","port":11211})").channel, "memcached://10.0.0.1:11211");
  EXPECT_EQ(ApplyTo(R"({"tmp_table_name":"t","merged_table_name":"m"})").channel, "dynamodb://t,m");
  EXPECT_EQ(ApplyTo(R"({"tmp_table_name":"t","merged_table_name":"m","key_col":"id&=%"})").channel,
            "dynamodb://t,m?key_col=id%26=%25");
  EXPECT_EQ(ApplyTo(R"({"tmp_table_name":"t"})").channel, "dynamodb://t");
  EXPECT_EQ(ApplyTo("{}").channel, "");
  EXPECT_THAT(ErrorOf(R"({"host":"10.0.0.1"})"), HasSubstr("port is missing"));
}

TEST(JobTest, TheJobsOwnKeysWinOverLambdamls) {
  const Job job = ApplyTo(R"({"data":"mine","data_bucket":"b","dataset":"d","test":"t",
      "test_file":"u","channel":"file:///c","tmp_bucket":"x","host":"h"})");
  EXPECT_EQ(job.data, "mine");
  EXPECT_EQ(job.test, "t");
  EXPECT_EQ(job.channel, "file:///c");
}

TEST(JobTest, GenerationsThatThisProgramCannotRunAreRefused) {
  EXPECT_THAT(ErrorOf(R"({"start_epoch":3})"), HasSubstr("start_epoch"));
  EXPECT_EQ(ErrorOf(R"({"run_epochs":3,"n_epochs":10})"), "accepted");
}

TEST(ServiceOptions, GoIntoTheUrlsThatHaveNoneOfTheirOwn) {
  Job job;
  job.data = "s3://bucket/data";
  job.test = "s3://bucket/test?region=eu-west-1";
  job.output = "local.model";
  job.channel = "dynamodb://tmp,merged?endpoint=http://own:1";
  job.region = "us-west-2";
  job.endpoint_url = "http://127.0.0.1:8000/a%b&c";
  ApplyServiceOptions(job);
  EXPECT_EQ(job.data, "s3://bucket/data?region=us-west-2&endpoint=http://127.0.0.1:8000/a%25b%26c");
  EXPECT_EQ(job.test, "s3://bucket/test?region=eu-west-1&endpoint=http://127.0.0.1:8000/a%25b%26c");
  EXPECT_EQ(job.output, "local.model");
  EXPECT_EQ(job.channel, "dynamodb://tmp,merged?endpoint=http://own:1&region=us-west-2");
}

TEST(ServiceOptions, LeaveUrlsAloneUnlessGiven) {
  Job job;
  job.data = "s3://bucket/data";
  job.channel = "redis://host";
  ApplyServiceOptions(job);
  EXPECT_EQ(job.data, "s3://bucket/data");
  job.region = "us-west-2";
  ApplyServiceOptions(job);
  EXPECT_EQ(job.channel, "redis://host");
}

}  // namespace
}  // namespace lambdaml::wire
