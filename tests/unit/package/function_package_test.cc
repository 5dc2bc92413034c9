#include "lambdaml/package/function_package.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

namespace lambdaml::package {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Not;

// A folder with a worker in it, as a build makes one.
class FunctionPackageTest : public ::testing::Test {
 protected:
  FunctionPackageTest() : folder_(::testing::TempDir(), "package-") {
    fs::copy_file(LAMBDAML_PACKAGE_PROGRAM, Path("worker"));
    base::WriteFileAtomic(Path("start"), base::AsBytes("start"));
    base::WriteFileAtomic(Path("ca.pem"), base::AsBytes("certificates"));
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  std::vector<FileMember> Collect() const {
    return CollectFunction(
        {.worker = Path("worker"), .bootstrap = Path("start"), .certificates = Path("ca.pem")});
  }

  static std::vector<std::string> NamesOf(const std::vector<FileMember>& members) {
    std::vector<std::string> names;
    for (const FileMember& member : members) names.push_back(member.name);
    return names;
  }

  base::TemporaryDirectory folder_;
};

TEST_F(FunctionPackageTest, HoldsTheProgramItsLoaderAndItsLibraries) {
  const std::vector<FileMember> members = Collect();
  EXPECT_THAT(NamesOf(members), IsSupersetOf({"bootstrap", "ca-certificates.crt", "lambdaml-worker",
                                              "lib/ld-linux-x86-64.so.2", "lib/libc.so.6"}));
  for (const FileMember& member : members) {
    const bool is_program = member.name == "bootstrap" || member.name == "lambdaml-worker" ||
                            member.name == "lib/ld-linux-x86-64.so.2";
    EXPECT_EQ(member.is_executable, is_program) << member.name;
  }
  EXPECT_EQ(members[0].bytes.text(), "start");
  EXPECT_EQ(members[1].bytes.text(), "certificates");
}

TEST_F(FunctionPackageTest, TakesTheModulesBesideTheProgramAndWhatTheyNeed) {
  EXPECT_THAT(NamesOf(Collect()), Not(Contains("lib/libpackage_needed.so")));
  fs::copy_file(LAMBDAML_PACKAGE_NEEDED, Path("libpackage_needed.so"));
  fs::copy_file(LAMBDAML_PACKAGE_MODULE, Path("lambdaml-test.so"));
  EXPECT_THAT(NamesOf(Collect()),
              IsSupersetOf({"lib/lambdaml-test.so", "lib/libpackage_needed.so"}));
}

TEST_F(FunctionPackageTest, MoreThanLambdaUnpacksIsRefused) {
  fs::resize_file(Path("ca.pem"), kUnpackedBytesMax);  // a hole: takes no space
  try {
    Collect();
    FAIL() << "it fits";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kResourceExhausted) << error.message();
  }
}

TEST_F(FunctionPackageTest, AnImagesContextGoesIntoAFolderOfItsOwn) {
  WriteImageContext(Collect(), Path("image"));
  EXPECT_EQ(base::MapFile(Path("image/function/bootstrap")).text(), "start");
  EXPECT_EQ(fs::status(Path("image/function/bootstrap")).permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(Path("image/function/ca-certificates.crt")).permissions(), fs::perms(0644));
  EXPECT_TRUE(fs::exists(Path("image/function/lib/libc.so.6")));
  try {
    WriteImageContext(Collect(), Path("image"));
    FAIL() << "files of somebody else were overwritten";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kAlreadyExists) << error.message();
  }
}

}  // namespace
}  // namespace lambdaml::package
