#include "lambdaml/faas/local_platform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

#include "platform_fixture.h"

namespace lambdaml::faas {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class LocalPlatformTest : public PlatformTest {};

TEST_F(LocalPlatformTest, AnInvocationReturnsTheHandlersResponse) {
  platform_->CreateFunction(Config());
  const InvokeResult result = Invoke(R"({"do":"echo","value":[1,2]})");
  EXPECT_FALSE(result.failed());
  EXPECT_EQ(result.payload, R"({"do":"echo","value":[1,2]})");
  EXPECT_THAT(result.request_id,
              MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
}

}  // namespace
}  // namespace lambdaml::faas
