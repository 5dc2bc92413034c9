#include "lambdaml/nn/architecture.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

#include "lambdaml/base/error.h"

namespace lambdaml::nn {
namespace {

constexpr Architecture kAll[] = {Architecture::kMobileNet, Architecture::kResNet18,
                                 Architecture::kResNet50};

// One "name shape..." a line, in the order of the state dict.
std::string Describe(const StateLayout& layout) {
  std::ostringstream text;
  for (const StateLayout::Entry& entry : layout.entries) {
    if (entry.kind == StateLayout::Kind::kBatchCount) {
      text << layout.batch_counts.at(entry.index) << '\n';
      continue;
    }
    const auto& tensors =
        entry.kind == StateLayout::Kind::kParameter ? layout.parameters : layout.statistics;
    text << tensors.at(entry.index).name;
    for (const int64_t size : tensors.at(entry.index).shape) text << ' ' << size;
    text << '\n';
  }
  return text.str();
}

TEST(ArchitectureTest, HasNamesShapesAndOrderOfPyTorchsStateDict) {
  for (const Architecture architecture : kAll) {
    const std::string path = std::string(LAMBDAML_GOLDEN_FOLDER "/") +
                             std::string(ArchitectureName(architecture)) + ".state";
    std::ifstream file(path);
    std::ostringstream golden;
    golden << file.rdbuf();
    ASSERT_FALSE(golden.str().empty()) << path;
    EXPECT_EQ(Describe(DescribeState(architecture, 10)), golden.str());
  }
}

TEST(ArchitectureTest, LaysTensorsOutWithoutGaps) {
  for (const Architecture architecture : kAll) {
    const StateLayout layout = DescribeState(architecture, 7);
    size_t end = 0;
    for (const TensorInfo& tensor : layout.parameters) {
      EXPECT_EQ(tensor.offset, end);
      size_t size = 1;
      for (const int64_t length : tensor.shape) size *= static_cast<size_t>(length);
      EXPECT_EQ(tensor.size, size);
      end += size;
    }
    EXPECT_EQ(layout.parameter_count, end);
    EXPECT_EQ(layout.parameters.back().name, "linear.bias");
    EXPECT_EQ(layout.parameters.back().size, 7);
  }
}

TEST(ArchitectureTest, KnowsTheInputsOfAnOutput) {
  const StateLayout layout = DescribeState(Architecture::kMobileNet, 10);
  EXPECT_EQ(layout.parameters[0].fan_in, 27);        // conv1: 3 x 3 x 3
  EXPECT_EQ(layout.parameters[1].fan_in, 0);         // bn1
  EXPECT_EQ(layout.parameters[3].fan_in, 9);         // depthwise
  EXPECT_EQ(layout.parameters.back().fan_in, 1024);  // linear's bias
}

TEST(ArchitectureTest, RefusesImpossibleNumbersOfClasses) {
  for (const int64_t n_classes : {int64_t{0}, int64_t{-1}, kClassesMax + 1}) {
    try {
      DescribeState(Architecture::kResNet18, n_classes);
      ADD_FAILURE() << n_classes;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.message(), testing::HasSubstr(std::to_string(n_classes)));
    }
  }
}

}  // namespace
}  // namespace lambdaml::nn
