#include "lambdaml/nn/memory_plan.h"

#include <gtest/gtest.h>

#include "lambdaml/base/random.h"

namespace lambdaml::nn {
namespace {

TEST(MemoryPlanTest, BuffersThatLiveTogetherDoNotOverlap) {
  struct Buffer {
    MemoryPlan::Buffer id;
    size_t size_bytes;
    int first;
    int last;
  };
  for (uint64_t seed = 0; seed < 20; ++seed) {
    base::Random random(seed);
    MemoryPlan plan;
    std::vector<Buffer> buffers;
    for (int i = 0; i < 60; ++i) {
      Buffer buffer = {0, 1 + random.Below(5000), static_cast<int>(random.Below(40)), 0};
      buffer.last = buffer.first + static_cast<int>(random.Below(10));
      buffer.id = plan.Add(buffer.size_bytes, buffer.first);
      plan.Use(buffer.id, buffer.last);
      buffers.push_back(buffer);
    }
    plan.Place();
    EXPECT_GE(plan.size_bytes(), plan.BoundBytes());
    for (const Buffer& a : buffers) {
      EXPECT_EQ(plan.offset(a.id) % MemoryPlan::kAlignmentBytes, 0);
      EXPECT_LE(plan.offset(a.id) + a.size_bytes, plan.size_bytes());
      for (const Buffer& b : buffers) {
        if (a.id == b.id || a.last < b.first || b.last < a.first) continue;
        EXPECT_TRUE(plan.offset(a.id) + a.size_bytes <= plan.offset(b.id) ||
                    plan.offset(b.id) + b.size_bytes <= plan.offset(a.id))
            << "seed " << seed;
      }
    }
  }
}

TEST(MemoryPlanTest, BuffersThatFollowEachOtherShareMemory) {
  MemoryPlan plan;
  for (int moment = 0; moment < 10; ++moment) plan.Add(1024, moment);
  plan.Place();
  EXPECT_EQ(plan.size_bytes(), 1024);
  EXPECT_EQ(plan.BoundBytes(), 1024);
}

TEST(MemoryPlanTest, NoBufferNeedsNoMemory) {
  MemoryPlan plan;
  plan.Use(MemoryPlan::kNone, 3);
  plan.Place();
  EXPECT_EQ(plan.size_bytes(), 0);
}

}  // namespace
}  // namespace lambdaml::nn
