// A local platform with folders of its own and the test function, for the tests of this folder.
#pragma once

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <sstream>
#include <string>

#include "lambdaml/base/file.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/http_invoker.h"
#include "lambdaml/faas/local_platform.h"

namespace lambdaml::faas {

class PlatformTest : public ::testing::Test {
 protected:
  PlatformTest() {
    base::MakeDirectories(scratch());
    base::MakeDirectories(logs());
  }

  std::string scratch() const { return folder_.path() + "/scratch"; }
  std::string logs() const { return folder_.path() + "/logs"; }
  const std::string& folder() const { return folder_.path(); }

  FunctionConfig Config(const std::string& name = "worker") const {
    FunctionConfig config;
    config.name = name;
    config.program = LAMBDAML_TEST_FUNCTION;
    config.timeout = std::chrono::seconds(60);
    config.init_timeout = std::chrono::seconds(60);
    config.memory_mb = 4096;  // sanitizers take much
    config.scratch_parent = scratch();
    config.log_directory = logs();
    return config;
  }

  InvokeResult Invoke(const std::string& payload, const std::string& name = "worker") {
    if (!invoker_) invoker_ = MakeHttpInvoker(platform_->endpoint());
    return invoker_->Invoke(name, payload, Soon());
  }

  static base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(100)); }

  static std::string ReadFile(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  // A member of a failed invocation's payload.
  static std::string ErrorMember(const InvokeResult& result, const char* key) {
    return base::Json::Parse(result.payload, "payload").At(key).AsString();
  }

  base::TemporaryDirectory folder_{std::filesystem::temp_directory_path().string(), "faas-"};
  std::unique_ptr<LocalPlatform> platform_ = std::make_unique<LocalPlatform>();
  std::unique_ptr<Invoker> invoker_;
};

}  // namespace lambdaml::faas
