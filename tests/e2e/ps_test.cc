// Whole runs over a parameter server: every workload of LambdaML's hybrid architecture.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/ps/address.h"

#include "e2e/sample_data.h"
#include "e2e/workbench.h"
#include "support/servers/ps_server.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Generous, for sanitizers and busy machines.
constexpr base::Duration kSoon = std::chrono::seconds(60);

// All workloads, not only those that a push waits for.
bool IsFullMatrix() { return std::getenv("LAMBDAML_TEST_ALL") != nullptr; }

class PsTest : public Workbench {
 protected:
  static void SetUpTestSuite() { PsServer::Shared(); }

  PsTest() { Write("data", SeparableSample({.rows = 101, .density = 0.6})); }

  // Trains, and returns the bytes of the model. Nothing of the job is left on the shared server.
  std::string ModelOf(const Arguments& arguments) const {
    Succeed(Join({"train", "--output", "m", "--log", "log"}, arguments));
    EXPECT_EQ(JobsOn(PsServer::Shared()), 0U);
    return Read("m");
  }
  static Arguments Over(const PsServer& server) { return {"--channel", server.url()}; }
  static size_t JobsOn(const PsServer& server) {
    return server.Status().At("jobs").AsArray().size();
  }

  // What the summary counts of the server.
  base::Json Use() const {
    const base::Json summary = Log("log").back();
    for (const base::Json& use : summary.At("services").AsArray()) {
      if (use.At("service").AsString() == "ps") return use;
    }
    ADD_FAILURE() << "the summary does not count the parameter server";
    return base::Json::EmptyObject();
  }

  // A run of many rounds, once it has reported an epoch.
  std::unique_ptr<ChildProgram> StartLongRun(const std::string& channel, int epochs) const {
    auto run = Start({"train", "--data", "data", "--optim", "grad_avg", "--n_epochs",
                      std::to_string(epochs), "--batch_size", "0", "--lr", "0.1", "--workers", "3",
                      "--channel", channel, "--output", "m", "--log", "log"});
    run->WaitUntil([&] { return run->out().find('\n') != std::string::npos; }, kSoon);
    return run;
  }
};

TEST_F(PsTest, EveryHybridWorkloadGivesTheModelOfTheFileChannelBitForBit) {
  Succeed({"data", "generate", "cifar10", "--rows", "24", "--output", "images.bin"});
  const Arguments linear = {"--data",   "data", "--n_epochs",      "3", "--batch_size", "10",
                            "--lambda", "0.01", "--n_admm_epochs", "3"};
  const Arguments cluster = {"--data", "data", "--n_clusters", "3", "--n_epochs", "4"};
  const Arguments images = {"--data",       "images.bin", "--n_epochs",  "1",
                            "--batch_size", "4",          "--memory_mb", "3500"};
  struct Workload {
    std::string name;
    Arguments arguments;
  };
  std::vector<Workload> workloads;
  for (const std::string model : {"lr", "svm", "sparse_lr", "sparse_svm"}) {
    for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
      workloads.push_back(
          {model + " " + optim, Join(linear, Arguments{"--model", model, "--optim", optim})});
    }
  }
  for (const std::string type : {"dense_libsvm", "sparse_libsvm"}) {
    workloads.push_back(
        {"kmeans " + type, Join(cluster, Arguments{"--model", "kmeans", "--dataset_type", type})});
  }
  for (const std::string model : {"mobilenet", "resnet"}) {
    for (const std::string optim : {"grad_avg", "model_avg"}) {
      if (model == "resnet" && !IsFullMatrix()) continue;
      workloads.push_back({"network " + model + " " + optim,
                           Join(images, Arguments{"--model", model, "--optim", optim})});
    }
  }
  workloads.push_back({"network float16",
                       Join(images, Arguments{"--model", "mobilenet", "--exchange", "float16"})});
  Variants variants;
  for (const Workload& workload : workloads) {
    variants.Try(workload.name, [&] {
      const bool is_slow = workload.name.starts_with("network");
      const Arguments job = Join(workload.arguments, Arguments{"--workers", is_slow ? "2" : "3"});
      const std::string expected = ModelOf(job);
      EXPECT_EQ(ModelOf(Join(job, Over(PsServer::Shared()))), expected);
      EXPECT_GT(Use().At("bytes_written").AsInteger(), 100);
    });
  }
}

