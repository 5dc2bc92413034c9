#include "lambdaml/train/job_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/train/linear_defaults.h"

namespace lambdaml::train {
namespace {

using wire::Job;
using wire::Optim;
using wire::Regularizer;
using wire::SyncMode;

Job JobOn(const std::string& data) {
  Job job;
  job.data = data;
  return job;
}

Job Resolved(Job job) {
  ResolveJob(job);
  return job;
}

void ExpectRefusal(Job job, const std::string& message) {
  try {
    ResolveJob(job);
    ADD_FAILURE() << "accepted: " << message;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.message(), testing::HasSubstr(message));
  }
}

TEST(ResolveJob, AJobOfNothingButDataIsAdmmWithL2OfAStrengthToBeSettled) {
  Job job = Resolved(JobOn("a9a"));
  EXPECT_EQ(job.optim, Optim::kAdmm);
  EXPECT_EQ(job.regularizer, Regularizer::kL2);
  EXPECT_EQ(job.lambda, std::nullopt);
  EXPECT_EQ(job.n_epochs, 10);
  SettleLambda(job, 250);
  EXPECT_EQ(job.lambda, 1.0 / 250);
}

TEST(ResolveJob, AsyncJobsAverageGradients) {
  Job job = JobOn("a9a");
  job.sync_mode = SyncMode::kAsync;
  EXPECT_EQ(Resolved(job).optim, Optim::kGradAvg);
  job.optim = Optim::kModelAvg;
  EXPECT_EQ(Resolved(job).optim, Optim::kModelAvg);
}

TEST(ResolveJob, OnlyAdmmHasAPenaltyThatNobodyAskedFor) {
  for (const Optim optim : {Optim::kGradAvg, Optim::kModelAvg}) {
    Job job = JobOn("a9a");
    job.optim = optim;
    job = Resolved(job);
    EXPECT_EQ(job.regularizer, Regularizer::kNone);
    EXPECT_EQ(job.lambda, 0);
    SettleLambda(job, 250);
    EXPECT_EQ(job.lambda, 0);
  }
}

TEST(ResolveJob, AStrengthWithoutAKindMeansL2AndZeroMeansNone) {
  for (const Optim optim : {Optim::kGradAvg, Optim::kModelAvg, Optim::kAdmm}) {
    Job job = JobOn("a9a");
    job.optim = optim;
    job.lambda = 0.5;
    EXPECT_EQ(Resolved(job).regularizer, Regularizer::kL2);
    EXPECT_EQ(Resolved(job).lambda, 0.5);
    job.lambda = 0;
    EXPECT_EQ(Resolved(job).regularizer, Regularizer::kNone);
  }
}

TEST(ResolveJob, AGivenKindStaysAndNoneHasNoStrength) {
  Job job = JobOn("a9a");
  job.lambda = 0.5;
  for (const Regularizer kind : {Regularizer::kL1, Regularizer::kL2}) {
    job.regularizer = kind;
    EXPECT_EQ(Resolved(job).regularizer, kind);
    EXPECT_EQ(Resolved(job).lambda, 0.5);
  }
  job.regularizer = Regularizer::kNone;
  EXPECT_EQ(Resolved(job).lambda, 0);
}

TEST(ResolveJob, AKindWithoutAStrengthIsForAdmmAlone) {
  Job job = JobOn("a9a");
  job.regularizer = Regularizer::kL1;
  job.optim = Optim::kGradAvg;
  ExpectRefusal(job, "give --lambda");
  job.optim = Optim::kAdmm;
  job = Resolved(job);
  SettleLambda(job, 10);
  EXPECT_EQ(job.regularizer, Regularizer::kL1);
  EXPECT_EQ(job.lambda, 0.1);
}

TEST(ResolveJob, OnlyDerivedRatesOfSynchronousRunsGetMomentum) {
  Job job = JobOn("a9a");
  job.optim = Optim::kGradAvg;
  EXPECT_EQ(Resolved(job).momentum, 0.9);
  job.lr = 0.1;
  EXPECT_EQ(Resolved(job).momentum, 0);
  job.lr.reset();
  job.sync_mode = SyncMode::kAsync;
  EXPECT_EQ(Resolved(job).momentum, 0);
  job.momentum = 0.5;
  EXPECT_EQ(Resolved(job).momentum, 0.5);
}

TEST(ResolveJob, RefusesWhatCannotWorkAndSaysWhatToChange) {
  ExpectRefusal(Job(), "give --data FILE");
  Job job = JobOn("a9a");
  job.optim = Optim::kAdmm;
  job.sync_mode = SyncMode::kAsync;
  ExpectRefusal(job, "use reduce or reduce_scatter, or --optim grad_avg");
  job = JobOn("a9a");
  job.patience = 2;
  ExpectRefusal(job, "give --valid_ratio");
  job.valid_ratio = 0.1;
  EXPECT_EQ(Resolved(job).patience, 2);
  job.sync_mode = SyncMode::kAsync;
  ExpectRefusal(job, "--patience needs a synchronous --sync_mode");
}

TEST(ResolveJob, WhatIsGivenStays) {
  Job job = JobOn("a9a");
  job.n_epochs = 3;
  job.output = "here.model";
  EXPECT_EQ(Resolved(job).n_epochs, 3);
  EXPECT_EQ(Resolved(job).output, "here.model");
}

TEST(ResolveJob, TakesLambdamlsKeys) {
  Job job;
  job.data_bucket = "/data";
  job.dataset = "higgs";
  job.optim = Optim::kAdmm;
  job.lambda = 0.01;
  job = Resolved(job);
  EXPECT_EQ(job.data, "/data/higgs");
  EXPECT_EQ(job.regularizer, Regularizer::kL1);
  EXPECT_EQ(job.output, "higgs.model");
}

TEST(ResolveJob, TheModelIsNamedAfterTheDataAndStandsInThePresentFolder) {
  const auto output = [](const std::string& data) { return Resolved(JobOn(data)).output; };
  EXPECT_EQ(output("heart_scale"), "heart_scale.model");
  EXPECT_EQ(output("/far/heart_scale.libsvm.zst"), "heart_scale.model");
  EXPECT_EQ(output("a9a.txt.gz"), "a9a.model");
  EXPECT_EQ(output("a9a.svm"), "a9a.model");
  EXPECT_EQ(output("shards.npz"), "shards.model");
  EXPECT_EQ(output("higgs/"), "higgs.model");
  EXPECT_EQ(output("data/higgs"), "higgs.model");
  EXPECT_EQ(output("s3://bucket/data/higgs.libsvm.gz?region=eu-west-1"), "higgs.model");
  EXPECT_EQ(output("s3://bucket"), "bucket.model");
  EXPECT_EQ(output(".libsvm"), ".libsvm.model");
  EXPECT_EQ(output("/"), "lambdaml.model");
}

TEST(DefaultBatchSize, IsATwentiethOfTheLargestShardWithinLimits) {
  EXPECT_EQ(DefaultBatchSize(0), 16);
  EXPECT_EQ(DefaultBatchSize(320), 16);
  EXPECT_EQ(DefaultBatchSize(360), 18);
  EXPECT_EQ(DefaultBatchSize(100'000), 5'000);
  EXPECT_EQ(DefaultBatchSize(11'000'000), 10'000);
}

TEST(ResolveJob, NodesBelongToMemcachedRedisAndParameterServers) {
  wire::Job job;
  job.data = "rows.libsvm";
  job.cache_node = "cache.t3.small";
  for (const char* url : {"memcached://h", "redis://h", "rediss://h", "ps://h", "pss://h"}) {
    job.channel = url;
    EXPECT_EQ(Resolved(job).cache_node, "cache.t3.small");
  }
  for (const char* url : {"", "s3://bucket"}) {
    job.channel = url;
    EXPECT_THROW(Resolved(job), base::Error) << url;
  }
}

}  // namespace
}  // namespace lambdaml::train
