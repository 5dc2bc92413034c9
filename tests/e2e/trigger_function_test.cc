// --trigger lambda: the trigger is a function itself, which invokes the workers of one generation
// and then itself. On this machine's platform, and on a stand-in for AWS with a real S3 server.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "lambdaml/base/json.h"

#include "e2e/sample_data.h"
#include "e2e/workbench.h"
#include "support/servers/fake_aws.h"
#include "support/servers/redis_server.h"
#include "support/servers/rgw_server.h"

namespace lambdaml::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr base::Duration kSoon = std::chrono::minutes(2);

Arguments JobOf(int epochs) {
  return {"train", "--data", "data",       "--workers",           "3", "--optim", "grad_avg",
          "--lr",  "0.5",    "--n_epochs", std::to_string(epochs)};
}

const Arguments kJob = JobOf(12);
const Arguments kByFunction = {"--trigger", "lambda"};
// The last generation finds that the job is over.
const Arguments kSevenHops = {"--run_epochs", "2"};

int64_t SummaryNumber(const std::vector<base::Json>& log, const std::string& key) {
  return log.back().At(key).AsInteger();
}

class TriggerFunctionTest : public Workbench {
 protected:
  TriggerFunctionTest() { Write("data", SeparableSample({.rows = 101, .density = 0.6})); }
};

TEST_F(TriggerFunctionTest, AJobOfSevenHopsGivesTheModelOfAnOrdinaryRun) {
  Succeed(Join(kJob, Arguments{"--output", "whole", "--log", "whole.log"}));
  const std::string said = Succeed(
      Join(kJob, kByFunction, kSevenHops, Arguments{"--output", "hops", "--log", "hops.log"}));
  EXPECT_EQ(Read("hops"), Read("whole"));
  const std::vector<base::Json> log = Log("hops.log");
  EXPECT_EQ(SummaryNumber(log, "generations"), 7);
  EXPECT_EQ(SummaryNumber(log, "invocations"), 7 * (3 + 1)) << "a trigger for each generation";
  EXPECT_EQ(log.size(), Log("whole.log").size()) << "the same epochs are shown";
  EXPECT_EQ(SummaryNumber(log, "rows"), SummaryNumber(Log("whole.log"), "rows"));
  EXPECT_FALSE(Exists("hops.checkpoint"));
  EXPECT_THAT(said, HasSubstr("28 invocations"));
}

TEST_F(TriggerFunctionTest, EveryKindOfModelIsBroughtHomeAndEvaluated) {
  const Arguments common = {"train", "--data", "data", "--test", "data", "--workers", "2"};
  for (const Arguments& job :
       {Arguments{"--model", "svm", "--optim", "admm", "--n_admm_epochs", "6"},
        Arguments{"--model", "kmeans", "--n_clusters", "3", "--n_epochs", "6"}}) {
    const bool is_kmeans = job[1] == "kmeans";
    const std::string suffix = is_kmeans ? ".txt" : "";
    Succeed(Join(common, job, Arguments{"--output", "whole" + suffix, "--log", "whole.log"}));
    Succeed(Join(common, job, kByFunction, kSevenHops,
                 Arguments{"--output", "hops" + suffix, "--log", "hops.log"}));
    EXPECT_EQ(Read("hops" + suffix), Read("whole" + suffix));
    const char* key = is_kmeans ? "test_inertia" : "test_loss";
    EXPECT_EQ(Log("hops.log").back().At(key).Dump(), Log("whole.log").back().At(key).Dump());
  }
}

// The functions' time-out, not a number of epochs, ends the generations.
TEST_F(TriggerFunctionTest, WorkersEndBeforeTheTimeOfTheirTriggerIsOver) {
  const Arguments job = JobOf(1500);
  Succeed(Join(job, Arguments{"--output", "whole"}));
  Succeed(Join(job, kByFunction,
               Arguments{"--output", "hops", "--timeout", "1", "--max_restarts", "0"}));
  EXPECT_EQ(Read("hops"), Read("whole"));
}

TEST_F(TriggerFunctionTest, AFailureAndALimitAreSaidWithTheWayOn) {
  Refuse(Join(kJob, kByFunction, Arguments{"--platform", "http", "--function_url", "http://a"}), 2,
         {"--trigger lambda", "--platform http"});
  const Arguments endless = Join(JobOf(100000000), kByFunction);
  const Outcome stopped = Run(
      Join(endless, Arguments{"--deadline", "3", "--checkpoint_every", "50", "--output", "late"}));
  EXPECT_EQ(stopped.exit_code, 4);
  EXPECT_THAT(stopped.err, AllOf(HasSubstr("--deadline"), HasSubstr("train --resume")));
  EXPECT_TRUE(Exists("late.checkpoint"));
}

