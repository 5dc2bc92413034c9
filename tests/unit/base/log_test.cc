#include "lambdaml/base/log.h"

#include <gtest/gtest.h>
#include <string>

namespace lambdaml::base {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }
};

std::string Logged(LogLevel level, std::string_view message) {
  ::testing::internal::CaptureStderr();
  Log(level, message);
  return ::testing::internal::GetCapturedStderr();
}

TEST_F(LogTest, ALineNamesItsLevel) {
  EXPECT_EQ(Logged(LogLevel::kInfo, "epoch 1"), "info: epoch 1\n");
  EXPECT_EQ(Logged(LogLevel::kWarning, "slow"), "warning: slow\n");
  EXPECT_EQ(Logged(LogLevel::kError, "lost"), "error: lost\n");
}

TEST_F(LogTest, LinesBelowTheLevelAreDropped) {
  EXPECT_EQ(Logged(LogLevel::kDebug, "detail"), "");
  SetLogLevel(LogLevel::kDebug);
  EXPECT_EQ(Logged(LogLevel::kDebug, "detail"), "debug: detail\n");
  SetLogLevel(LogLevel::kError);
  EXPECT_EQ(Logged(LogLevel::kWarning, "slow"), "");
}

}  // namespace
}  // namespace lambdaml::base
