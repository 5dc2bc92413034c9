#include "lambdaml/package/zip_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/file.h"

#include "support/child_program.h"

namespace lambdaml::package {
namespace {

base::Blob BlobOf(std::string_view text) { return base::Blob::Copy(base::AsBytes(text)); }

std::vector<FileMember> Members() {
  return {{"bootstrap", BlobOf("#!/bin/sh\n"), true},
          {"empty", base::Blob(), false},
          {"lib/long", BlobOf(std::string(1'000'000, 'x')), false}};
}

TEST(ZipArchive, PythonReadsWhatWasPacked) {
  const base::TemporaryDirectory folder(::testing::TempDir(), "zip-");
  const std::string path = folder.path() + "/a.zip";
  base::WriteFileAtomic(path, MakeZip(Members()));
  const test::ProgramResult result = test::RunProgram(
      {.program = "/usr/bin/python3",
       .arguments = {"-c",
                     "import sys, zipfile\n"
                     "z = zipfile.ZipFile(sys.argv[1])\n"
                     "assert z.testzip() is None\n"
                     "for i in z.infolist():\n"
                     "  print(i.filename, i.file_size, z.read(i)[:3], oct(i.external_attr >> 16),\n"
                     "        i.date_time[:3])\n",
                     path},
       .environment = {},
       .working_directory = folder.path()},
      std::chrono::seconds(30));
  EXPECT_EQ(result.out,
            "bootstrap 10 b'#!/' 0o100755 (1980, 1, 1)\n"
            "empty 0 b'' 0o100644 (1980, 1, 1)\n"
            "lib/long 1000000 b'xxx' 0o100644 (1980, 1, 1)\n")
      << result.err;
}

TEST(ZipArchive, EqualMembersGiveEqualBytesAndFewerThanTheyHave) {
  EXPECT_EQ(MakeZip(Members()), MakeZip(Members()));
  EXPECT_LT(MakeZip(Members()).size(), 5000U);
}

}  // namespace
}  // namespace lambdaml::package
