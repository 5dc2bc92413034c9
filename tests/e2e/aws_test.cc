// deploy, status, logs and destroy against a strict stand-in for AWS and a real S3 server.
#include <algorithm>
#include <csignal>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/store/open_store.h"

#include "e2e/sample_data.h"
#include "e2e/workbench.h"
#include "support/servers/fake_aws.h"
#include "support/servers/rgw_server.h"

namespace lambdaml::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr base::Duration kSoon = std::chrono::seconds(60);

class AwsTest : public Workbench {
 protected:
  static void SetUpTestSuite() {
    if (RgwServer::IsInstalled()) RgwServer::Shared();
  }

  void SetUp() override {
    if (!RgwServer::IsInstalled()) GTEST_SKIP() << RgwServer::kMissing;
    if (!FakeAws::IsInstalled()) GTEST_SKIP() << FakeAws::kMissing;
    bucket_ = RgwServer::Shared().MakeBucket();
    Use(RgwServer::Shared().Environment());
    SetEnvironment("AWS_EC2_METADATA_DISABLED", "true");
    // Any program does for a function that is never started.
    Succeed({"package", "--worker", "/usr/bin/env", "--output", "one.zip"});
    Succeed({"package", "--worker", "/usr/bin/true", "--output", "two.zip"});
  }

  // Starts the stand-in; a bucket that a stack makes is bucket_.
  void StartAws(const std::vector<std::string>& options = {}) {
    aws_ = std::make_unique<FakeAws>(folder(), RgwServer::credentials(),
                                     Join({"--bucket", bucket_}, options),
                                     RgwServer::Shared().Environment());
    Use(aws_->Environment());
  }

  void Use(const std::vector<std::string>& variables) {
    for (const std::string& variable : variables) {
      const size_t equals = variable.find('=');
      SetEnvironment(variable.substr(0, equals), variable.substr(equals + 1));
    }
  }

  std::vector<std::string> Objects() const {
    return OpenBucket()->List("", base::Deadline::After(kSoon));
  }
  std::unique_ptr<store::Store> OpenBucket() const {
    for (const std::string& variable : RgwServer::Shared().Environment()) {
      const size_t equals = variable.find('=');
      ::setenv(variable.substr(0, equals).c_str(), variable.substr(equals + 1).c_str(), 1);
    }
    return store::OpenStore("s3://" + bucket_);
  }

  // How often an operation has been asked for with success.
  int64_t CountOf(const std::string& operation) const {
    return std::ranges::count_if(aws_->Requests(), [&](const base::Json& request) {
      const base::Json* name = request.Find("operation");
      return name != nullptr && name->AsString() == operation && request.At("answer").is_integer();
    });
  }

  // The record of requests may hold no secret; neither may what a command says.
  void TearDown() override {
    if (aws_) {
      EXPECT_THAT(Read("requests.jsonl"),
                  Not(HasSubstr(RgwServer::credentials().secret_access_key)));
    }
    aws_.reset();
    Workbench::TearDown();
  }

  std::string bucket_;
  std::unique_ptr<FakeAws> aws_;
};

TEST_F(AwsTest, FromAnEmptyAccountToAFunctionAndBackToNothing) {
  StartAws();
  EXPECT_THAT(Succeed({"status"}), HasSubstr("there is no stack lambdaml"));
  const std::string said = Succeed({"deploy", "--package", "one.zip", "--memory_mb", "3538"});
  EXPECT_THAT(said, AllOf(HasSubstr("OwnBucket"), HasSubstr("uploading"),
                          HasSubstr("CREATE_COMPLETE          Function"),
                          HasSubstr("UPDATE_COMPLETE          lambdaml")));
  const std::string hash = RunTool("/usr/bin/sha256sum", {"one.zip"}).substr(0, 64);
  EXPECT_THAT(Objects(), ElementsAre("lambdaml/code/lambdaml/" + hash + ".zip"));
  EXPECT_THAT(Succeed({"status"}),
              AllOf(HasSubstr("UPDATE_COMPLETE"), HasSubstr("Active, 3538 MB, 900 s, x86_64"),
                    HasSubstr("1000 at one time, shared")));

  OpenBucket()->Put("data/shards/0_1", base::AsBytes("rows"), base::Deadline::After(kSoon));
  const std::string asked = Succeed({"destroy", "--yes"});
  EXPECT_THAT(asked, AllOf(HasSubstr("2 objects"), HasSubstr("a bucket of its own"),
                           HasSubstr("DELETE_COMPLETE          Function"), EndsWith("is gone\n")));
  EXPECT_THAT(Objects(), IsEmpty());
  EXPECT_THAT(Succeed({"destroy", "--yes"}), HasSubstr("there is no stack lambdaml"));
}

