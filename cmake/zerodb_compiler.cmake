# How every file of zerodb is compiled.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)

# Checked operator[] and friends: cheap, and our bugs stop where they happen.
add_compile_definitions(_GLIBCXX_ASSERTIONS)

if(ZERODB_DEVELOPER)
  # A designated initialiser may leave the rest at its defaults.
  add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wno-missing-field-initializers -Werror)
endif()

if(ZERODB_SANITIZE)
  add_compile_options(-fsanitize=${ZERODB_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${ZERODB_SANITIZE})
endif()

# What fuzz targets link tells libFuzzer which paths it took.
if(ZERODB_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Several sources compiled as one make g++ 12 wrongly take their anonymous namespaces for a header's.
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()

# ccache sees paths relative to the source folder, so that every checkout shares one cache.
find_program(ZERODB_CCACHE ccache)
if(ZERODB_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
    "${ZERODB_CCACHE}")
endif()
