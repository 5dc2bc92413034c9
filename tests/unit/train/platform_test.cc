#include "lambdaml/train/platform.h"

#include <gtest/gtest.h>

#include "lambdaml/train/billed_invoker.h"

namespace lambdaml::train {
namespace {

TEST(Platform, NamesGoBeforeTheParametersOfAUrl) {
  EXPECT_EQ(UrlIn("s3://bucket/jobs", "j1"), "s3://bucket/jobs/j1");
  EXPECT_EQ(UrlIn("s3://bucket/jobs/?region=eu-west-1", "j1"),
            "s3://bucket/jobs/j1?region=eu-west-1");
  EXPECT_EQ(UrlIn("/shared", "j1"), "/shared/j1");
}

TEST(Platform, WhatAnInvocationIsBilledStandsInItsReport) {
  const auto billed = BilledIn(
      "START RequestId: 1\nhello\nREPORT RequestId: 1\tDuration: 12.34 ms\tBilled Duration: 163 "
      "ms\t"
      "Memory Size: 1769 MB\tMax Memory Used: 30 MB\tInit Duration: 150.2 ms\n");
  ASSERT_TRUE(billed.has_value());
  EXPECT_EQ(billed->billed_ms, 163);
  EXPECT_EQ(billed->memory_mb, 1769);
  EXPECT_FALSE(BilledIn("no report").has_value());
  EXPECT_FALSE(BilledIn("REPORT RequestId: 1\tBilled Duration: many ms").has_value());
}

}  // namespace
}  // namespace lambdaml::train