// Functions that are killed (or stopped, so that they hang) in the first hop; the trigger is the
// process that was started first.
class DisturbedTriggerTest : public TriggerFunctionTest {
 protected:
  void ExpectTheModelInSpiteOf(int signal, size_t victim, const Arguments& more) {
    const Arguments job = Join(JobOf(4000), Arguments{"--checkpoint_every", "500"});
    Succeed(Join(job, Arguments{"--output", "whole"}));
    const auto run = Start(Join(job, kByFunction, more, Arguments{"--output", "disturbed"}));
    run->WaitUntil([&] { return run->out().find("\n  700 ") != std::string::npos; }, kSoon);
    ::kill(FunctionsOf(run->pid()).at(victim), signal);
    const ProgramResult result = run->Wait(std::chrono::minutes(4));
    EXPECT_EQ(result.status.ToString(), "exit status 0") << result.err;
    EXPECT_EQ(Read("disturbed"), Read("whole"));
    ExpectNothingLeft();
  }

 private:
  static std::vector<pid_t> FunctionsOf(pid_t run) {
    std::vector<pid_t> functions;
    for (const pid_t child : ChildrenOf(run)) {
      std::error_code error;  // of one that has just ended
      const auto program =
          std::filesystem::read_symlink("/proc/" + std::to_string(child) + "/exe", error);
      if (program.filename() == "lambdaml-worker") functions.push_back(child);
    }
    std::ranges::sort(functions);
    return functions;
  }
};

// With LAMBDAML_TEST_ALL also what takes minutes: a trigger that dies, which the platform tries
// again after one, and a worker that hangs, which is left to the next hop.
TEST_F(DisturbedTriggerTest, FunctionsThatDieOrHangChangeNothing) {
  ExpectTheModelInSpiteOf(SIGKILL, 2, {});
  if (std::getenv("LAMBDAML_TEST_ALL") == nullptr) return;
  ExpectTheModelInSpiteOf(SIGKILL, 0, {});
  ExpectTheModelInSpiteOf(SIGSTOP, 2, {"--timeout", "15"});
}

class AwsTriggerTest : public Workbench {
 protected:
  static void SetUpTestSuite() {
    if (RgwServer::IsInstalled()) RgwServer::Shared();
  }

  void SetUp() override {
    if (!RgwServer::IsInstalled()) GTEST_SKIP() << RgwServer::kMissing;
    if (!FakeAws::IsInstalled()) GTEST_SKIP() << FakeAws::kMissing;
    Use(RgwServer::Shared().Environment());
    SetEnvironment("AWS_EC2_METADATA_DISABLED", "true");
    aws_ = std::make_unique<FakeAws>(
        folder(), RgwServer::credentials(),
        Arguments{"--worker", LAMBDAML_WORKER, "--secret", "channel/password=" + kPassword},
        RgwServer::Shared().Environment());
    Use(aws_->Environment());
    Write("data", SeparableSample({.rows = 101, .density = 0.6}));
    bucket_ = RgwServer::Shared().MakeBucket();
  }

  void Use(const std::vector<std::string>& variables) {
    for (const std::string& variable : variables) {
      const size_t equals = variable.find('=');
      SetEnvironment(variable.substr(0, equals), variable.substr(equals + 1));
    }
  }

  void Deploy(const Arguments& more = {}) {
    Succeed(Join(Arguments{"deploy", "--bucket", bucket_, "--timeout", "100"}, more));
  }

  // The name in "job NAME runs by itself".
  static std::string JobIn(const std::string& said) {
    const size_t begin = said.find("job ") + 4;
    return said.substr(begin, said.find(' ', begin) - begin);
  }

  void TearDown() override {
    if (aws_) {
      EXPECT_THAT(Read("requests.jsonl"), Not(HasSubstr(kPassword)));
      EXPECT_THAT(Read("requests.jsonl"),
                  Not(HasSubstr(RgwServer::credentials().secret_access_key)));
    }
    aws_.reset();
    Workbench::TearDown();
  }

  const std::string kPassword = "a-secret-of-the-channel";
  const Arguments kOnAws = Join(kByFunction, Arguments{"--platform", "aws"});
  std::string bucket_;
  std::unique_ptr<FakeAws> aws_;
};

