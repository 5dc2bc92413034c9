#include "lambdaml/base/file.h"

#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::base {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

// Runs `action`, which must throw an Error, and returns it.
template <typename Action>
Error ErrorOf(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorCode::kInternal, "none");
}

// No file of this process may grow beyond `size_bytes`: a full disk without a disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size_bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {size_bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);  // write then fails with EFBIG
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_ = {};
  void (*handler_)(int) = nullptr;
};

class FileTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  TemporaryDirectory folder_{::testing::TempDir(), "lambdaml-file-test-"};
};

TEST_F(FileTest, WhatIsWrittenIsMappedBack) {
  const std::string text(100'000, 'x');
  WriteFileAtomic(Path("a"), AsBytes(text));
  EXPECT_EQ(MapFile(Path("a")).text(), text);
  EXPECT_EQ(MapFile(Path("a"), true).text(), text);
}

TEST_F(FileTest, AnEmptyFileMapsToAnEmptyBlob) {
  WriteFileAtomic(Path("empty"), {});
  EXPECT_TRUE(FileExists(Path("empty")));
  EXPECT_EQ(MapFile(Path("empty")).size(), 0U);
}

TEST_F(FileTest, WritingThroughASymbolicLinkReplacesWhatItPointsTo) {
  WriteFileAtomic(Path("a"), AsBytes("old"));
  ASSERT_EQ(::symlink("a", Path("link").c_str()), 0);
  WriteFileAtomic(Path("link"), AsBytes("new"));
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_EQ(MapFile(Path("a")).text(), "new");
}

TEST_F(FileTest, APipeIsWrittenToAndStaysAPipe) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { std::getline(std::ifstream(Path("pipe")), got); });
  WriteFileAtomic(Path("pipe"), AsBytes("through it"));
  reader.join();
  EXPECT_EQ(got, "through it");
  EXPECT_TRUE(std::filesystem::is_fifo(Path("pipe")));
}

TEST_F(FileTest, AMappedFileStaysReadableAfterItIsReplacedAndDeleted) {
  WriteFileAtomic(Path("a"), AsBytes("old"));
  const Blob old = MapFile(Path("a"));
  WriteFileAtomic(Path("a"), AsBytes("new and longer"));
  EXPECT_EQ(old.text(), "old");
  EXPECT_EQ(MapFile(Path("a")).text(), "new and longer");
  RemoveTree(Path("a"));
  EXPECT_EQ(old.text(), "old");
}