TEST_F(AwsTest, DeployingTwiceChangesNothingAndNewCodeReplacesTheOld) {
  StartAws();
  const Arguments deploy = {"deploy", "--bucket", bucket_, "--stack", "s"};
  Succeed(Join(deploy, Arguments{"--package", "one.zip", "--timeout", "60"}));
  const std::vector<std::string> first = Objects();
  EXPECT_THAT(Succeed(Join(deploy, Arguments{"--package", "one.zip"})),
              HasSubstr("nothing to change"));
  EXPECT_EQ(CountOf("ExecuteChangeSet"), 1) << "what is not given stays: the time-out, too";
  EXPECT_EQ(Objects(), first);

  EXPECT_THAT(Succeed({"deploy", "--stack", "s", "--package", "two.zip"}),
              AllOf(HasSubstr("Modify"), HasSubstr("UPDATE_COMPLETE          Function")));
  ASSERT_EQ(Objects().size(), 1U);
  EXPECT_NE(Objects(), first);
  EXPECT_THAT(Succeed({"status", "--stack", "s"}), HasSubstr("60 s"));

  OpenBucket()->Put("mine", base::AsBytes("kept"), base::Deadline::After(kSoon));
  Succeed({"destroy", "--stack", "s", "--yes"});
  EXPECT_THAT(Objects(), ElementsAre("mine")) << "the bucket is not the stack's own";
}

TEST_F(AwsTest, ADryRunShowsTheChangesAndLeavesEverythingAsItWas) {
  StartAws();
  EXPECT_THAT(Succeed({"deploy", "--dry-run", "--bucket", bucket_, "--package", "one.zip"}),
              AllOf(HasSubstr("Add                      Function"), HasSubstr("dry run"),
                    Not(HasSubstr("OwnBucket"))));
  EXPECT_THAT(Objects(), IsEmpty());
  EXPECT_THAT(Succeed({"status"}), HasSubstr("there is no stack lambdaml"));
  EXPECT_EQ(CountOf("ExecuteChangeSet"), 0);
  EXPECT_EQ(CountOf("DeleteChangeSet"), 1);
}

TEST_F(AwsTest, AFailedStacksReasonIsSaidAndDeployingAgainStartsAfresh) {
  StartAws({"--fail", "Url=the account may have no URLs", "--fail", "delete Role=it is in use"});
  const Arguments deploy = {"deploy", "--bucket", bucket_, "--package", "one.zip"};
  const Outcome failed = Run(Join(deploy, Arguments{"--create_url", "true"}));
  EXPECT_EQ(failed.exit_code, 4);
  EXPECT_EQ(failed.err,
            "lambdaml: the stack ended as ROLLBACK_COMPLETE: Url (AWS::Lambda::Url): the account "
            "may have no URLs\n");
  EXPECT_THAT(Succeed(deploy), AllOf(HasSubstr("deleting what a failed creation has left"),
                                     HasSubstr("CREATE_COMPLETE          Function")));
  const Outcome kept = Run({"destroy", "--yes"});
  EXPECT_EQ(kept.exit_code, 4);
  EXPECT_THAT(kept.err,
              AllOf(HasSubstr("DELETE_FAILED"), HasSubstr("Role"), HasSubstr("it is in use")));
}

