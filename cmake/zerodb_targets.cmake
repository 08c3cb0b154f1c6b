# zerodb_library(NAME [IN_LIBRARY] SOURCES file... [PUBLIC target...] [PRIVATE target...])
# A static library `zerodb_NAME`, known to others as `zerodb::NAME`. #includes start at the repository's root, those of the
# installed headers in include/. IN_LIBRARY: libzerodb takes parts of it, and shows programs only what is marked ZERODB_API.
function(zerodb_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "IN_LIBRARY" "" "SOURCES;PUBLIC;PRIVATE")
  add_library(zerodb_${name} STATIC CMakeLists.txt ${arg_SOURCES})
  add_library(zerodb::${name} ALIAS zerodb_${name})
  set_target_properties(zerodb_${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(zerodb_${name} PUBLIC
    "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
  if(arg_IN_LIBRARY)
    zerodb_hide(zerodb_${name})
  endif()
  target_link_libraries(zerodb_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()

# zerodb_hide(TARGET)
# Compiled for a shared library that shows only what is marked.
function(zerodb_hide target)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# zerodb_executable(NAME SOURCES file... LINKS target...)
# A program, left in <build>/bin and installed.
function(zerodb_executable name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  install(TARGETS ${name} COMPONENT node)
endfunction()

# zerodb_command_line(file...)
# Sources that read a command line with CLI11, once a run: optimised, they would take three times as long to compile.
function(zerodb_command_line)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -O0 SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
