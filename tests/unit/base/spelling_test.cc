#include "lambdaml/base/spelling.h"

#include <gtest/gtest.h>

namespace lambdaml::base {
namespace {

TEST(SpellingTest, FindsTheClosestWordWithinTwoEdits) {
  EXPECT_EQ(ClosestSpelling("tarin", {"predict", "train"}), "train");
  EXPECT_EQ(ClosestSpelling("wokers", {"workers", "n_workers"}), "workers");
  EXPECT_EQ(ClosestSpelling("n_worker", {"workers", "n_workers"}), "n_workers");
  EXPECT_EQ(ClosestSpelling("train", {"trait", "train"}), "train");
  EXPECT_EQ(ClosestSpelling("ab", {"abc", "abd"}), "abc") << "the first of the closest";
}

TEST(SpellingTest, FindsNothingFurtherAway) {
  EXPECT_EQ(ClosestSpelling("learning_rate", {"lr", "lr_schedule"}), "");
  EXPECT_EQ(ClosestSpelling("abc", {"abcdef"}), "");
  EXPECT_EQ(ClosestSpelling("x", {}), "");
}

}  // namespace
}  // namespace lambdaml::base