TEST_F(AwsTest, WhatTheTemplateRefusesIsSaidBeforeAnythingIsMade) {
  StartAws();
  const Outcome refused =
      Run({"deploy", "--bucket", bucket_, "--package", "one.zip", "--memory_mb", "12"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("MemoryMb"));
  EXPECT_THAT(Succeed({"status"}), HasSubstr("there is no stack"));
  Refuse({"deploy", "--package", "missing.zip"}, 3, {"missing.zip"});
}

TEST_F(AwsTest, ThrottledRequestsAreMadeAgain) {
  StartAws({"--throttle", "2"});
  Succeed({"deploy", "--bucket", bucket_, "--package", "one.zip"});
  EXPECT_EQ(CountOf("ExecuteChangeSet"), 1);
}

TEST_F(AwsTest, WrongCredentialsAreSaidBeforeAnythingElse) {
  StartAws();
  SetEnvironment("AWS_SECRET_ACCESS_KEY", "wrong-secret");
  const Outcome refused = Run({"deploy", "--package", "one.zip"});
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err,
              AllOf(StartsWith("lambdaml: check the credentials: "),
                    HasSubstr("AWS_SECRET_ACCESS_KEY"), Not(HasSubstr("wrong-secret"))));
  EXPECT_EQ(aws_->Requests().size(), 1U);
}

TEST_F(AwsTest, DestroyAsksAndHasNobodyToAskHere) {
  StartAws();
  Succeed({"deploy", "--bucket", bucket_, "--package", "one.zip"});
  const Outcome refused = Run({"destroy"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--yes"));
  EXPECT_EQ(CountOf("DeleteStack"), 0);
}

TEST_F(AwsTest, AJobOnLambdaGivesTheModelOfThisMachineAndLeavesNothing) {
  StartAws({"--worker", LAMBDAML_WORKER});
  Succeed({"deploy", "--bucket", bucket_, "--memory_mb", "1769", "--timeout", "100"});
  const std::vector<std::string> before = Objects();
  Write("data", SeparableSample({.rows = 101, .density = 0.6}));
  const Arguments job = {"train", "--data", "data", "--workers", "3", "--lambda", "0.01"};
  Succeed(Join(job, Arguments{"--output", "local.model"}));
  const std::string said =
      Succeed(Join(job, Arguments{"--output", "aws.model", "--platform", "aws", "--log", "log"}));
  EXPECT_EQ(Read("aws.model"), Read("local.model"));
  EXPECT_THAT(said, AllOf(HasSubstr("3 invocations of 1,769 MB"), HasSubstr("lambda $")));
  EXPECT_EQ(Objects(), before) << "the run's folder is deleted";
  EXPECT_EQ(CountOf("Invoke"), 3);
}

// Workers cannot be ended from outside; they look whether their job is still wanted.
TEST_F(AwsTest, AnInterruptedRunsWorkersEndByThemselvesAndLeaveNothing) {
  StartAws({"--worker", LAMBDAML_WORKER});
  Succeed({"deploy", "--bucket", bucket_});
  const std::vector<std::string> before = Objects();
  Write("data", SeparableSample({.rows = 101, .density = 0.6}));
  const auto run =
      Start({"train", "--data", "data", "--workers", "2", "--optim", "grad_avg", "--lr", "0.1",
             "--n_epochs", "1000000", "--platform", "aws", "--max_restarts", "0"});
  run->WaitUntil([&] { return run->out().find("\n    2 ") != std::string::npos; }, kSoon);
  EXPECT_EQ(ChildrenOf(aws_->pid()).size(), 2U);
  ::kill(run->pid(), SIGINT);
  const ProgramResult ended = run->Wait(kSoon);
  EXPECT_EQ(ended.status.ToString(), "exit status 130") << ended.err;
  EXPECT_TRUE(ChildrenOf(aws_->pid()).empty()) << "workers go on";
  EXPECT_EQ(Objects(), before);
}

TEST_F(AwsTest, AModelOfThisMachineToStartFromIsUploaded) {
  StartAws({"--worker", LAMBDAML_WORKER});
  Succeed({"deploy", "--bucket", bucket_, "--timeout", "100"});
  const std::vector<std::string> before = Objects();
  Write("data", SeparableSample({.rows = 101, .density = 0.6}));
  const Arguments job = {"train", "--data", "data", "--workers", "2", "--n_admm_epochs", "3"};
  Succeed(Join(job, Arguments{"--output", "first.model"}));
  const Arguments on = Join(job, Arguments{"--init_model", "first.model"});
  Succeed(Join(on, Arguments{"--output", "local.model"}));
  Succeed(Join(on, Arguments{"--output", "aws.model", "--platform", "aws"}));
  EXPECT_EQ(Read("aws.model"), Read("local.model"));
  EXPECT_EQ(Objects(), before);
}

TEST_F(AwsTest, FunctionsOnArmAreBilledAsSuch) {
  StartAws({"--worker", LAMBDAML_WORKER});
  Succeed({"deploy", "--bucket", bucket_, "--architecture", "arm64", "--package", "one.zip"});
  Write("data", SeparableSample({.rows = 101, .density = 0.6}));
  Succeed({"train", "--data", "data", "--workers", "2", "--n_admm_epochs", "3", "--output", "m",
           "--platform", "aws", "--log", "log"});
  const base::Json summary = Log("log").back();
  const base::Json& lambda = summary.At("cost").AsArray().at(0);
  const double requests = 2 * 0.2e-6;
  EXPECT_NEAR(lambda.At("dollars").AsNumber(),
              summary.At("gb_seconds").AsNumber() * 0.0000133334 + requests, 1e-9);
}

TEST_F(AwsTest, AnotherVersionOfTheWorkerIsRefused) {
  StartAws({"--worker", LAMBDAML_WORKER});
  Succeed({"deploy", "--bucket", bucket_});
  Write("data", SeparableSample({.rows = 101, .density = 0.6}));
  // As a newer lambdaml, whose worker differs by a byte, meets an older function.
  const Outcome refused = RunShell(
      "mkdir newer && cp $(dirname $LAMBDAML)/lambdaml* newer && echo >> newer/lambdaml-worker && "
      "exec newer/lambdaml train --data data --platform aws");
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("another version of the worker"), HasSubstr("lambdaml deploy")));
  EXPECT_EQ(CountOf("Invoke"), 0);
}

