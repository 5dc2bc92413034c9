#include "lambdaml/base/delayed_library.h"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::base {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

TEST(LoadFunctions, FindsTheFunctionsOfALibrary) {
  constexpr std::array<const char*, 2> kNames = {"floor", "ceil"};
  std::array<void*, 2> functions{};
  LoadFunctions("libm.so.6", kNames, functions);
  EXPECT_EQ(reinterpret_cast<double (*)(double)>(functions[0])(1.5), 1);
  EXPECT_EQ(reinterpret_cast<double (*)(double)>(functions[1])(1.5), 2);
}

TEST(LoadFunctions, NamesALibraryOrAFunctionThatIsMissingAndSetsNothing) {
  constexpr std::array<const char*, 2> kNames = {"floor", "no_such_function"};
  std::array<void*, 2> functions{};
  for (const auto& [library, missing] : {std::pair{"libno-such-library.so.9", "no-such-library"},
                                         std::pair{"libm.so.6", "no_such_function"}}) {
    try {
      LoadFunctions(library, kNames, functions);
      ADD_FAILURE() << library;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNotFound);
      EXPECT_THAT(error.message(), AllOf(HasSubstr(library), HasSubstr(missing)));
    }
    EXPECT_THAT(functions, Each(nullptr));
  }
}

}  // namespace
}  // namespace lambdaml::base
