#include "lambdaml/base/error.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/base/check.h"

namespace lambdaml::base {
namespace {

TEST(ErrorTest, EveryCodeHasANameThatLeadsBackToIt) {
  int names = 0;
  for (int value = 0; value <= static_cast<int>(ErrorCode::kInternal); ++value) {
    const auto code = static_cast<ErrorCode>(value);
    EXPECT_EQ(ErrorCodeFromName(ErrorCodeName(code)), code) << ErrorCodeName(code);
    ++names;
  }
  EXPECT_EQ(names, 11);
  EXPECT_EQ(ErrorCodeName(ErrorCode::kDeadlineExceeded), "DeadlineExceeded");
}

TEST(ErrorTest, AnUnknownNameIsAnInternalError) {
  EXPECT_EQ(ErrorCodeFromName("Runtime.ExitError"), ErrorCode::kInternal);
  EXPECT_EQ(ErrorCodeFromName(""), ErrorCode::kInternal);
}

Error CaughtErrno(int errno_value) {
  try {
    ThrowErrno("open", "a.libsvm", errno_value);
  } catch (const Error& error) {
    return error;
  }
}

TEST(ErrorTest, AFailedSystemCallNamesOperationObjectAndCause) {
  EXPECT_EQ(CaughtErrno(ENOENT).message(), "open a.libsvm: No such file or directory");
  EXPECT_STREQ(CaughtErrno(ENOSPC).what(), "open a.libsvm: No space left on device");
}

TEST(ErrorTest, TheCodeSuitsTheErrno) {
  EXPECT_EQ(CaughtErrno(ENOENT).code(), ErrorCode::kNotFound);
  EXPECT_EQ(CaughtErrno(ENOTDIR).code(), ErrorCode::kNotFound);
  EXPECT_EQ(CaughtErrno(EEXIST).code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(CaughtErrno(EACCES).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(CaughtErrno(EROFS).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(CaughtErrno(ENOSPC).code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(CaughtErrno(ENOMEM).code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(CaughtErrno(EISDIR).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CaughtErrno(ETIMEDOUT).code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(CaughtErrno(ECONNREFUSED).code(), ErrorCode::kUnavailable);
}

TEST(CheckTest, ATrueConditionDoesNothing) { LAMBDAML_CHECK(1 + 1 == 2); }

TEST(CheckDeathTest, AFalseConditionAbortsNamingItselfAndItsPlace) {
  EXPECT_DEATH(LAMBDAML_CHECK(1 + 1 == 3), "error_test\\.cc:[0-9]+: check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace lambdaml::base
