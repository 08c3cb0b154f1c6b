# The libraries zerodb stands on, each as one target.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)

find_package(tl-expected REQUIRED)
find_package(RocksDB CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)

find_path(ZERODB_CPPZMQ_INCLUDE zmq.hpp REQUIRED)
find_path(ZERODB_ZMQ_INCLUDE zmq.h REQUIRED)
find_library(ZERODB_ZMQ_LIBRARY zmq REQUIRED)
find_path(ZERODB_ASIO_INCLUDE asio.hpp REQUIRED)
find_path(ZERODB_MSGPACK_INCLUDE msgpack.hpp REQUIRED)

# Header-only; its own configuration insists on Boost, which these definitions make unnecessary.
add_library(zerodb_msgpack INTERFACE)
target_include_directories(zerodb_msgpack SYSTEM INTERFACE "${ZERODB_MSGPACK_INCLUDE}")
target_compile_definitions(zerodb_msgpack INTERFACE MSGPACK_NO_BOOST)

# Header-only, without Boost. Left alone, asio takes its memory in one of two ways, depending on whether a standard header
# was included before it: files that differ in that would free what the other way had taken.
add_library(zerodb_asio INTERFACE)
target_include_directories(zerodb_asio SYSTEM INTERFACE "${ZERODB_ASIO_INCLUDE}")
target_compile_definitions(zerodb_asio INTERFACE
  ASIO_STANDALONE ASIO_NO_DEPRECATED ASIO_DISABLE_STD_ALIGNED_ALLOC
  # Debian 12's asio does not see that a clang has coroutines.
  $<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_CO_AWAIT ASIO_HAS_STD_COROUTINE>)
target_link_libraries(zerodb_asio INTERFACE Threads::Threads)

# libzmq and cppzmq, the header over it. Not by pkg-config, which names the include folders of Kerberos, too, and those in
# another order when CMake runs again: then all that includes them is built anew.
add_library(zerodb_zmq INTERFACE)
target_include_directories(zerodb_zmq SYSTEM INTERFACE "${ZERODB_ZMQ_INCLUDE}" "${ZERODB_CPPZMQ_INCLUDE}")
target_link_libraries(zerodb_zmq INTERFACE "${ZERODB_ZMQ_LIBRARY}")
