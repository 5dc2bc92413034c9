# lambdaml_add_library(<module> LAYER n SOURCES … [DEPS modules…] [LIBS third-party targets…])
#
# Declares one module of the library as the target lambdaml::<module>. A module may depend only on
# modules of lower layers; anything else stops the configuration. Third-party libraries are linked
# privately: their headers stay in the module's .cc files.
function(lambdaml_add_library module)
  cmake_parse_arguments(ARG "" "LAYER" "SOURCES;DEPS;LIBS" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "lambdaml_add_library(${module}): unknown arguments ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  set(target lambdaml_${module})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(lambdaml::${module} ALIAS ${target})
  set_target_properties(${target} PROPERTIES LAMBDAML_LAYER ${ARG_LAYER})
  target_link_libraries(${target} PUBLIC lambdaml_flags PRIVATE ${ARG_LIBS})
  foreach(dep IN LISTS ARG_DEPS)
    if(NOT TARGET lambdaml_${dep})
      message(FATAL_ERROR "module ${module}: ${dep} is not declared before it")
    endif()
    get_target_property(dep_layer lambdaml_${dep} LAMBDAML_LAYER)
    if(NOT dep_layer LESS ARG_LAYER)
      message(FATAL_ERROR "module ${module} (layer ${ARG_LAYER}) may not use ${dep} (layer ${dep_layer})")
    endif()
    target_link_libraries(${target} PUBLIC lambdaml::${dep})
  endforeach()
endfunction()

# Test programs are compiled for a short build: half the time of a run of CI was theirs. What they
# test is compiled as everywhere. The optimiser finds little to do in them, and the checks for
# undefined behaviour double the time that a file of assertions takes; those for addresses and
# threads, which depend on both sides, stay.
add_library(lambdaml_test_flags INTERFACE)
target_compile_options(lambdaml_test_flags INTERFACE $<$<CONFIG:Release>:-O1>)
if(LAMBDAML_SANITIZE MATCHES undefined)
  target_compile_options(lambdaml_test_flags INTERFACE -fno-sanitize=undefined)
endif()

# What runs under which sanitizer: for threads, the programs in which threads meet.
set(LAMBDAML_ADDRESS_TESTS
  base_test comm_test data_test model_test net_test nn_test optim_test ps_test report_test store_test
  wire_test)
set(LAMBDAML_THREAD_TESTS base_test comm_test model_test ps_test store_test)
foreach(sanitizer address thread)
  if(NOT TARGET ${sanitizer}_tests)
    add_custom_target(${sanitizer}_tests)
  endif()
endforeach()

# lambdaml_add_test(<name> SOURCES … [DEPS modules…] [LIBS …]
#                   [LABEL unit|integration|e2e|system])
#
# One GoogleTest program; ctest runs it as one test, so that its fixtures start once. system: runs
# of the finished programs against services, by the dozen.
function(lambdaml_add_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;DEPS;LIBS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
    if(LAMBDAML_SANITIZE)
      set(ARG_TIMEOUT 1200)
    endif()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_DEPS PREPEND lambdaml::)
  target_link_libraries(${name} PRIVATE lambdaml_flags ${ARG_DEPS} ${ARG_LIBS} GTest::gmock_main
    lambdaml_test_flags)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bin)
  add_test(NAME ${name} COMMAND ${name})
  # Those that last longest begin first, so that none of them is left over at the end.
  set(cost_system 4)
  set(cost_e2e 3)
  set(cost_integration 2)
  set(cost_unit 1)
  set(labels ${ARG_LABEL})
  if(name IN_LIST LAMBDAML_ADDRESS_TESTS)
    list(APPEND labels addresses)
    add_dependencies(address_tests ${name})
  endif()
  if(name IN_LIST LAMBDAML_THREAD_TESTS)
    list(APPEND labels threads)
    add_dependencies(thread_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES
    LABELS "${labels}" TIMEOUT ${ARG_TIMEOUT} COST ${cost_${ARG_LABEL}})
endfunction()

# lambdaml_add_bench(<name> SOURCES … [DEPS modules…] [LIBS …]): a program that verifies, then times.
function(lambdaml_add_bench name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_DEPS PREPEND lambdaml::)
  target_link_libraries(${name} PRIVATE lambdaml_flags ${ARG_DEPS} ${ARG_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
endfunction()
