#include "lambdaml/train/run_directory.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>

#include "lambdaml/base/error.h"

#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

// TMPDIR for the length of a scope.
class TemporaryPlace {
 public:
  explicit TemporaryPlace(const std::string& path) {
    if (const char* value = std::getenv("TMPDIR")) before_ = value;
    ::setenv("TMPDIR", path.c_str(), 1);
  }
  TemporaryPlace(const TemporaryPlace&) = delete;
  TemporaryPlace& operator=(const TemporaryPlace&) = delete;
  ~TemporaryPlace() {
    if (before_) {
      ::setenv("TMPDIR", before_->c_str(), 1);
    } else {
      ::unsetenv("TMPDIR");
    }
  }

 private:
  std::optional<std::string> before_;
};

TEST(RunDirectory, HasAPlaceForEverythingAndGoesAway) {
  const TemporaryFolder parent;
  std::string path;
  {
    const RunDirectory run(parent.path(), 0);
    path = run.path();
    EXPECT_EQ(std::filesystem::path(path).parent_path(), parent.path());
    EXPECT_EQ(run.job_id(), std::filesystem::path(path).filename());
    for (const std::string& folder : {run.shards(), run.channel(), run.functions()}) {
      EXPECT_TRUE(std::filesystem::is_directory(folder)) << folder;
      EXPECT_TRUE(folder.starts_with(path));
    }
    base::WriteFileAtomic(run.shards() + "/0_1", base::AsBytes("x"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(RunDirectory, TwoRunsDoNotMeet) {
  const TemporaryFolder parent;
  const RunDirectory first(parent.path(), 0);
  const RunDirectory second(parent.path(), 0);
  EXPECT_NE(first.job_id(), second.job_id());
}

TEST(RunDirectory, IsInMemoryWhenThereIsRoomAndElseInTmpdir) {
  const TemporaryFolder elsewhere;
  const TemporaryPlace place(elsewhere.path());
  std::error_code error;
  const std::filesystem::space_info memory = std::filesystem::space("/dev/shm", error);
  const RunDirectory small("", 0);
  const bool has_memory = !error && memory.available > 0;
  EXPECT_EQ(std::filesystem::path(small.path()).parent_path(),
            has_memory ? std::string("/dev/shm") : elsewhere.path());
  const uintmax_t too_much = error ? 0 : memory.available + (uintmax_t{1} << 30);
  if (std::filesystem::space(elsewhere.path()).available <= 2 * too_much) return;
  const RunDirectory large("", too_much);
  EXPECT_EQ(std::filesystem::path(large.path()).parent_path(), elsewhere.path());
}

TEST(RunDirectory, NamesThePlacesThatHaveNoRoom) {
  const TemporaryFolder elsewhere;
  const TemporaryPlace place(elsewhere.path());
  try {
    const RunDirectory run("", uint64_t{1} << 62);
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kResourceExhausted);
    EXPECT_THAT(error.message(), testing::HasSubstr("/dev/shm has "));
    EXPECT_THAT(error.message(), testing::HasSubstr(elsewhere.path() + " has "));
    EXPECT_THAT(error.message(), testing::HasSubstr("set TMPDIR"));
  }
}

TEST(RunDirectory, ATmpdirThatIsNotThereIsOneWithoutRoom) {
  const TemporaryPlace place("/nowhere/at/all");
  try {
    const RunDirectory run("", uint64_t{1} << 62);
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kResourceExhausted);
    EXPECT_THAT(error.message(), testing::HasSubstr("/nowhere/at/all has 0"));
  }
}

}  // namespace
}  // namespace lambdaml::train
