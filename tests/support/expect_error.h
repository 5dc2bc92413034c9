// What is refused, and how it is said.
#pragma once

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"

namespace lambdaml::test {

// Runs `work`, with a failure unless it throws an error of that code whose message contains `said`.
inline void ExpectError(base::ErrorCode code, std::string_view said,
                        const std::function<void()>& work) {
  try {
    work();
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_THAT(error.message(), ::testing::HasSubstr(std::string(said)));
  }
}

}  // namespace lambdaml::test
