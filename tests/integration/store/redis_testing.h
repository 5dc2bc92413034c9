// What the tests of the Redis store share.
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"

#include "support/servers/redis_server.h"

namespace lambdaml::test {

class RedisTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::IsInstalled()) GTEST_SKIP() << RedisServer::kMissing;
  }

  static base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(60)); }

  // The error that the call ends with; kInternal "no error" if it does not.
  static base::Error ErrorOf(const std::function<void()>& call) {
    try {
      call();
    } catch (const base::Error& error) {
      return error;
    }
    return {base::ErrorCode::kInternal, "no error"};
  }
};

}  // namespace lambdaml::test