TEST_F(FileTest, MappingNamesTheFileThatIsMissing) {
  const Error error = ErrorOf([&] { MapFile(Path("none")); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_EQ(error.message(), "open " + Path("none") + ": No such file or directory");
}

TEST_F(FileTest, AFolderOrADeviceCannotBeMapped) {
  EXPECT_EQ(ErrorOf([&] { MapFile(folder_.path()); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf([&] { MapFile("/dev/null"); }).code(), ErrorCode::kInvalidArgument);
}

TEST_F(FileTest, ANamedPipeIsRefusedWithoutWaitingForAWriter) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const Error error = ErrorOf([&] { MapFile(Path("pipe")); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message(), HasSubstr("not a regular file"));
}

TEST_F(FileTest, AWriteLeavesNothingButTheFile) {
  WriteFileAtomic(Path("a"), AsBytes("1"));
  WriteFileAtomic(Path("a"), AsBytes("2"));
  EXPECT_THAT(FilesIn(folder_.path()), ElementsAre("a"));
}

TEST_F(FileTest, AWrittenFileHasThePermissionsOfTheUmask) {
  const mode_t before = ::umask(027);
  WriteFileAtomic(Path("a"), AsBytes("1"));
  ::umask(before);
  struct stat status = {};
  ASSERT_EQ(::stat(Path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640U);
}

TEST_F(FileTest, AFullDiskKeepsTheOldContentAndLeavesNothing) {
  WriteFileAtomic(Path("a"), AsBytes("old"));
  Error error(ErrorCode::kInternal, "");
  {
    const FileSizeLimit limit(4096);
    error = ErrorOf([&] { WriteFileAtomic(Path("a"), AsBytes(std::string(10'000, 'x'))); });
  }
  EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(error.message(), HasSubstr(Path("a") + ": "));
  EXPECT_EQ(MapFile(Path("a")).text(), "old");
  EXPECT_THAT(FilesIn(folder_.path()), ElementsAre("a"));
}

TEST_F(FileTest, AWriteThatCannotTakeItsNameLeavesNothing) {
  MakeDirectories(Path("taken"));
  EXPECT_EQ(ErrorOf([&] { WriteFileAtomic(Path("taken"), AsBytes("x")); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_THAT(FilesIn(folder_.path()), ElementsAre("taken"));
}

TEST_F(FileTest, AWriteIntoAMissingFolderIsNotFound) {
  const Error error = ErrorOf([&] { WriteFileAtomic(Path("none/a"), AsBytes("x")); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_EQ(error.message(), "write " + Path("none/a") + ": No such file or directory");
}

TEST_F(FileTest, ATemporaryFileLeftByADeadProcessIsNoObstacle) {
  // The name that the next write would take, and the one after it.
  for (int n = 0; n < 200; ++n) {
    std::ofstream(Path("a") + "." + std::to_string(::getpid()) + "-" + std::to_string(n) + ".tmp");
  }
  WriteFileAtomic(Path("a"), AsBytes("new"));
  EXPECT_EQ(MapFile(Path("a")).text(), "new");
}

TEST_F(FileTest, ReadersSeeOneWholeVersionWhileWritersRace) {
  WriteFileAtomic(Path("a"), AsBytes(std::string(50'000, '0')));
  std::vector<std::thread> writers;
  for (const char digit : {'1', '2'}) {
    writers.emplace_back([this, digit] {
      for (int i = 0; i < 50; ++i) {
        WriteFileAtomic(Path("a"), AsBytes(std::string(50'000, digit)));
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    const Blob seen = MapFile(Path("a"));
    ASSERT_EQ(seen.size(), 50'000U);
    ASSERT_EQ(seen.text().find_first_not_of(seen.text()[0]), std::string_view::npos);
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_THAT(FilesIn(folder_.path()), ElementsAre("a"));
}

TEST_F(FileTest, WriteAllReportsAFullDevice) {
  const FileDescriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_GE(full.get(), 0);
  const Error error = ErrorOf([&] { WriteAll(full.get(), AsBytes("x"), "out.txt"); });
  EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(error.message(), "write out.txt: No space left on device");
}

TEST_F(FileTest, WriteAllGoesOnAfterPartialWrites) {
  // A pipe takes 64 KB at a time, so the writer needs many calls.
  int ends[2] = {};
  ASSERT_EQ(::pipe(ends), 0);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i);
  std::thread thread(
      [&text, writer = std::move(writer)] { WriteAll(writer.get(), AsBytes(text), "pipe"); });
  std::string seen;
  char buffer[1000];
  for (;;) {
    const ssize_t count = ::read(reader.get(), buffer, sizeof(buffer));
    if (count <= 0 || seen.size() + static_cast<size_t>(count) > text.size()) break;
    seen.append(buffer, static_cast<size_t>(count));
    if (seen.size() == text.size()) break;
  }
  thread.join();
  EXPECT_EQ(seen, text);
}

TEST_F(FileTest, FoldersAreMadeWithTheirParentsAndRemovedWithTheirContents) {
  MakeDirectories(Path("a/b/c"));
  MakeDirectories(Path("a/b/c"));
  WriteFileAtomic(Path("a/b/c/file"), AsBytes("x"));
  RemoveTree(Path("a"));
  EXPECT_FALSE(FileExists(Path("a")));
  RemoveTree(Path("a"));
}

TEST_F(FileTest, AFolderCannotBeMadeBelowAFile) {
  WriteFileAtomic(Path("file"), AsBytes("x"));
  EXPECT_EQ(ErrorOf([&] { MakeDirectories(Path("file/folder")); }).code(), ErrorCode::kNotFound);
}

TEST_F(FileTest, ATemporaryDirectoryGoesAwayWithItsContents) {
  std::string path;
  {
    const TemporaryDirectory inner(folder_.path(), "run-");
    path = inner.path();
    EXPECT_THAT(path, HasSubstr("/run-"));
    MakeDirectories(path + "/deep/er");
    WriteFileAtomic(path + "/deep/file", AsBytes("x"));
  }
  EXPECT_FALSE(FileExists(path));
  EXPECT_THAT(FilesIn(folder_.path()), IsEmpty());
}

TEST_F(FileTest, ATemporaryDirectoryNeedsItsParent) {
  const Error error = ErrorOf([&] { TemporaryDirectory(Path("none"), "run-"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.message(), HasSubstr(Path("none")));
}

TEST(FileDescriptorTest, ClosesOnceAndMoves) {
  const int raw = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(raw, 0);
  {
    FileDescriptor first(raw);
    FileDescriptor second(std::move(first));
    FileDescriptor third;
    third = std::move(second);
    EXPECT_EQ(third.get(), raw);
    EXPECT_NE(::fcntl(raw, F_GETFD), -1);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(FileDescriptorTest, ReleaseHandsTheDescriptorOver) {
  FileDescriptor file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const FileDescriptor owner(file.Release());
  EXPECT_EQ(file.get(), -1);
  EXPECT_NE(::fcntl(owner.get(), F_GETFD), -1);
}

}  // namespace
}  // namespace lambdaml::base
