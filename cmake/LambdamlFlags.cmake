# The one place for compiler flags: every target links lambdaml_flags.
add_library(lambdaml_flags INTERFACE)
target_compile_features(lambdaml_flags INTERFACE cxx_std_20)
# -ffp-contract=fast would let the compiler fuse or not as it likes; kernels that want a fused
# multiply-add ask for it, so results do not change with inlining (docs/algorithms.md, Exactness).
target_compile_options(lambdaml_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
  -ffp-contract=off
  # GCC 12 sees overlapping copies in std::string's own operator+ (its bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  $<$<BOOL:${LAMBDAML_WERROR}>:-Werror>
  $<$<BOOL:${LAMBDAML_ARCH}>:-march=${LAMBDAML_ARCH}>)
target_include_directories(lambdaml_flags INTERFACE ${PROJECT_SOURCE_DIR})

find_package(Threads REQUIRED)
target_link_libraries(lambdaml_flags INTERFACE Threads::Threads)

if(LAMBDAML_SANITIZE)
  target_compile_options(lambdaml_flags INTERFACE
    -fsanitize=${LAMBDAML_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(lambdaml_flags INTERFACE -fsanitize=${LAMBDAML_SANITIZE})
endif()

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
