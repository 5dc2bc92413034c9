#include "lambdaml/faas/environment_log.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

TEST(EnvironmentLogTest, TheTailIsTheEndOfWhatWasWrittenSince) {
  const base::TemporaryDirectory folder(std::filesystem::temp_directory_path().string(), "faas-");
  EnvironmentLog log(folder.path() + "/log");
  log.AppendLine("before");
  const uint64_t begin = log.size_bytes();
  EXPECT_EQ(log.Tail(begin, 100), "");
  log.AppendLine("after");
  EXPECT_EQ(log.Tail(begin, 100), "after\n");
  EXPECT_EQ(log.Tail(begin, 3), "er\n");
  EXPECT_EQ(log.Tail(0, 100), "before\nafter\n");
  EXPECT_EQ(EnvironmentLog(folder.path() + "/log").size_bytes(), 13U);
}

TEST(EnvironmentLogTest, AMissingFolderIsAnError) {
  EXPECT_THROW(EnvironmentLog("/does/not/exist/log"), base::Error);
}

}  // namespace
}  // namespace lambdaml::faas
