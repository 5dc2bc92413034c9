// Whole runs over every service: the same model on each, mistakes that are said, nothing left.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/place/place.h"
#include "lambdaml/store/open_store.h"

#include "e2e/sample_data.h"
#include "e2e/workbench.h"
#include "support/fault_proxy.h"
#include "support/servers/rgw_server.h"
#include "support/servers/services.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Generous, for sanitizers and busy machines.
constexpr base::Duration kSoon = std::chrono::seconds(60);

// A place on a service's server where nothing is yet.
std::string NewUrl(const ServiceKind& kind) {
  Service& service = kind.shared();
  return service.Url(service.MakePlace(), service.port());
}

ServiceKind ServiceOf(const std::string& scheme) {
  const std::vector<ServiceKind> services = AllServices();
  return *std::ranges::find(services, scheme, &ServiceKind::scheme);
}

// The keys that are left at a URL. A table that does not exist has none.
std::vector<std::string> KeysLeft(const std::string& url) {
  try {
    return store::OpenStore(url)->List("", base::Deadline::After(kSoon));
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::kNotFound) throw;
    return {};
  }
}

class ChannelsTest : public Workbench {
 protected:
  // All servers are up before any test, so that what they leave is not taken for the program's.
  static void SetUpTestSuite() {
    for (const ServiceKind& kind : AllServices()) {
      if (kind.skip_reason.empty()) kind.shared();
    }
  }

  void SetUp() override {
    for (const ServiceKind& kind : AllServices()) {
      if (!kind.skip_reason.empty()) GTEST_SKIP() << kind.skip_reason;
    }
    for (const std::string& variable : RgwServer::Shared().Environment()) {
      const size_t equals = variable.find('=');
      const std::string name = variable.substr(0, equals);
      const std::string value = variable.substr(equals + 1);
      SetEnvironment(name, value);
      ::setenv(name.c_str(), value.c_str(), 1);  // for KeysLeft
    }
    Write("data", SeparableSample({.rows = 101, .density = 0.6}));
  }

  // Trains quickly, and returns the bytes of the model.
  std::string ModelOf(const Arguments& arguments) const {
    Succeed(Join({"train", "--data", "data", "--output", "m", "--log", "log", "--lambda", "0.01",
                  "--n_epochs", "2", "--n_admm_epochs", "3", "--batch_size", "10"},
                 arguments));
    return Read("m");
  }

  // What the summary counts of a service.
  base::Json UseOf(const std::string& kind) const {
    const base::Json summary = Log("log").back();
    for (const base::Json& use : summary.At("services").AsArray()) {
      if (use.At("service").AsString() == kind) return use;
    }
    ADD_FAILURE() << "the summary does not count " << kind;
    return base::Json::EmptyObject();
  }

  // A run of many rounds, once it has reported an epoch.
  std::unique_ptr<ChildProgram> StartLongRun(const std::string& url, int epochs,
                                             const Arguments& more = {}) const {
    auto run = Start(Join({"train", "--data", "data", "--optim", "grad_avg", "--n_epochs",
                           std::to_string(epochs), "--batch_size", "0", "--lr", "0.1", "--workers",
                           "3", "--channel", url, "--output", "m", "--log", "log"},
                          more));
    run->WaitUntil([&] { return run->out().find('\n') != std::string::npos; }, kSoon);
    return run;
  }
};

TEST_F(ChannelsTest, GiveTheModelOfTheFileChannelBitForBit) {
  Variants variants;
  for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
    for (const std::string workers : {"1", "2", "3", "4", "7"}) {
      const std::string model = optim == "model_avg" ? "sparse_svm" : "lr";
      const Arguments job = {"--optim", optim, "--model", model, "--workers", workers};
      const std::string expected = ModelOf(job);
      for (const ServiceKind& service : AllServices()) {
        for (const std::string sync_mode : {"reduce", "reduce_scatter"}) {
          variants.Try(fmt::format("{} {} {} × {}", service.name, optim, sync_mode, workers), [&] {
            const std::string url = NewUrl(service);
            EXPECT_EQ(ModelOf(Join(job, Arguments{"--sync_mode", sync_mode, "--channel", url})),
                      expected);
            EXPECT_THAT(KeysLeft(url), IsEmpty());
          });
        }
      }
    }
  }
}