TEST_F(AwsTest, WhatCannotWorkIsSaidBeforeAnyWorkerIsInvoked) {
  StartAws({"--worker", LAMBDAML_WORKER, "--concurrency", "10"});
  Write("data", SeparableSample({.rows = 101, .density = 0.6}));
  const Arguments job = {"train", "--data", "data", "--platform", "aws"};
  Refuse(job, 3, {"there is no function lambdaml", "lambdaml deploy"});
  Succeed({"deploy", "--bucket", bucket_});
  Refuse(Join(job, Arguments{"--workers", "11"}), 4,
         {"11 workers are asked for", "quota allows 10"});
  Refuse(Join(job, Arguments{"--channel", "redis://10.1.2.3:6379"}), 2,
         {"private network", "--vpc"});
  Refuse(Join(job, Arguments{"--channel", Path("channel")}), 2, {"--channel", "do not reach"});
  Succeed({"deploy", "--concurrency", "2"});
  Refuse(Join(job, Arguments{"--workers", "3"}), 4, {"the function's reserve allows 2"});
  EXPECT_EQ(CountOf("Invoke"), 0);
}

TEST_F(AwsTest, LogsAreReadToTheLastPage) {
  std::string lines;
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
  for (int i = 0; i < 5; ++i) {
    lines += fmt::format(R"({{"timestamp":{},"message":"line {} of job-{}\n",)"
                         R"("logStreamName":"2026/05/01/[$LATEST]0123456789abcdef"}})"
                         "\n",
                         now_ms - 1000 + i, i, i % 2);
  }
  Write("lines.jsonl", lines);
  StartAws({"--logs", Path("lines.jsonl")});
  const std::string all = Succeed({"logs"});
  EXPECT_EQ(std::ranges::count(all, '\n'), 5);
  EXPECT_THAT(all, HasSubstr("Z 01234567 line 4 of job-0\n"));
  EXPECT_EQ(std::ranges::count(Succeed({"logs", "job-1"}), '\n'), 2);
  const Outcome missing = Run({"logs", "--function", "other"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, HasSubstr("/aws/lambda/other"));
}

}  // namespace
}  // namespace lambdaml::test
