#include "lambdaml/faas/event_loop.h"

#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <unistd.h>

#include "lambdaml/base/file.h"

namespace lambdaml::faas {
namespace {

constexpr std::chrono::milliseconds kShort{5};

TEST(EventLoopTest, TimersRunInOrderAndPostedTasksFirst) {
  EventLoop loop;
  std::string order;
  const auto second = loop.After(4 * kShort, [&] {
    order += "3";
    loop.Finish();
  });
  const auto first = loop.After(kShort, [&] { order += "2"; });
  loop.Post([&] { order += "1"; });
  loop.Run();
  EXPECT_EQ(order, "123");
}

TEST(EventLoopTest, ADroppedSubscriptionIsSilent) {
  EventLoop loop;
  bool called = false;
  auto dropped = loop.After(kShort, [&] { called = true; });
  loop.Post([&] { dropped.reset(); });
  const auto end = loop.After(4 * kShort, [&] { loop.Finish(); });
  loop.Run();
  EXPECT_FALSE(called);
}

TEST(EventLoopTest, ASubscriptionDroppedAfterItsEventButBeforeItsTaskIsSilentToo) {
  EventLoop loop;
  bool called = false;
  EventLoop::Subscription second;
  const auto first = loop.After(kShort, [&] {
    std::this_thread::sleep_for(4 * kShort);  // the second is due meanwhile
    second.reset();
    loop.Finish();
  });
  second = loop.After(kShort + kShort, [&] { called = true; });
  loop.Run();
  EXPECT_FALSE(called);
}

TEST(EventLoopTest, ATaskMayDropItsOwnSubscription) {
  EventLoop loop;
  std::string text(100, 'x');
  std::string seen;
  EventLoop::Subscription timer;
  timer = loop.After(kShort, [&, text] {
    timer.reset();
    seen = text;  // the task's own copy is still there
    loop.Finish();
  });
  loop.Run();
  EXPECT_EQ(seen, text);
}

TEST(EventLoopTest, AReadableDescriptorRunsItsTaskOnceAndStaysOpen) {
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  const base::FileDescriptor read_end(ends[0]);
  const base::FileDescriptor write_end(ends[1]);
  EventLoop loop;
  int count = 0;
  auto watch = loop.WhenReadable(read_end.get(), [&] { ++count; });
  const auto write = loop.After(kShort, [&] { ASSERT_EQ(::write(write_end.get(), "x", 1), 1); });
  const auto end = loop.After(6 * kShort, [&] { loop.Finish(); });
  loop.Run();
  EXPECT_EQ(count, 1);
  watch.reset();
  char byte = 0;
  EXPECT_EQ(::read(read_end.get(), &byte, 1), 1);
}

TEST(EventLoopTest, TasksArePostedFromOtherThreads) {
  EventLoop loop;
  int count = 0;
  std::thread poster([&] {
    for (int i = 0; i < 1000; ++i) loop.Post([&] { ++count; });
    loop.Post([&] { loop.Finish(); });
  });
  loop.Run();
  poster.join();
  EXPECT_EQ(count, 1000);
}

}  // namespace
}  // namespace lambdaml::faas