TEST_F(ChannelsTest, GiveTheCentroidsOfTheFileChannelBitForBit) {
  const auto centroids_of = [&](const Arguments& arguments) {
    Succeed(Join({"train", "--model", "kmeans", "--n_clusters", "3", "--n_epochs", "4", "--data",
                  "data", "--output", "m.npy"},
                 arguments));
    return Read("m.npy");
  };
  const std::string expected = centroids_of({"--workers", "1"});
  Variants variants;
  for (const ServiceKind& service : AllServices()) {
    for (const std::string sync_mode : {"reduce", "reduce_scatter"}) {
      for (const std::string workers : {"2", "3", "7"}) {
        variants.Try(fmt::format("{} {} × {}", service.name, sync_mode, workers), [&] {
          const std::string url = NewUrl(service);
          EXPECT_EQ(
              centroids_of({"--workers", workers, "--sync_mode", sync_mode, "--channel", url}),
              expected);
          EXPECT_THAT(KeysLeft(url), IsEmpty());
        });
      }
    }
  }
}

TEST_F(ChannelsTest, GiveTheNetworkOfTheFileChannelBitForBit) {
  Succeed({"data", "generate", "cifar10", "--rows", "12", "--output", "images.bin"});
  const auto network_of = [&](const Arguments& arguments) {
    Succeed(Join({"train", "--data", "images.bin", "--n_epochs", "1", "--batch_size", "6",
                  "--workers", "2", "--memory_mb", "3500", "--output", "m.safetensors"},
                 arguments));
    return Read("m.safetensors");
  };
  const bool is_full_matrix = std::getenv("LAMBDAML_TEST_ALL") != nullptr;
  Variants variants;
  for (const std::string model : {"mobilenet", "resnet18", "resnet50"}) {
    if (model != "mobilenet" && !is_full_matrix) continue;
    for (const std::string optim : {"grad_avg", "model_avg"}) {
      const Arguments job = {"--model", model, "--optim", optim};
      const std::string expected = network_of(job);
      for (const ServiceKind& service : AllServices()) {
        for (const std::string sync_mode : {"reduce", "reduce_scatter", "async"}) {
          variants.Try(fmt::format("{} {} {} {}", service.name, model, optim, sync_mode), [&] {
            const std::string url = NewUrl(service);
            const std::string network =
                network_of(Join(job, Arguments{"--sync_mode", sync_mode, "--channel", url}));
            if (sync_mode != "async") {
              EXPECT_TRUE(network == expected);
            }
            EXPECT_THAT(KeysLeft(url), IsEmpty());
          });
        }
      }
    }
  }
}

TEST_F(ChannelsTest, CarryHalvesToTheSameBits) {
  Succeed({"data", "generate", "cifar10", "--rows", "12", "--output", "images.bin"});
  const auto network_of = [&](const Arguments& arguments) {
    Succeed(Join({"train", "--model", "mobilenet", "--data", "images.bin", "--n_epochs", "1",
                  "--batch_size", "6", "--workers", "2", "--output", "m.safetensors"},
                 arguments));
    return Read("m.safetensors");
  };
  const Arguments halves = {"--exchange", "float16"};
  const std::string expected = network_of(halves);
  EXPECT_FALSE(network_of({}) == expected);
  Variants variants;
  for (const ServiceKind& service : AllServices()) {
    variants.Try(service.name, [&] {
      EXPECT_TRUE(network_of(Join(halves, Arguments{"--channel", NewUrl(service)})) == expected);
    });
  }
}

