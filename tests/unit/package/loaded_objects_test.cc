#include "lambdaml/package/loaded_objects.h"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

namespace lambdaml::package {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;

class LoadedObjectsTest : public ::testing::Test {
 protected:
  LoadedObjectsTest() : folder_(::testing::TempDir(), "loaded-objects-") {}

  std::string Write(const std::string& name, const std::string& text) const {
    std::string path = folder_.path() + "/" + name;
    base::WriteFileAtomic(path, base::AsBytes(text));
    return path;
  }

  static void ExpectRefused(const std::string& path, const std::string& said) {
    try {
      InterpreterOf(path);
      FAIL() << path << " was taken for a program";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.message(), AllOf(HasSubstr(path), HasSubstr(said)));
    }
  }

  base::TemporaryDirectory folder_;
};

TEST_F(LoadedObjectsTest, AProgramsLoaderIsTheOneItNames) {
  EXPECT_EQ(InterpreterOf(LAMBDAML_PACKAGE_PROGRAM), "/lib64/ld-linux-x86-64.so.2");
}

TEST_F(LoadedObjectsTest, OnlyDynamicProgramsForThisMachineAreTaken) {
  const std::string program(base::MapFile(LAMBDAML_PACKAGE_PROGRAM).text());
  ExpectRefused(Write("script", "#!/bin/sh\n" + std::string(100, ' ')), "is no program");
  ExpectRefused(Write("empty", ""), "is no program");
  std::string other = program;
  other[18] = '\xb7';  // e_machine: AArch64
  ExpectRefused(Write("other", other), "another machine");
  ExpectRefused(LAMBDAML_PACKAGE_NEEDED, "statically linked");
  ExpectRefused(Write("cut", program.substr(0, 64)), "truncated");
}

TEST_F(LoadedObjectsTest, ALibraryOfALibraryIsFoundWhereTheLoaderWouldFindIt) {
  const std::string loader = InterpreterOf(LAMBDAML_PACKAGE_PROGRAM);
  const std::vector<SharedObject> objects = LoadedObjects(loader, LAMBDAML_PACKAGE_MODULE);
  EXPECT_TRUE(std::ranges::is_sorted(objects, {}, &SharedObject::name));
  EXPECT_THAT(objects, Contains(SharedObject{"libpackage_needed.so", LAMBDAML_PACKAGE_NEEDED}));
  const std::vector<SharedObject> of_program = LoadedObjects(loader, LAMBDAML_PACKAGE_PROGRAM);
  EXPECT_THAT(of_program, Contains(Field(&SharedObject::name, "libc.so.6")));
  EXPECT_THAT(of_program, Not(Contains(Field(&SharedObject::path, loader))));
}

TEST_F(LoadedObjectsTest, AMissingLibraryIsNamed) {
  const std::string alone = folder_.path() + "/alone.so";
  fs::copy_file(LAMBDAML_PACKAGE_MODULE, alone);
  try {
    LoadedObjects(InterpreterOf(LAMBDAML_PACKAGE_PROGRAM), alone);
    FAIL() << "nothing is missing";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kNotFound);
    EXPECT_THAT(error.message(), AllOf(HasSubstr(alone), HasSubstr("libpackage_needed.so")));
  }
}

}  // namespace
}  // namespace lambdaml::package