TEST_F(PsTest, ManyWorkersAndEitherPatternGiveTheSameBits) {
  const auto train = [&](const Arguments& more) {
    return ModelOf(Join({"--data", "data", "--optim", "grad_avg", "--n_epochs", "2"}, more));
  };
  const std::string expected = train({"--workers", "7"});
  for (const std::string sync_mode : {"reduce", "reduce_scatter"}) {
    EXPECT_EQ(train(Join({"--workers", "7", "--sync_mode", sync_mode}, Over(PsServer::Shared()))),
              expected);
  }
  EXPECT_EQ(train(Join({"--workers", "1"}, Over(PsServer::Shared()))), train({"--workers", "1"}));
}

TEST_F(PsTest, AsynchronousTrainingLearns) {
  ModelOf(Join({"--data", "data", "--sync_mode", "async", "--workers", "3", "--n_epochs", "4"},
               Over(PsServer::Shared())));
  EXPECT_GE(Evaluate("m", "data").At("accuracy").AsNumber(), 0.9);
  EXPECT_GT(Use().At("put_requests").AsInteger(), 3);
}

TEST_F(PsTest, AServerThatIsKilledInMidRunAndStartsFromItsFolderChangesNothing) {
  PsServer server({.has_folder = true});
  StartLongRun("channel", 2000)->Wait(RunTimeout());
  const std::string expected = Read("m");
  const auto run = StartLongRun(server.url(), 2000);
  server.process().Kill();
  server.process().Start();
  const ProgramResult result = run->Wait(RunTimeout());
  EXPECT_EQ(result.status.ToString(), "exit status 0");
  EXPECT_EQ(result.err, "");
  EXPECT_GT(Use().At("retries").AsInteger(), 0) << "it was over before";
  EXPECT_EQ(Read("m"), expected);
  EXPECT_EQ(JobsOn(server), 0U);
}

TEST_F(PsTest, AWorkerThatIsKilledIsStartedAgainAndChangesNothing) {
  const Arguments job = {"train",        "--data", "data",      "--optim",  "grad_avg",
                         "--n_epochs",   "3000",   "--workers", "3",        "--checkpoint_every",
                         "500",          "--lr",   "0.1",       "--output", "m",
                         "--batch_size", "0",      "--log",     "log"};
  Succeed(Join(job, Arguments{"--channel", "channel"}));
  const std::string expected = Read("m");
  for (const size_t victim : {0U, 2U}) {
    SCOPED_TRACE(victim);
    const auto run = Start(Join(job, Over(PsServer::Shared())));
    run->WaitUntil([&] { return run->out().find("\n  700 ") != std::string::npos; }, kSoon);
    const std::vector<pid_t> workers = WorkersOf(*run);
    ASSERT_EQ(workers.size(), 3U);
    ::kill(workers[victim], SIGKILL);
    const ProgramResult result = run->Wait(RunTimeout());
    EXPECT_EQ(result.status.ToString(), "exit status 0") << result.err;
    EXPECT_THAT(result.err, HasSubstr("starting worker"));
    EXPECT_EQ(Log("log").back().At("restarts").AsInteger(), 1);
    EXPECT_EQ(Read("m"), expected);
    EXPECT_EQ(JobsOn(PsServer::Shared()), 0U);
  }
}