TEST_F(ChannelsTest, AsynchronousTrainingRunsOnEachAndIsCounted) {
  Variants variants;
  for (const ServiceKind& service : AllServices()) {
    variants.Try(service.name, [&] {
      const std::string url = NewUrl(service);
      Succeed({"train", "--data", "data", "--output", "m", "--log", "log", "--sync_mode", "async",
               "--workers", "3", "--n_epochs", "4", "--channel", url});
      EXPECT_GE(Evaluate("m", "data").At("accuracy").AsNumber(), 0.9);
      EXPECT_THAT(KeysLeft(url), IsEmpty());
      const base::Json use = UseOf(service.scheme);
      EXPECT_GT(use.At("get_requests").AsInteger(), 3);
      EXPECT_GT(use.At("put_requests").AsInteger(), 3);
      EXPECT_GT(use.At("bytes_written").AsInteger(), 100);
    });
  }
}

TEST_F(ChannelsTest, ACachesNodesArePricedBeforeTheRun) {
  const std::string url = NewUrl(ServiceOf("redis"));
  const Arguments job = {"train",    "--data", "data",  "--channel", url,
                         "--output", "m",      "--log", "log",       "--cache_node"};
  Succeed(Join(job, Arguments{"cache.t3.small"}));
  bool is_priced = false;
  const base::Json summary = Log("log").back();
  for (const base::Json& item : summary.At("cost").AsArray()) {
    if (item.At("service").AsString() == "redis") is_priced = item.At("dollars").AsNumber() > 0;
  }
  EXPECT_TRUE(is_priced);
  Refuse({"train", "--data", "data", "--channel", url, "--cache_node", "cache.huge"}, 2,
         {"cache.huge", "cache.t3.small"});
}

TEST_F(ChannelsTest, TwoJobsOnOnePlaceDoNotMeet) {
  const std::string expected = ModelOf({"--workers", "3"});
  Variants variants;
  for (const ServiceKind& service : AllServices()) {
    variants.Try(service.name, [&] {
      const std::string url = NewUrl(service);
      const Arguments job = {"train", "--data",    "data", "--lambda",  "0.01", "--n_admm_epochs",
                             "3",     "--workers", "3",    "--channel", url,    "--output"};
      const auto first = Start(Join(job, Arguments{"first"}));
      const auto second = Start(Join(job, Arguments{"second"}));
      EXPECT_EQ(first->Wait(RunTimeout()).err, "");
      EXPECT_EQ(second->Wait(RunTimeout()).err, "");
      EXPECT_EQ(Read("first"), expected);
      EXPECT_EQ(Read("second"), expected);
      EXPECT_THAT(KeysLeft(url), IsEmpty());
    });
  }
}

TEST_F(ChannelsTest, AServerThatStartsAnewInMidRunChangesNothing) {
  Variants variants;
  for (const ServiceKind& service : AllServices()) {
    variants.Try(service.name, [&] {
      const std::string url = NewUrl(service);
      const int epochs = service.speaks_http ? 80 : 3000;  // a second or more
      StartLongRun("channel", epochs)->Wait(RunTimeout());
      const std::string expected = Read("m");
      const auto run = StartLongRun(url, epochs);
      service.shared().process().Kill();
      service.shared().process().Start();
      const ProgramResult result = run->Wait(RunTimeout());
      EXPECT_EQ(result.status.ToString(), "exit status 0");
      EXPECT_EQ(result.err, "");
      EXPECT_GT(UseOf(service.scheme).At("retries").AsInteger(), 0) << "it was over before";
      EXPECT_EQ(Read("m"), expected);
      EXPECT_THAT(KeysLeft(url), IsEmpty());
    });
  }
}

