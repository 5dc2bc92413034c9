# lambdaml_delayed_library(<name> FILE <library.so> PREFIX <prefix> FUNCTION <Function>)
#
# A shared library that a program loads when it first wants it, and not each time it starts: a
# function that is started cold need not wait for what its job does not use. Makes
#
#   lambdaml_delayed_<name>   to be linked in place of the library: each function of the library
#                             whose name begins with the prefix, as a jump to where the library's
#                             own will be, and lambdaml::delayed::<Function>(), which loads it
#   bin/lambdaml-<name>.so    a module without content that needs the library, so that who packages
#                             a program with its modules finds it
#
# The program calls <Function>() before anything else of the library. x86-64 only.
function(lambdaml_delayed_library name)
  cmake_parse_arguments(ARG "" "FILE;PREFIX;FUNCTION" "" ${ARGN})
  execute_process(COMMAND ${CMAKE_NM} -D --defined-only --format=posix ${ARG_FILE}
    OUTPUT_VARIABLE defined COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${ARG_FILE}
    OUTPUT_VARIABLE header COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "SONAME +([^\n]+)" found "${header}")
  set(DELAYED_SONAME ${CMAKE_MATCH_1})
  set(DELAYED_NAME ${name})
  set(DELAYED_FUNCTION ${ARG_FUNCTION})
  set(DELAYED_STRINGS "")
  set(DELAYED_JUMPS "")
  set(DELAYED_COUNT 0)
  string(REGEX MATCHALL "\n${ARG_PREFIX}[A-Za-z0-9_]*(@@[A-Za-z0-9_.]*)? T" lines "\n${defined}")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "[A-Za-z0-9_]+" symbol "${line}")
    math(EXPR offset "8 * ${DELAYED_COUNT}")
    string(APPEND DELAYED_STRINGS "    \"${symbol}\",\n")
    string(APPEND DELAYED_JUMPS ".globl ${symbol}\n.hidden ${symbol}\n.type ${symbol}, @function\n"
      "${symbol}: jmp *lambdaml_delayed_${name}+${offset}(%rip)\n")
    math(EXPR DELAYED_COUNT "${DELAYED_COUNT} + 1")
  endforeach()
  if(DELAYED_COUNT EQUAL 0 OR DELAYED_SONAME STREQUAL "")
    message(FATAL_ERROR "${ARG_FILE}: no shared library with functions ${ARG_PREFIX}…")
  endif()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/delayed_${name}.cc)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/delayed_library.cc.in ${source} @ONLY)
  add_library(lambdaml_delayed_${name} STATIC ${source})
  target_link_libraries(lambdaml_delayed_${name} PRIVATE lambdaml_flags lambdaml::base)

  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/needs_${name}.cc CONTENT "")
  add_library(lambdaml_needs_${name} MODULE ${CMAKE_CURRENT_BINARY_DIR}/needs_${name}.cc)
  target_link_options(lambdaml_needs_${name} PRIVATE -nodefaultlibs -Wl,--no-as-needed)
  target_link_libraries(lambdaml_needs_${name} PRIVATE ${ARG_FILE})
  set_target_properties(lambdaml_needs_${name} PROPERTIES
    PREFIX "" OUTPUT_NAME lambdaml-${name} LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  install(TARGETS lambdaml_needs_${name} LIBRARY DESTINATION bin)
  set_property(GLOBAL APPEND PROPERTY LAMBDAML_NEEDS_MODULES lambdaml_needs_${name})
endfunction()
