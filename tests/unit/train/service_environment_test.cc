#include "lambdaml/train/service_environment.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/file.h"

namespace lambdaml::train {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Key;
using testing::Not;
using testing::Pair;

class ServiceEnvironmentTest : public testing::Test {
 protected:
  ServiceEnvironmentTest() {
    ::setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    ::setenv("AWS_LAMBDA_FUNCTION_NAME", "not-ours", 1);
    ::setenv("REDIS_PASSWORD", "secret", 1);
    ::setenv("LAMBDAML_OTHER", "x", 1);
  }
  ~ServiceEnvironmentTest() override {
    for (const char* name : {"AWS_ACCESS_KEY_ID", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION",
                             "AWS_CONFIG_FILE", "REDIS_PASSWORD", "LAMBDAML_OTHER"}) {
      ::unsetenv(name);
    }
  }

  static wire::Job JobWithChannel(const std::string& url) {
    wire::Job job;
    job.data = "/data/rows.libsvm";
    job.channel = url;
    return job;
  }
};

TEST_F(ServiceEnvironmentTest, AJobThatStaysOnThisMachineInheritsNothing) {
  EXPECT_THAT(ServiceEnvironment(JobWithChannel("file:///dev/shm/channel")), IsEmpty());
}

TEST_F(ServiceEnvironmentTest, WhatReachesServicesIsInheritedAndNothingElse) {
  ::setenv("AWS_REGION", "eu-west-1", 1);
  const auto variables = ServiceEnvironment(JobWithChannel("s3://bucket/channel"));
  EXPECT_THAT(variables, Contains(Pair("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")));
  EXPECT_THAT(variables, Contains(Pair("REDIS_PASSWORD", "secret")));
  EXPECT_THAT(variables, Contains(Pair("AWS_REGION", "eu-west-1")).Times(1));
  EXPECT_THAT(variables, Not(Contains(Key("AWS_LAMBDA_FUNCTION_NAME"))));
  EXPECT_THAT(variables, Not(Contains(Key("LAMBDAML_OTHER"))));
}

TEST_F(ServiceEnvironmentTest, ThePasswordOfTheChannelGoesBeforeTheEnvironments) {
  const auto variables = ServiceEnvironment(JobWithChannel("redis://:p%40ss@host:1/2"));
  EXPECT_THAT(variables, Contains(Pair("REDIS_PASSWORD", "p@ss")).Times(1));
  EXPECT_THAT(variables, Contains(Key("REDIS_PASSWORD")).Times(1));
}

TEST_F(ServiceEnvironmentTest, TheRegionMayComeFromTheConfigFile) {
  const base::TemporaryDirectory folder("/tmp", "service_environment_test");
  const std::string config = folder.path() + "/config";
  base::WriteFileAtomic(config, base::AsBytes("[default]\nregion = ap-south-1\n"));
  ::setenv("AWS_CONFIG_FILE", config.c_str(), 1);
  wire::Job job = JobWithChannel("file:///dev/shm/channel");
  job.data = "s3://bucket/data";
  EXPECT_THAT(ServiceEnvironment(job), Contains(Pair("AWS_REGION", "ap-south-1")));
}

}  // namespace
}  // namespace lambdaml::train