TEST_F(PsTest, AWorkerThatIsKilledAndMayNotStartAgainEndsTheRun) {
  const auto run = Start({"train", "--data", "data", "--optim", "grad_avg", "--n_epochs", "1000000",
                          "--batch_size", "0", "--workers", "3", "--max_restarts", "0", "--channel",
                          PsServer::Shared().url(), "--output", "m"});
  run->WaitUntil([&] { return run->out().find('\n') != std::string::npos; }, kSoon);
  const std::vector<pid_t> workers = WorkersOf(*run);
  ASSERT_EQ(workers.size(), 3U);
  ::kill(workers[1], SIGKILL);
  const ProgramResult result = run->Wait(kSoon);
  EXPECT_EQ(result.status.ToString(), "exit status 4");
  EXPECT_THAT(result.err,
              ::testing::ContainsRegex("^lambdaml: worker [0-2] of 3 failed: .*killed"));
  EXPECT_FALSE(Exists("m"));
  EXPECT_EQ(JobsOn(PsServer::Shared()), 0U);
}

TEST_F(PsTest, CtrlCLeavesNothingOnTheServer) {
  const auto run = StartLongRun(PsServer::Shared().url(), 1'000'000);
  EXPECT_EQ(JobsOn(PsServer::Shared()), 1U);
  run->Signal(SIGINT);
  EXPECT_EQ(run->Wait(kSoon).status.ToString(), "exit status 130");
  EXPECT_EQ(JobsOn(PsServer::Shared()), 0U);
}

TEST_F(PsTest, TheStatusShowsAJobWhileItRuns) {
  const auto run = StartLongRun(PsServer::Shared().url(), 1'000'000);
  const Arguments look = {"ps", "--status", PsServer::Shared().url()};
  const std::string text = Start(look)->Wait(kSoon).out;
  EXPECT_THAT(text, HasSubstr("connections"));
  EXPECT_THAT(text, HasSubstr("missing ranks\n"));
  const base::Json status =
      base::Json::Parse(Start(Join(look, Arguments{"--json"}))->Wait(kSoon).out, "status");
  EXPECT_EQ(status.At("jobs").AsArray().front().At("workers").AsInteger(), 3);
  run->Signal(SIGINT);
  run->Wait(kSoon);
}

struct Payload {
  std::string name;
  std::string json;
  bool is_slow = false;
  bool is_async = false;  // its model depends on who came when
};

// What LambdaML's triggers of its hybrid workloads send. `folder` has the file `data` and, in
// `images`, two shards.
std::vector<Payload> HybridPayloads(const std::string& folder) {
  const std::string server =
      fmt::format(R"("n_workers":2,"n_epochs":3,"host":"127.0.0.1","port":{})", ps::kDefaultPort);
  std::vector<Payload> payloads;
  const auto rows = [&](const std::string& type, const std::string& more) {
    return fmt::format(R"({{{},"data_bucket":"{}","dataset":"data","dataset_type":"{}",)"
                       R"("n_features":8,{}}})",
                       server, folder, type, more);
  };
  const auto linear = [&](const std::string& model, const std::string& optim,
                          const std::string& sync_mode, const std::string& more = "") {
    const bool is_sparse = model.starts_with("sparse");
    const std::string json =
        rows(is_sparse ? "sparse_libsvm" : "dense_libsvm",
             fmt::format(R"("model":"{}","optim":"{}","sync_mode":"{}","n_classes":2,"lr":0.1,)"
                         R"("batch_size":10,"valid_ratio":0.1{})",
                         model, optim, sync_mode, more));
    payloads.push_back({.name = fmt::format("{} {} {}", model, optim, sync_mode),
                        .json = json,
                        .is_async = sync_mode == "async"});
  };
  for (const std::string model : {"lr", "svm", "sparse_lr", "sparse_svm"}) {
    linear(model, "grad_avg", "reduce");
  }
  linear("lr", "model_avg", "reduce");
  linear("svm", "admm", "reduce", R"(,"n_admm_epochs":3,"lambda":0.01,"rho":0.01)");
  linear("sparse_lr", "grad_avg", "async");
  for (const std::string type : {"dense_libsvm", "sparse_libsvm"}) {
    payloads.push_back(
        {.name = "kmeans " + type,
         .json = rows(type, R"("n_clusters":3,"threshold":0.0001,"sync_mode":"reduce")")});
  }
  for (const std::string model : {"mobilenet", "resnet"}) {
    for (const std::string optim : {"grad_avg", "model_avg"}) {
      const std::string json = fmt::format(
          R"({{{},"data_bucket":"{}/images","train_file":"training_0.pt","n_classes":10,)"
          R"("model":"{}","optim":"{}","sync_mode":"reduce","lr":0.01,"batch_size":4,)"
          R"("memory_mb":3500}})",
          server, folder, model, optim);
      payloads.push_back({.name = model + " " + optim,
                          .json = json,
                          .is_slow = model == "resnet" || optim == "model_avg"});
    }
  }
  return payloads;
}

