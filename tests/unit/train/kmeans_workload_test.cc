#include "lambdaml/train/kmeans_workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/train/job_defaults.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

wire::Job KmeansJob() {
  wire::Job job;
  job.data = "dir/rows.libsvm";
  job.model = wire::ModelKind::kKmeans;
  job.n_clusters = 3;
  return job;
}

wire::Job Resolved(wire::Job job) {
  ResolveJob(job);
  return job;
}

void ExpectRefusal(wire::Job job, const std::string& message) {
  try {
    ResolveJob(job);
    ADD_FAILURE() << "accepted: " << message;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.message(), HasSubstr(message));
  }
}

TEST(KmeansJob, ItsDefaultsAreLloydToConvergenceFromKMeansParallel) {
  const wire::Job job = Resolved(KmeansJob());
  EXPECT_EQ(job.init, wire::KmeansInit::kParallel);
  EXPECT_EQ(job.n_epochs, 300);
  EXPECT_EQ(job.threshold, 0);
  EXPECT_EQ(job.output, "rows.npy");
  EXPECT_EQ(EpochsMax(job), 300);
}

TEST(KmeansJob, MiniBatchesTakeFewerEpochs) {
  wire::Job job = KmeansJob();
  job.batch_size = 100;
  EXPECT_EQ(Resolved(job).n_epochs, 10);
  job.batch_size = 0;
  EXPECT_EQ(Resolved(job).n_epochs, 300) << "0 means all rows";
}

TEST(KmeansJob, ALambdamlPayloadBeginsWithTheFirstRows) {
  wire::Job job = wire::JobFromJson(
      base::Json::Parse(R"({"dataset":"higgs","data_bucket":"/data","dataset_type":"dense_libsvm",
        "n_features":30,"tmp_bucket":"/channel","merged_bucket":"/channel","n_clusters":10,
        "n_epochs":10,"threshold":0.0001,"sync_mode":"reduce","n_workers":10})",
                        "payload"),
      "payload");
  job = Resolved(job);
  EXPECT_EQ(job.model, wire::ModelKind::kKmeans);
  EXPECT_EQ(job.init, wire::KmeansInit::kFirst);
  EXPECT_EQ(job.threshold, 0.0001);
  EXPECT_EQ(job.n_epochs, 10);
  EXPECT_EQ(job.data, "/data/higgs");
}

TEST(KmeansJob, NeedsAWordOnItsClusters) {
  wire::Job job = KmeansJob();
  job.n_clusters.reset();
  ExpectRefusal(job, "needs --n_clusters K");
  job.init_model = "centroids.npy";
  EXPECT_NO_THROW(Resolved(job));
  job.init = wire::KmeansInit::kRandom;
  ExpectRefusal(job, "--init and --init_model");
}

TEST(KmeansJob, AsyncIsForMiniBatches) {
  wire::Job job = KmeansJob();
  job.sync_mode = wire::SyncMode::kAsync;
  ExpectRefusal(job, "give --batch_size as well");
  job.batch_size = 10;
  EXPECT_NO_THROW(Resolved(job));
}

TEST(KmeansJob, OptionsOfOtherModelsAreRefused) {
  const std::pair<const char*, const char*> options[] = {
      {"n_classes", "2"},     {"valid_ratio", "0.1"}, {"bias", "false"},
      {"optim", "admm"},      {"lr", "0.1"},          {"lr_schedule", "cosine"},
      {"momentum", "0"},      {"regularizer", "l2"},  {"lambda", "1"},
      {"n_admm_epochs", "3"}, {"rho", "1"},           {"local_solver", "sgd"},
      {"tolerance", "0.1"},   {"patience", "2"},      {"augment", "true"},
      {"keep", "best"},       {"exchange", "float16"}};
  for (const auto& [name, text] : options) {
    wire::Job job = KmeansJob();
    wire::SetOptionFromText(job, name, text, name);
    ExpectRefusal(job, std::string("--") + name + " means nothing to --model kmeans");
  }
}

TEST(LinearJob, OptionsOfKmeansAreRefused) {
  const std::pair<const char*, const char*> options[] = {
      {"n_clusters", "2"}, {"init", "first"}, {"threshold", "0.1"},
      {"augment", "true"}, {"keep", "last"},  {"exchange", "float16"}};
  for (const auto& [name, text] : options) {
    wire::Job job;
    job.data = "rows";
    wire::SetOptionFromText(job, name, text, name);
    ExpectRefusal(job, std::string("--") + name + " means nothing to --model lr");
  }
}

}  // namespace
}  // namespace lambdaml::train
