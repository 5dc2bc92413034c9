// The packaged worker, unpacked into a root folder that holds nothing else and started there, under
// a Runtime API that is not ours (tests/support/lambda).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e2e/workbench.h"
#include "support/servers/rgw_server.h"

namespace lambdaml::test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr int kCannotIsolate = 77;  // of run_package.py
constexpr uint64_t kZipBytesMax = 50'000'000;

class PackageTest : public Workbench {
 protected:
  static void SetUpTestSuite() {
    if (RgwServer::IsInstalled()) RgwServer::Shared();
  }

  // The lines that run_package.py prints for the payloads; nothing if this user may not isolate.
  std::vector<std::string> RunPackage(const Arguments& payloads) {
    base::MakeDirectories(Path("functions_tmp"));
    std::string script = fmt::format(
        "/usr/bin/python3 -B {}/run_package.py function.zip root functions_tmp > answers",
        LAMBDAML_TEST_LAMBDA);
    for (const std::string& payload : payloads) script += fmt::format(" '{}'", payload);
    const Outcome outcome = RunShell(script);
    if (outcome.exit_code == kCannotIsolate) return {};
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return ReadLines("answers");
  }
};

TEST_F(PackageTest, ThePackagedWorkerTrainsWhereThereIsNothingElse) {
  Succeed({"package"});
  EXPECT_LT(Read("function.zip").size(), kZipBytesMax);
  Succeed(
      {"data", "generate", "blobs", "--rows", "300", "--n_classes", "2", "--output", "b.libsvm"});
  Succeed({"data", "split", "b.libsvm", "--parts", "1", "--output", "functions_tmp/shards"});
  const std::vector<std::string> answers = RunPackage(
      {R"({"model":"lr","data":"/tmp/shards","n_workers":1,"optim":"admm","job_id":"packaged",)"
       R"("channel":"file:///tmp/channel","model_url":"file:///tmp/run"})",
       R"({"model":"no such"})"});
  if (answers.empty()) GTEST_SKIP() << "neither root nor user namespaces: cannot change the root";
  ASSERT_EQ(answers.size(), 2U);
  const std::string kResponse = "response ";
  ASSERT_THAT(answers[0], ::testing::StartsWith(kResponse));
  const base::Json report = base::Json::Parse(answers[0].substr(kResponse.size()), "answer");
  EXPECT_EQ(report.At("rows").AsInteger(), 300);
  EXPECT_EQ(report.At("outcome").At("accuracy").AsNumber(), 1);
  EXPECT_TRUE(Exists("functions_tmp/run/model"));
  EXPECT_THAT(answers[1], AllOf(HasSubstr("error {"), HasSubstr("InvalidArgument")));
}

// oneDNN and OpenMP are loaded when a job first wants a network.
TEST_F(PackageTest, ThePackagedWorkerTrainsANetwork) {
  Succeed({"package"});
  Succeed({"data", "generate", "cifar10", "--rows", "64", "--output", "images.bin"});
  Succeed({"data", "split", "images.bin", "--parts", "1", "--output", "functions_tmp/shards"});
  const std::vector<std::string> answers = RunPackage(
      {R"({"model":"mobilenet","data":"/tmp/shards","n_workers":1,"optim":"grad_avg",)"
       R"("n_epochs":1,"batch_size":32,"lr":0.01,"momentum":0.9,"regularizer":"none","lambda":0,)"
       R"("keep":"last","job_id":"packaged","channel":"file:///tmp/channel",)"
       R"("model_url":"file:///tmp/run"})"});
  if (answers.empty()) GTEST_SKIP() << "neither root nor user namespaces: cannot change the root";
  EXPECT_THAT(answers.at(0), ::testing::StartsWith("response "));
  EXPECT_TRUE(Exists("functions_tmp/run/model"));
}

// libcurl and what it stands on are loaded when a job first wants a service.
TEST_F(PackageTest, ThePackagedWorkerTrainsOverS3) {
  if (!RgwServer::IsInstalled()) GTEST_SKIP() << RgwServer::kMissing;
  for (const std::string& variable : RgwServer::Shared().Environment()) {
    const size_t equals = variable.find('=');
    SetEnvironment(variable.substr(0, equals), variable.substr(equals + 1));
  }
  const std::string bucket = RgwServer::Shared().MakeBucket();
  Succeed({"package"});
  Succeed(
      {"data", "generate", "blobs", "--rows", "300", "--n_classes", "2", "--output", "b.libsvm"});
  Succeed({"data", "split", "b.libsvm", "--parts", "1", "--output", "functions_tmp/shards"});
  const std::vector<std::string> answers = RunPackage({fmt::format(
      R"({{"model":"lr","data":"/tmp/shards","n_workers":1,"optim":"admm","job_id":"packaged",)"
      R"("channel":"s3://{0}/channel","model_url":"s3://{0}/run"}})",
      bucket)});
  if (answers.empty()) GTEST_SKIP() << "neither root nor user namespaces: cannot change the root";
  EXPECT_THAT(answers.at(0), ::testing::StartsWith("response "));
  Succeed({"evaluate", "s3://" + bucket + "/run/model", "--data", "b.libsvm"});
}

TEST_F(PackageTest, EqualInputsGiveEqualBytesAndTheHashIsShown) {
  const std::string said = Succeed({"package", "--output", "one.zip"});
  Succeed({"package", "--output", "two.zip"});
  EXPECT_EQ(Read("one.zip"), Read("two.zip"));
  const std::string hash = RunTool("/usr/bin/sha256sum", {"two.zip"}).substr(0, 64);
  EXPECT_THAT(said, AllOf(MatchesRegex("one.zip: .* MB, .* files, .* unpacked, sha256 .*\n"),
                          EndsWith(hash + "\n")));
}

TEST_F(PackageTest, AnImageHoldsTheSameFilesAndItsBootstrapTrustsItsCertificates) {
  Succeed({"package", "--image", "image", "--output", "env.zip", "--worker", "/usr/bin/env"});
  RunTool("/usr/bin/python3", {"-m", "zipfile", "-e", "env.zip", "unpacked"});
  RunTool("/usr/bin/diff", {"-r", "unpacked", "image/function"});
  const Outcome started = RunShell("env -i GREETING=hello image/function/bootstrap");
  EXPECT_EQ(started.exit_code, 0) << started.err;
  EXPECT_THAT(started.out, AllOf(HasSubstr("GREETING=hello\n"),
                                 HasSubstr("SSL_CERT_FILE=image/function/ca-certificates.crt\n")));
  EXPECT_THAT(Read("image/Dockerfile"), HasSubstr("ENTRYPOINT [\"/var/task/bootstrap\"]"));
}

TEST_F(PackageTest, WhatCannotBePackedIsRefusedAndNothingIsWritten) {
  Write("script", "#!/bin/sh\nexec true\n");
  Refuse({"package", "--worker", "script"}, 2, {"script", "no program"});
  Refuse({"package", "--worker", LAMBDAML_BOOTSTRAP}, 2, {"statically linked"});
  Refuse({"package", "--worker", "missing"}, 3, {"missing"});
  Refuse({"package", "--image", "."}, 4, {"not an empty folder"});
}

}  // namespace
}  // namespace lambdaml::test
