#include "lambdaml/train/cnn_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <regex>

#include "lambdaml/base/error.h"
#include "lambdaml/train/cnn_defaults.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

wire::Job JobWith(wire::ModelKind model, int64_t batch_size, int64_t memory_mb) {
  wire::Job job;
  job.model = model;
  job.data = "d.bin";
  job.batch_size = batch_size;
  job.memory_mb = memory_mb;
  ResolveCnnJob(job);
  return job;
}

std::string Refusal(const wire::Job& job) {
  try {
    CheckCnnMemory(job, {.architecture = ArchitectureOf(job.model).value()});
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "no error";
}

TEST(CnnMemory, GrowsWithBatchNetworkAndWorkers) {
  const auto bytes = [](wire::ModelKind model, int64_t batch_size, int64_t workers) {
    wire::Job job = JobWith(model, batch_size, 1769);
    job.n_workers = workers;
    return CnnMemoryBytes(job, {.architecture = ArchitectureOf(model).value()});
  };
  const uint64_t small = bytes(wire::ModelKind::kMobileNet, 64, 1);
  EXPECT_GT(bytes(wire::ModelKind::kMobileNet, 128, 1), small);
  EXPECT_GT(bytes(wire::ModelKind::kMobileNet, 64, 8), small);
  EXPECT_GT(bytes(wire::ModelKind::kResNet18, 64, 1), small);
  EXPECT_GT(bytes(wire::ModelKind::kResNet50, 64, 1), bytes(wire::ModelKind::kResNet18, 64, 1));
}

TEST(CnnMemory, TooLittleIsSaidWithTheBatchThatFits) {
  EXPECT_EQ(Refusal(JobWith(wire::ModelKind::kMobileNet, 64, 1769)), "no error");
  const std::string said = Refusal(JobWith(wire::ModelKind::kResNet50, 1000, 1769));
  EXPECT_THAT(said, HasSubstr("--memory_mb 1769 is too little: resnet50 with --batch_size 1000"));
  std::smatch match;
  ASSERT_TRUE(std::regex_search(
      said, match, std::regex("give --batch_size (\\d+) or less, or --memory_mb (\\d+)")));
  const int64_t batch_size = std::stoll(match[1]);
  EXPECT_EQ(Refusal(JobWith(wire::ModelKind::kResNet50, batch_size, 1769)), "no error");
  EXPECT_NE(Refusal(JobWith(wire::ModelKind::kResNet50, batch_size + 1, 1769)), "no error");
}

TEST(CnnMemory, WhereNoBatchFitsOnlyMoreMemoryHelps) {
  const std::string said = Refusal(JobWith(wire::ModelKind::kResNet50, 8, 128));
  EXPECT_THAT(said, HasSubstr("give --memory_mb "));
  EXPECT_THAT(said, Not(HasSubstr("or less")));
}

TEST(ThreadCount, FollowsTheMemory) {
  EXPECT_EQ(ThreadCountOf(128), 1);
  EXPECT_EQ(ThreadCountOf(1769), 1);
  EXPECT_EQ(ThreadCountOf(3538), 2);
  EXPECT_EQ(ThreadCountOf(10240), 5);
}

}  // namespace
}  // namespace lambdaml::train
