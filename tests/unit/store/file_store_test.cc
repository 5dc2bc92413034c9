// What only the file store promises.
#include "lambdaml/store/file_store.h"

#include <fcntl.h>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdexcept>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

#include "support/processes.h"

namespace lambdaml::store {
namespace {

using base::AsBytes;
using base::Deadline;
using testing::HasSubstr;

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

class FileStoreTest : public testing::Test {
 protected:
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      files.push_back(entry.path().string().substr(folder_.path().size() + 1));
    }
    std::ranges::sort(files);
    return files;
  }

  base::TemporaryDirectory folder_{"/tmp", "lambdaml_test_"};
  FileStore store_{folder_.path()};
};

TEST_F(FileStoreTest, AValueIsAFileThatHoldsNothingElse) {
  store_.Put("a/b", AsBytes("value"), Soon());
  EXPECT_EQ(base::MapFile(folder_.path() + "/a/b").text(), "value");
  EXPECT_EQ(store_.url(), "file://" + folder_.path());
}

TEST_F(FileStoreTest, NothingButKeysIsInTheFolderAfterwards) {
  store_.Put("a/b", AsBytes("1"), Soon());
  store_.Put("a/b", AsBytes("2"), Soon());
  store_.PutIfAbsent("a/b", AsBytes("3"), Soon());
  const auto seen = store_.GetVersioned("a/b", Soon());
  store_.CompareAndSwap("a/b", seen->version, AsBytes("4"), Soon());
  store_.CompareAndSwap("a/b", seen->version, AsBytes("5"), Soon());
  EXPECT_EQ(Files(), (std::vector<std::string>{"a", "a/b"}));
  store_.DeletePrefix("a/", Soon());
  EXPECT_EQ(Files(), std::vector<std::string>{});
}

TEST_F(FileStoreTest, FilesThatAreNoKeysAreNotListed) {
  store_.Put("a", AsBytes("1"), Soon());
  base::WriteFileAtomic(folder_.path() + "/~temporary", AsBytes("x"));
  base::WriteFileAtomic(folder_.path() + "/with space", AsBytes("x"));
  EXPECT_EQ(store_.List("", Soon()), std::vector<std::string>{"a"});
}

TEST_F(FileStoreTest, AWriterThatIsKilledLeavesNothingBehind) {
  const base::Bytes value(50'000'000);
  const pid_t child = ::fork();
  if (child == 0) {
    FileStore own(folder_.path());
    const std::vector<std::string> keys = {"key"};
    while (true) {
      own.Put("key", value, Soon());
      own.Delete(keys, Soon());
    }
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  for (const std::string& file : Files()) EXPECT_EQ(file, "key");
}

TEST_F(FileStoreTest, AFullDiskIsSaidWithTheFolder) {
  // A limit on the size of files stands for a full disk: both make write(2) fail in the middle.
  const int failing = test::CountFailingProcesses(1, [&](int) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {.rlim_cur = 1000, .rlim_max = 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      store_.Put("key", base::Bytes(2000), Soon());
    } catch (const base::Error& error) {
      if (error.code() == base::ErrorCode::kResourceExhausted &&
          error.message().find("free space in " + folder_.path()) != std::string::npos) {
        return;
      }
      throw;
    }
    throw std::runtime_error("no error");
  });
  EXPECT_EQ(failing, 0);
  EXPECT_EQ(Files(), std::vector<std::string>{});
}

TEST_F(FileStoreTest, WaitPollsWhenTheUserHasNoInotifyInstancesLeft) {
  const int failing = test::CountFailingProcesses(1, [&](int) {
    std::vector<base::FileDescriptor> all;
    do {
      all.emplace_back(::inotify_init1(IN_CLOEXEC));
    } while (all.back().get() >= 0);
    const base::FileDescriptor free_descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (free_descriptor.get() < 0) return;  // this process ran out of descriptors before the user

    FileStore own(folder_.path());
    std::thread writer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      FileStore(folder_.path()).Put("polled/key", AsBytes("value"), Soon());
    });
    const auto value = own.Wait("polled/key", Soon());
    writer.join();
    if (!value || value->text() != "value") throw std::runtime_error("not found");
  });
  EXPECT_EQ(failing, 0);
}

TEST_F(FileStoreTest, AStoppedHolderOfTheLockDoesNotStopOthersForEver) {
  store_.Put("a/key", AsBytes("1"), Soon());
  const auto seen = store_.GetVersioned("a/key", Soon());
  const base::FileDescriptor holder(
      ::open((folder_.path() + "/a").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(holder.get(), LOCK_EX), 0);
  try {
    store_.CompareAndSwap("a/key", seen->version, AsBytes("2"),
                          Deadline::After(std::chrono::milliseconds(20)));
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kDeadlineExceeded);
    EXPECT_THAT(error.message(), HasSubstr("another process holds it"));
  }
}

TEST_F(FileStoreTest, AFolderThatCannotBeMadeIsSaid) {
  base::WriteFileAtomic(folder_.path() + "/file", AsBytes("x"));
  EXPECT_THROW(FileStore(folder_.path() + "/file/store"), base::Error);
}

}  // namespace
}  // namespace lambdaml::store