TEST_F(PsTest, EveryHybridWorkloadRunsFromItsPayload) {
  if (AcceptsConnections(ps::kDefaultPort)) {
    GTEST_SKIP() << "somebody listens on port " << ps::kDefaultPort << " already";
  }
  Succeed({"data", "generate", "cifar10", "--rows", "24", "--output", "images.bin"});
  Succeed({"data", "split", "images.bin", "--parts", "2", "--output", "images"});
  const auto server = Start({"ps"});
  server->WaitUntil([] { return AcceptsConnections(ps::kDefaultPort); }, kSoon);
  Variants variants;
  for (const Payload& payload : HybridPayloads(folder())) {
    if (payload.is_slow && !IsFullMatrix()) continue;
    variants.Try(payload.name, [&] {
      Write("payload.json", payload.json);
      Succeed({"train", "payload.json", "--output", "m", "--log", "log"});
      EXPECT_GT(Use().At("put_requests").AsInteger(), 0);
      if (payload.is_async) return;
      const std::string over_server = Read("m");
      Succeed({"train", "payload.json", "--channel", "channel", "--output", "m"});
      EXPECT_EQ(Read("m"), over_server);
    });
  }
  server->Signal(SIGTERM);
  EXPECT_EQ(server->Wait(kSoon).status.ToString(), "exit status 0");
}

TEST_F(PsTest, TheVirtualMachineIsPriced) {
  const Arguments job =
      Join({"train", "--data", "data", "--output", "m", "--log", "log"}, Over(PsServer::Shared()));
  Succeed(Join(job, Arguments{"--cache_node", "c5.large"}));
  bool is_priced = false;
  const base::Json summary = Log("log").back();
  for (const base::Json& item : summary.At("cost").AsArray()) {
    if (item.At("service").AsString() == "ps") is_priced = item.At("dollars").AsNumber() > 0;
  }
  EXPECT_TRUE(is_priced);
  Refuse(Join(job, Arguments{"--cache_node", "cache.t3.small"}), 2, {"c5.large"});
}

TEST_F(PsTest, MistakesAreSaidInOneLineWithoutSecrets) {
  PsServer server({.token = "open sesame"});
  const Arguments job =
      Join({"train", "--data", "data", "--workers", "2", "--output", "m"}, Over(server));
  Refuse(job, 4, {"LAMBDAML_PS_TOKEN"});
  SetEnvironment("LAMBDAML_PS_TOKEN", "close sesame");
  const Outcome wrong = Run(job);
  EXPECT_EQ(wrong.exit_code, 4);
  EXPECT_THAT(wrong.err, HasSubstr("another token"));
  EXPECT_THAT(wrong.err, Not(HasSubstr("sesame")));
  SetEnvironment("LAMBDAML_PS_TOKEN", "open sesame");
  Succeed(job);

  const std::string nobody = fmt::format("127.0.0.1:{}", FreePort());
  Refuse({"train", "--data", "data", "--channel", "ps://" + nobody}, 4, {nobody});
  Refuse({"train", "--data", "data", "--channel", "ps://host:99999"}, 2, {"99999"});
  Refuse({"ps", "--port", std::to_string(server.port())}, 4, {"cannot listen"});
  Refuse({"ps", "--tls_cert", "data", "--port", "0"}, 2, {"--tls_key"});
  Refuse({"ps", "--tls_cert", "data", "--tls_key", "data", "--port", "0"}, 2, {"data"});
}

}  // namespace
}  // namespace lambdaml::test
