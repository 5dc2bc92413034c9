#include "lambdaml/base/buffer.h"

#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <new>
#include <thread>
#include <vector>

namespace lambdaml::base {
namespace {

constexpr size_t kLarge = size_t{3} << 20;

class BufferTest : public testing::Test {
 protected:
  void SetUp() override { DropSpareBuffers(); }
  void TearDown() override { DropSpareBuffers(); }
};

TEST_F(BufferTest, GivesADroppedBlockOutAgain) {
  auto first = NewBuffer(kLarge);
  const std::byte* const memory = first.get();
  std::memset(first.get(), 1, kLarge);
  first.reset();
  const auto second = NewBuffer(kLarge - 1000);
  EXPECT_EQ(second.get(), memory);
}

TEST_F(BufferTest, NeverGivesOutWhatIsInUse) {
  const auto first = NewBuffer(kLarge);
  const auto second = NewBuffer(kLarge);
  std::memset(first.get(), 1, kLarge);
  std::memset(second.get(), 2, kLarge);
  EXPECT_EQ(first[0], std::byte{1});
  EXPECT_EQ(first[kLarge - 1], std::byte{1});
  EXPECT_EQ(second[0], std::byte{2});
}

TEST_F(BufferTest, GivesNoSmallWishALargeBlock) {
  auto large = NewBuffer(kLarge);
  const std::byte* const memory = large.get();
  large.reset();
  auto small = NewBuffer(kLarge / 4);
  EXPECT_NE(small.get(), memory);
}

TEST_F(BufferTest, TakesTheBestFittingBlock) {
  auto larger = NewBuffer(5 * kLarge / 3);
  auto fitting = NewBuffer(kLarge);
  const std::byte* const memory = fitting.get();
  larger.reset();
  fitting.reset();
  EXPECT_EQ(NewBuffer(kLarge).get(), memory);
}

TEST_F(BufferTest, MakesBlocksOfEverySize) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65535}, size_t{65536}, kLarge + 1}) {
    const auto buffer = NewBuffer(size);
    ASSERT_NE(buffer, nullptr);
    std::memset(buffer.get(), 3, size);
  }
  EXPECT_THROW(NewBuffer(SIZE_MAX), std::bad_alloc);
}

TEST_F(BufferTest, ServesManyThreads) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([t, &wrong] {
      const auto mark = static_cast<std::byte>(t + 1);
      for (size_t i = 0; i < 200; ++i) {
        const size_t size = (size_t{64} << 10) + 4096 * (i % 20);
        const auto buffer = NewBuffer(size);
        std::memset(buffer.get(), static_cast<int>(t + 1), size);
        std::this_thread::yield();
        for (size_t k = 0; k < size; k += 512) wrong[t] += buffer[k] == mark ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

}  // namespace
}  // namespace lambdaml::base