TEST_F(AwsTriggerTest, AJobOfSevenHopsRunsOnLambda) {
  Deploy();
  Refuse(Join(kJob, kOnAws), 4, {"may not invoke itself", "--self_invoke true"});
  Deploy({"--self_invoke", "true"});
  Succeed(Join(kJob, Arguments{"--output", "local.model"}));
  const std::string said =
      Succeed(Join(kJob, kOnAws, kSevenHops, Arguments{"--output", "aws.model"}));
  EXPECT_EQ(Read("aws.model"), Read("local.model"));
  EXPECT_THAT(said, AllOf(HasSubstr("runs by itself"), HasSubstr("28 invocations"),
                          HasSubstr("lambdaml cancel " + JobIn(said))));
  int64_t events = 0;
  for (const base::Json& request : aws_->Requests()) {
    const base::Json* operation = request.Find("operation");
    if (operation == nullptr || operation->AsString() != "Invoke") continue;
    const base::Json* type = request.At("parameters").Find("InvocationType");
    events += type != nullptr && type->AsString() == "Event" ? 1 : 0;
  }
  EXPECT_EQ(events, 7);
  Refuse({"status", JobIn(said)}, 3, {"there is no job " + JobIn(said)});
}

TEST_F(AwsTriggerTest, AJobOutlivesTheProgramAndIsPickedUpAgain) {
  Deploy({"--self_invoke", "true"});
  const Arguments job =
      Join(JobOf(100), kOnAws, Arguments{"--run_epochs", "40", "--output", "kept.model"});
  const auto run = Start(job);
  run->WaitUntil([&] { return run->out().find("\n    2 ") != std::string::npos; }, kSoon);
  ::kill(run->pid(), SIGINT);
  const ProgramResult left = run->Wait(kSoon);
  EXPECT_EQ(left.status.ToString(), "exit status 130");
  EXPECT_THAT(left.err, HasSubstr("the job goes on"));
  EXPECT_FALSE(Exists("kept.model"));
  const std::string name = JobIn(left.out);
  EXPECT_THAT(Succeed({"status", name, "--epochs", "3"}), HasSubstr("state"));
  std::string status;
  const base::Deadline deadline = base::Deadline::After(kSoon);
  while (status.find("finished") == std::string::npos && !deadline.Expired()) {
    status = Succeed({"status", name, "--epochs", "3"});
  }
  EXPECT_THAT(status, AllOf(HasSubstr("\n  100 "), HasSubstr("12 invocations"),
                            HasSubstr("s3://" + bucket_ + "/lambdaml/jobs/" + name)));
  Succeed({"status", name, "--output", "fetched.model"});
  Succeed(Join(JobOf(100), Arguments{"--output", "local.model"}));
  EXPECT_EQ(Read("fetched.model"), Read("local.model"));
  EXPECT_THAT(Succeed({"cancel", name}), HasSubstr("is over: finished"));
}

TEST_F(AwsTriggerTest, ACancelledJobEnds) {
  Deploy({"--self_invoke", "true"});
  const auto run = Start(Join(JobOf(1000000), kOnAws, Arguments{"--output", "never.model"}));
  run->WaitUntil([&] { return run->out().find("\n    2 ") != std::string::npos; }, kSoon);
  const std::string name = JobIn(run->out());
  const ProgramResult cancelled = Start({"cancel", name})->Wait(kSoon);
  EXPECT_THAT(cancelled.out, HasSubstr("is over: cancelled")) << cancelled.err;
  const ProgramResult ended = run->Wait(kSoon);
  EXPECT_THAT(ended.err, HasSubstr("the job was cancelled"));
  // Long before their --round_timeout of 300 s.
  const base::Deadline deadline = base::Deadline::After(std::chrono::seconds(60));
  while (!ChildrenOf(aws_->pid()).empty() && !deadline.Expired()) {
    base::SystemClock().SleepFor(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(ChildrenOf(aws_->pid()).empty()) << "workers go on";
  EXPECT_FALSE(Exists("never.model"));
  Refuse({"cancel", "lambdaml-nosuch"}, 3, {"there is no job lambdaml-nosuch"});
}

TEST_F(AwsTriggerTest, FunctionsGetTheChannelsPasswordFromTheirStackAlone) {
  if (!RedisServer::IsInstalled()) GTEST_SKIP() << RedisServer::kMissing;
  RedisServer redis({"--requirepass", kPassword});
  Deploy({"--self_invoke", "true", "--redis_secret", "channel/password"});
  const std::string channel = "redis://" + redis.place();
  Succeed(Join(kJob, Arguments{"--output", "local.model"}));
  Succeed(Join(kJob, kOnAws, kSevenHops, Arguments{"--channel", channel, "--output", "aws.model"}));
  EXPECT_EQ(Read("aws.model"), Read("local.model"));
}

}  // namespace
}  // namespace lambdaml::test
