// Full disks: small file systems in memory, which the test mounts for itself.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mount.h>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

class FullDiskTest : public Workbench {
 protected:
  void SetUp() override {
    if (!HasOwnMounts()) GTEST_SKIP() << "only root may mount the small file systems needed here";
    Write("data", SeparableSample());
    std::filesystem::create_directory(Path("disk"));
    ASSERT_EQ(::mount("tmpfs", Path("disk").c_str(), "tmpfs", 0, "size=256k"), 0)
        << std::strerror(errno);
  }

  void TearDown() override {
    if (HasOwnMounts()) ::umount(Path("disk").c_str());
    Workbench::TearDown();
  }

  // Leaves not one page free.
  void Fill() const {
    std::ofstream file(Path("disk/ballast"));
    while (file << std::string(4096, 'x') << std::flush) {
    }
  }
};

TEST_F(FullDiskTest, AModelThatDoesNotFitIsNotLeftInPart) {
  Fill();
  const Outcome outcome = Run({"train", "--data", "data", "--output", "disk/m"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("^lambdaml: .*disk/m.*No space left"));
  EXPECT_THAT(Listing(), ::testing::UnorderedElementsAre("data", "disk", "disk/ballast", "tmp"));
}

TEST_F(FullDiskTest, OutputsOfEveryCommandAreWholeOrNotThere) {
  Succeed({"train", "--data", "data", "--output", "m"});
  Succeed({"data", "generate", "higgs", "--rows", "3000", "--output", "large"});
  Refuse({"data", "convert", "large", "--output", "disk/c.npz"}, 4,
         {"disk/c.npz", "No space left"});
  Refuse({"data", "convert", "large", "--output", "disk/c"}, 4, {"disk/c", "No space left"});
  Refuse({"data", "generate", "higgs", "--rows", "3000", "--output", "disk/g"}, 4,
         {"disk/g", "No space left"});
  Refuse({"data", "generate", "higgs", "--rows", "3000", "--output", "disk/g.npz"}, 4,
         {"disk/g.npz", "No space left"});
  Fill();
  Refuse({"predict", "m", "--data", "data", "--output", "disk/p"}, 4, {"disk/p", "No space left"});
}

TEST_F(FullDiskTest, ASplitThatDoesNotFitLeavesNoManifest) {
  Succeed({"data", "generate", "higgs", "--rows", "3000", "--output", "large"});
  const Outcome outcome = Run({"data", "split", "large", "--parts", "3", "--output", "disk/s"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, ::testing::HasSubstr("No space left"));
  EXPECT_FALSE(Exists("disk/s/manifest.json"));
}

TEST_F(FullDiskTest, AChannelThatIsFullEndsTheRunNamingTheRank) {
  // Every feature occurs, so a vector is 400 kB.
  std::string wide;
  for (int row = 0; row < 8; ++row) {
    wide += row % 2 == 0 ? "1" : "-1";
    for (int j = row; j < 100'000; j += 8) wide += fmt::format(" {}:1", j + 1);
    wide += '\n';
  }
  Write("wide", wide);
  for (const std::string sync_mode : {"reduce", "reduce_scatter", "async"}) {
    SCOPED_TRACE(sync_mode);
    const Outcome outcome =
        Run({"train", "--data", "wide", "--model", "sparse_lr", "--optim", "grad_avg",
             "--sync_mode", sync_mode, "--channel", "file://" + Path("disk"), "--output", "m"});
    EXPECT_EQ(outcome.exit_code, 4);
    EXPECT_THAT(outcome.err,
                ::testing::ContainsRegex("^lambdaml: worker [0-3] of 4 failed: .*No space left"));
    EXPECT_FALSE(Exists("m"));
    EXPECT_TRUE(std::filesystem::is_empty(Path("disk")));
  }
}

TEST_F(FullDiskTest, ALogThatDoesNotFitEndsTheRun) {
  Fill();
  const Outcome outcome = Run({"train", "--data", "data", "--log", "disk/log", "--output", "m"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("^lambdaml: .*disk/log.*No space left.*\n$"));
  EXPECT_FALSE(Exists("m"));
}

TEST_F(FullDiskTest, ARunWithoutRoomForItsShardsSaysHowMuchItNeeds) {
  ASSERT_EQ(::mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT, "size=1m"), 0);
  SetEnvironment("TMPDIR", Path("disk"));
  const Outcome outcome = Run({"train", "--data", "data", "--output", "m"});
  ::mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT, "size=50%");
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("the run needs about [0-9.]+ MB .*TMPDIR"));
  EXPECT_FALSE(Exists("m"));
}

TEST_F(FullDiskTest, ARunGoesToTmpdirWhenMemoryIsFull) {
  ASSERT_EQ(::mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT, "size=1m"), 0);
  Succeed({"train", "--data", "data", "--output", "m"});
  ::mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT, "size=50%");
  EXPECT_TRUE(Exists("m"));
}

}  // namespace
}  // namespace lambdaml::test