TEST_F(ChannelsTest, FailingRequestsAndLateAnswersChangeNothing) {
  const Arguments job = {"--workers", "3", "--optim", "grad_avg"};
  const std::string expected = ModelOf(job);
  Variants variants;
  for (const ServiceKind& kind : AllServices()) {
    Service& service = kind.shared();
    const std::string place = service.MakePlace();
    const auto train_through = [&](const FaultProxy& proxy) {
      EXPECT_EQ(ModelOf(Join(job, Arguments{"--channel", service.Url(place, proxy.port())})),
                expected);
      EXPECT_THAT(KeysLeft(service.Url(place, service.port())), IsEmpty());
    };
    variants.Try(kind.name + " failing", [&] {
      const FaultProxy proxy(service.port(), {.seed = 1,
                                              .failure_probability = 0.05,
                                              .speaks_http = kind.speaks_http,
                                              .cuts_requests = kind.survives_half_requests});
      train_through(proxy);
      EXPECT_GT(proxy.failures(), 0U);
      EXPECT_GT(UseOf(kind.scheme).At("retries").AsInteger(), 0);
    });
    variants.Try(kind.name + " late", [&] {
      train_through(FaultProxy(service.port(), {.latency = std::chrono::milliseconds(100)}));
    });
  }
}

TEST_F(ChannelsTest, CtrlCAndAKilledWorkerLeaveNothingInTheChannel) {
  Variants variants;
  for (const ServiceKind& service : AllServices()) {
    variants.Try(service.name + " interrupted", [&] {
      const std::string url = NewUrl(service);
      const auto run = StartLongRun(url, 1'000'000);
      run->Signal(SIGINT);
      EXPECT_EQ(run->Wait(kSoon).status.ToString(), "exit status 130");
      EXPECT_THAT(KeysLeft(url), IsEmpty());
    });
    variants.Try(service.name + " failing", [&] {
      const std::string url = NewUrl(service);
      const auto run = StartLongRun(url, 1'000'000, {"--max_restarts", "0"});
      for (const pid_t child : ChildrenOf(run->pid())) {
        if (CommandOf(child).find("lambdaml-worker") == std::string::npos) continue;
        ::kill(child, SIGKILL);
        break;
      }
      EXPECT_EQ(run->Wait(kSoon).status.ToString(), "exit status 4");
      EXPECT_THAT(KeysLeft(url), IsEmpty());
    });
  }
}

TEST_F(ChannelsTest, LambdamlPayloadsNameTheirChannels) {
  const std::string expected = ModelOf({"--workers", "2"});
  const auto run = [&](const std::string& keys) {
    Write("payload.json", fmt::format(R"({{"data_bucket":"{}","dataset":"data","model":"lr",)"
                                      R"("optim":"admm","regularizer":"l2","lambda":0.01,)"
                                      R"("n_admm_epochs":3,"n_workers":2,{}}})",
                                      folder(), keys));
    Succeed({"train", "payload.json", "--output", "m", "--log", "log"});
    return Read("m");
  };
  const std::string s3 = NewUrl(ServiceOf("s3"));
  const std::string bucket = s3.substr(5, s3.find('/', 5) - 5);
  EXPECT_EQ(run(fmt::format(R"("tmp_bucket":"{}","merged_bucket":"{}")", bucket, bucket)),
            expected);
  EXPECT_GT(UseOf("s3").At("put_requests").AsInteger(), 0);

  const std::string memcached = NewUrl(ServiceOf("memcached"));
  const size_t port = memcached.rfind(':') + 1;
  EXPECT_EQ(run(fmt::format(R"("host":"127.0.0.1","port":{})",
                            memcached.substr(port, memcached.find('/', port) - port))),
            expected);
  EXPECT_GT(UseOf("memcached").At("put_requests").AsInteger(), 0);
}

