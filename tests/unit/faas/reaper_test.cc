// Only folders below a temporary one are ever handed to a guardian here: refusals are tested on
// ReasonNotToDelete, which deletes nothing.
#include "lambdaml/faas/reaper.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

class ReaperTest : public ::testing::Test {
 protected:
  std::string Folder(const std::string& name) const {
    const std::string path = folder_.path() + "/" + name;
    base::MakeDirectories(path + "/deep/down");
    return path;
  }
  static void AddFile(const std::string& folder) { std::ofstream(folder + "/deep/file") << "x"; }

  base::TemporaryDirectory folder_{std::filesystem::temp_directory_path().string(), "faas-"};
};

TEST_F(ReaperTest, FoldersAreDeletedAtTheEndAndOthersAreNot) {
  const std::string kept = Folder("kept");
  const std::string one = Folder("one");
  const std::string two = Folder("two words\nand a line");
  {
    Reaper reaper;
    reaper.DeleteAtEnd(one);
    reaper.DeleteAtEnd(two);
    reaper.DeleteAtEnd(folder_.path() + "/never made");
    AddFile(one);
    AddFile(kept);
    EXPECT_TRUE(base::FileExists(one));
  }
  EXPECT_FALSE(base::FileExists(one));
  EXPECT_FALSE(base::FileExists(two));
  EXPECT_TRUE(base::FileExists(kept + "/deep/file"));
}

TEST_F(ReaperTest, FoldersAreDeletedWhenTheProgramIsKilled) {
  const std::string doomed = Folder("doomed");
  const pid_t program = ::fork();
  if (program == 0) {
    Reaper reaper;
    reaper.DeleteAtEnd(doomed);
    AddFile(doomed);
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(program, nullptr, 0), program);
  for (int i = 0; i < 2000 && base::FileExists(doomed); ++i) ::usleep(10'000);
  EXPECT_FALSE(base::FileExists(doomed));
}

TEST_F(ReaperTest, AFolderThatHoldsFilesIsRefusedAndKept) {
  const std::string full = Folder("full");
  AddFile(full);
  {
    Reaper reaper;
    EXPECT_THROW(reaper.DeleteAtEnd(full), base::Error);
  }
  EXPECT_TRUE(base::FileExists(full + "/deep/file"));
}

TEST_F(ReaperTest, AFileOrALinkIsNoFolderOfARun) {
  const std::string folder = Folder("target");
  std::ofstream(folder_.path() + "/file") << "x";
  std::filesystem::create_directory_symlink(folder, folder_.path() + "/link");
  EXPECT_NE(ReasonNotToDelete(folder_.path() + "/file"), "");
  EXPECT_NE(ReasonNotToDelete(folder_.path() + "/link"), "");
  EXPECT_EQ(ReasonNotToDelete(folder), "");
}

TEST_F(ReaperTest, PathsThatNobodyMeansToDeleteAreRefused) {
  for (const char* folder : {"", "/", "//", "/x", "/x/", "//x", "x/y", "./x/y", "/x/y/", "/x/..",
                             "/x/../y", "/x/./y", "/x/y/..", "/x/y/."}) {
    EXPECT_NE(ReasonNotToDelete(folder), "") << folder;
  }
  EXPECT_NE(ReasonNotToDelete(std::string("/x/y\0z", 6)), "");
  EXPECT_EQ(ReasonNotToDelete(folder_.path() + "/not made yet"), "");
}

}  // namespace
}  // namespace lambdaml::faas
