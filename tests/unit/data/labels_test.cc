#include "lambdaml/data/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/data/describe.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;

std::vector<double> Numbers(size_t count) {
  std::vector<double> numbers;
  for (size_t i = 0; i < count; ++i) numbers.push_back(static_cast<double>(i) / 7);
  return numbers;
}

TEST(Labels, CountsAreAscendingByLabel) {
  const auto counts = CountLabels(std::vector<double>{1, -1, 1, 0.5, -1, 1});
  EXPECT_THAT(counts, testing::Optional(
                          ElementsAre(LabelCount{-1, 2}, LabelCount{0.5, 1}, LabelCount{1, 3})));
}

TEST(Labels, MergingCountsIsCountingTogether) {
  const std::vector<double> a = {3, 1, 1};
  const std::vector<double> b = {2, 1};
  const std::vector<double> both = {3, 1, 1, 2, 1};
  EXPECT_EQ(MergeCounts(CountLabels(a), CountLabels(b)), CountLabels(both));
  EXPECT_EQ(MergeCounts(CountLabels(a), std::nullopt), std::nullopt);
}

TEST(Labels, MoreDistinctOnesThanClassesAreNotCounted) {
  EXPECT_TRUE(CountLabels(Numbers(kClassesMax)).has_value());
  EXPECT_FALSE(CountLabels(Numbers(kClassesMax + 1)).has_value());
  const auto few = CountLabels(Numbers(kClassesMax));
  EXPECT_FALSE(MergeCounts(few, CountLabels(std::vector<double>{-1})).has_value());
}

TEST(LabelMap, ClassesAreThePlacesOfTheLabels) {
  const LabelMap map({1, -1, 2.5, 1, -1});
  EXPECT_EQ(map.class_count(), 3);
  EXPECT_THAT(map.labels(), ElementsAre(-1, 1, 2.5));
  EXPECT_THAT(map.ClassesOf(std::vector<double>{2.5, -1, 1}), ElementsAre(2, 0, 1));
  EXPECT_EQ(map.FindClass(1.5), std::nullopt);
  for (int c = 0; c < 3; ++c) EXPECT_EQ(map.FindClass(map.label(c)), c);
}

TEST(LabelMap, RefusalsSayWhatIsWrong) {
  const auto refusal = [](std::vector<double> labels) {
    return ErrorOf([&] { LabelMap map(labels); });
  };
  EXPECT_EQ(refusal({}), "InvalidData: there is no label to train a classifier on");
  EXPECT_EQ(refusal({2, 2}),
            "InvalidData: every row has the label 2: a classifier needs at least two");
  const std::string too_many =
      "InvalidData: more than 1000 distinct labels: they look like the targets of a regression, "
      "not like classes";
  EXPECT_EQ(refusal(Numbers(1001)), too_many);
  EXPECT_EQ(ErrorOf([] { LabelMap::FromCounts(std::nullopt); }), too_many);
  const LabelMap map = LabelMap::FromCounts(CountLabels(std::vector<double>{0, 1}));
  EXPECT_EQ(ErrorOf([&] {
              map.ClassesOf(std::vector<double>{0, 1, 7});
            }),
            "InvalidData: row 3: label 7 is none of the 2 labels known");
}

TEST(Describe, CountsWhatIsNotZeroInBothLayouts) {
  const std::string_view text = "1 1:0.5 3:-2\n-1 2:0 3:4\n1\n";
  for (const Layout layout : {Layout::kDense, Layout::kSparse}) {
    const Description description = Describe(FromText(text, {.layout = layout}));
    EXPECT_EQ(description.layout, layout);
    EXPECT_EQ(description.rows, 3);
    EXPECT_EQ(description.n_features, 3);
    EXPECT_EQ(description.nonzeros, 3);
    EXPECT_DOUBLE_EQ(description.density, 3.0 / 9);
    EXPECT_EQ(description.value_min, -2);
    EXPECT_EQ(description.value_max, 4);
  }
}

TEST(Describe, ASparseRowsMissingCellsCountAsZeroInTheRange) {
  const Description description = Describe(FromText("1 1:3\n1 2:4\n", {.layout = Layout::kSparse}));
  EXPECT_EQ(description.value_min, 0);
  EXPECT_EQ(description.value_max, 4);
}

TEST(Describe, JsonHasEveryMember) {
  EXPECT_EQ(ToJson(Describe(FromText("1 1:0.5 2:-2\n-1 2:4\n"))).Dump(),
            R"({"layout":"dense","rows":2,"n_features":2,"nonzeros":3,"density":0.75,)"
            R"("value_min":-2,"value_max":4,)"
            R"("labels":[{"label":-1,"rows":1},{"label":1,"rows":1}]})");
}

}  // namespace
}  // namespace lambdaml::data
