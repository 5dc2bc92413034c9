// LambdaML's protocol, spoken by code that the Thrift compiler has generated for Python: nothing in
// common with the server but ps.thrift.
#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/file.h"

#include "support/servers/ps_server.h"

namespace lambdaml::test {
namespace {

class LambdamlClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const ProgramResult has_thrift = RunProgram({.program = "/usr/bin/python3",
                                                 .arguments = {"-c", "import thrift, numpy"},
                                                 .environment = {},
                                                 .working_directory = "/"},
                                                std::chrono::seconds(60));
    if (has_thrift.status.exit_code != 0) GTEST_SKIP() << "python3-thrift is not installed";
  }

  static void Run(const std::string& name) {
    PsServer server;
    const base::TemporaryDirectory folder("/tmp", "lambdaml_thrift_");
    const ProgramResult generated =
        RunProgram({.program = LAMBDAML_THRIFT_COMPILER,
                    .arguments = {"--gen", "py", "-out", folder.path(), LAMBDAML_PS_THRIFT},
                    .environment = {},
                    .working_directory = folder.path()},
                   std::chrono::seconds(60));
    ASSERT_EQ(generated.status.exit_code, 0) << generated.err;
    const ProgramResult result = RunProgram({.program = "/usr/bin/python3",
                                             .arguments = {LAMBDAML_PS_PYTHON_CLIENT, folder.path(),
                                                           std::to_string(server.port()), name},
                                             .environment = {},
                                             .working_directory = folder.path()},
                                            std::chrono::seconds(120));
    EXPECT_EQ(result.status.exit_code, 0) << result.err;
  }
};

TEST_F(LambdamlClientTest, WorkersTrainAModelTogether) { Run("train"); }

TEST_F(LambdamlClientTest, WhatDoesNotFitIsRefusedWithTheReason) { Run("refusals"); }

TEST_F(LambdamlClientTest, TheMethodsWithBinaryVectorsAreThriftToo) { Run("vectors"); }

}  // namespace
}  // namespace lambdaml::test