TEST_F(ChannelsTest, DataAndModelsMayLieInS3) {
  const std::string url = NewUrl(ServiceOf("s3"));
  const std::string parameters = url.substr(url.find('?'));
  const auto at = [&](const std::string& name) {
    return fmt::format("{}/{}{}", url.substr(0, url.find('?')), name, parameters);
  };
  const std::string expected = ModelOf({"--workers", "2"});

  Succeed({"data", "convert", "data", "--output", at("data.libsvm")});
  Succeed({"data", "split", "data", "--parts", "2", "--output", at("shards"), "--shuffle", "--seed",
           "0"});
  EXPECT_THAT(Succeed({"data", "describe", at("data.libsvm")}), HasSubstr("rows       101"));
  EXPECT_THAT(Succeed({"data", "describe", at("shards")}), HasSubstr("rows       101"));
  for (const std::string data : {"data.libsvm", "shards"}) {
    SCOPED_TRACE(data);
    Succeed({"train", "--data", at(data), "--test", at("data.libsvm"), "--output", at("m.model"),
             "--workers", "2", "--lambda", "0.01", "--n_admm_epochs", "3", "--channel",
             at("channel"), "--log", "log"});
    EXPECT_EQ(std::string(place::Read(at("m.model")).text()), expected);
    Succeed({"predict", at("m.model"), "--data", at("data.libsvm"), "--output", at("labels")});
    EXPECT_EQ(Evaluate(at("m.model"), at("data.libsvm")).At("accuracy").AsNumber(),
              Log("log").back().At("test_accuracy").AsNumber());
  }
  Succeed({"train", "--data", at("shards"), "--init_model", at("m.model"), "--output", "warm",
           "--workers", "2"});
  EXPECT_THAT(KeysLeft(at("channel")), IsEmpty());
  EXPECT_EQ(KeysLeft(url),
            (std::vector<std::string>{"data.libsvm", "labels", "m.model", "shards/0_2",
                                      "shards/1_2", "shards/manifest.json"}));
}

TEST_F(ChannelsTest, AnEndpointThatIsDeadIsNamedWithinSeconds) {
  const std::string nobody = fmt::format("127.0.0.1:{}", FreePort());
  std::vector<std::unique_ptr<ChildProgram>> runs;
  for (const std::string& url :
       {fmt::format("s3://bucket/x?endpoint=http://{}", nobody), "memcached://" + nobody,
        "redis://" + nobody, fmt::format("dynamodb://table?endpoint=http://{}", nobody)}) {
    runs.push_back(Start({"train", "--data", "data", "--channel", url}));
  }
  for (const auto& run : runs) {
    const ProgramResult result = run->Wait(kSoon);
    EXPECT_EQ(result.status.ToString(), "exit status 4");
    EXPECT_THAT(result.err, ::testing::ContainsRegex("^lambdaml: [^\n]*" + nobody + "[^\n]*\n$"));
  }
}

TEST_F(ChannelsTest, MistakesAreSaidInOneLineWithoutSecrets) {
  const std::string s3 = NewUrl(ServiceOf("s3"));
  const std::string endpoint = s3.substr(s3.find("endpoint=") + 9);
  const auto refuse = [&](const std::string& channel, int exit_code,
                          std::initializer_list<std::string_view> said) {
    SCOPED_TRACE(channel);
    Refuse({"train", "--data", "data", "--channel", channel}, exit_code, said);
  };
  refuse("ftp://host", 2, {"ftp://host", "s3://", "redis://"});
  refuse("s3://no-such-bucket/x?endpoint=" + endpoint, 3, {"no-such-bucket"});
  Service& dynamodb = ServiceOf("dynamodb").shared();
  const std::string no_table = dynamodb.Url("no-such-table", dynamodb.port());
  refuse(no_table, 3, {"no-such-table", "create=true"});
  // Made for the run, and gone with it.
  Succeed({"train", "--data", "data", "--channel", no_table + "&create=true", "--output", "m"});
  refuse(no_table, 3, {"no-such-table"});

  SetEnvironment("AWS_SECRET_ACCESS_KEY", "wrong/secret");
  const Outcome wrong = Run({"train", "--data", "data", "--channel", s3, "--log", "log"});
  EXPECT_EQ(wrong.exit_code, 4);
  EXPECT_THAT(wrong.err, HasSubstr("access key and secret are not a pair"));
  for (const std::string& text : {wrong.err, wrong.out, Read("log")}) {
    EXPECT_THAT(text, Not(HasSubstr("wrong/secret")));
  }
}

}  // namespace
}  // namespace lambdaml::test
