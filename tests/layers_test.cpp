// Reads every #include of the product and fails on an edge that the layers forbid:
// core <- store, core <- bus, store + bus <- node, bus <- tools, bus <- client. The installed
// headers in include/ stand on each other alone; every layer may use those of them that name plain
// types.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

constexpr std::array folders{"include"sv, "store"sv, "bus"sv, "client"sv, "node"sv, "tools"sv};

/// The installed headers that are the library itself, for programs outside and for client/.
constexpr std::array library_stems{"client"sv, "async_client"sv, "listing"sv};

/// The files of store/ that every layer may use, by stem.
constexpr std::array core_stems{"result"sv,  "bytes"sv,    "ids"sv,    "clock"sv,    "keys"sv,
                                "keyfile"sv, "recovery"sv, "cipher"sv, "manifest"sv, "fields"sv,
                                "buffer"sv,  "version"sv,  "hash"sv,   "receipt"sv};

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

std::string_view stem_of(std::string_view path) {
  const auto name = path.substr(path.rfind('/') + 1);
  return name.substr(0, name.find('.'));
}

/// The layer that a path from the repository's root belongs to: "core" or its first folder.
std::string_view layer_of(std::string_view path) {
  const auto folder = path.substr(0, path.find('/'));
  if (folder == "store" && std::ranges::find(core_stems, stem_of(path)) != core_stems.end()) {
    return "core";
  }
  return folder;
}

/// What an #include reaches: a layer ("library" or "types" for installed headers), a library we
/// care about, "foreign" for another one, or "" (the standard library, and tl::expected).
/// store/fields.hpp is msgpack in all but name, made for .cpp files alone.
std::string_view target_of(std::string_view included, bool quoted) {
  const auto head = included.substr(0, included.find_first_of("/."));
  if (included == "store/fields.hpp") return "msgpack";
  if (is_one_of(head, {"rocksdb", "msgpack", "sodium"})) return head;
  if (head.starts_with("zmq")) return "zmq";
  if (included == "tl/expected.hpp") return {};
  if (head == "zerodb") {
    const bool library = std::ranges::find(library_stems, stem_of(included)) != library_stems.end();
    return library ? "library" : "types";
  }
  if (!quoted && std::ranges::find(folders, head) == folders.end()) {
    return included.find_first_of("/.") == std::string_view::npos ? "" : "foreign";
  }
  return included.find('/') == std::string_view::npos ? "relative" : layer_of(included);
}

bool may_include(std::string_view path, std::string_view target) {
  const auto layer = layer_of(path);
  const bool header = path.ends_with(".hpp") || path.ends_with(".h");
  if (is_one_of(target, {"relative", "tests", "include", ".", ".."})) return false;
  if (layer == "include") return is_one_of(target, {"", "types", "library"});
  if (target == "library") return layer == "client";
  if (target == "client") return layer == "client";
  if (path == "store/fields.hpp" && target == "msgpack") return true;
  if (path.starts_with("tools/zscale") && target == "node") return true;  // on placement itself
  if (target == "msgpack" && header) return !is_one_of(layer, {"core", "store", "bus", "client"});
  if (layer == "core")
    return !is_one_of(target, {"store", "bus", "node", "tools", "rocksdb", "zmq"});
  if (layer == "store") return !is_one_of(target, {"bus", "node", "tools", "zmq"});
  if (layer == "bus") return !is_one_of(target, {"store", "node", "tools", "rocksdb"});
  if (layer == "client") {
    return !is_one_of(target, {"store", "node", "tools", "rocksdb", "zmq", "sodium"});
  }
  if (layer == "node") return !is_one_of(target, {"tools", "rocksdb", "zmq", "sodium"});
  if (layer == "tools") return !is_one_of(target, {"store", "node", "rocksdb"});
  return false;
}

/// "PATH includes WHAT" for each forbidden #include in `text`, the content of `path`.
std::vector<std::string> forbidden_edges(std::string_view path, std::string_view text) {
  std::vector<std::string> edges;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto skip = [&line](std::string_view word) {
      line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
      if (!line.starts_with(word)) return false;
      line.remove_prefix(word.size());
      return true;
    };
    if (!skip("#") || !skip("include")) continue;
    const bool quoted = skip("\"");
    if (!quoted && !skip("<")) continue;
    const auto included = line.substr(0, line.find(quoted ? '"' : '>'));
    if (!may_include(path, target_of(included, quoted))) {
      edges.push_back(std::string{path} + " includes " + std::string{included});
    }
  }
  return edges;
}

bool forbidden(std::string_view path, std::string_view include) {
  return !forbidden_edges(path, "int a;\n  # include " + std::string{include} + "\nint b;\n")
              .empty();
}

}  // namespace

TEST_CASE("layers: no file includes what its layer may not see", "[layers]") {
  std::size_t read = 0;
  for (const auto folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const auto extension = entry.path().extension();
      if (extension != ".hpp" && extension != ".h" && extension != ".cpp") continue;
      std::ifstream file{entry.path()};
      const std::string text{std::istreambuf_iterator<char>{file}, {}};
      for (const auto& edge : forbidden_edges(entry.path().generic_string(), text)) {
        FAIL_CHECK(edge);
      }
      ++read;
    }
  }
  CHECK(read > 0);
}

TEST_CASE("layers: a forbidden include is noticed", "[layers]") {
  CHECK(forbidden("store/ids.hpp", "\"store/index.hpp\""));
  CHECK(forbidden("store/ids.cpp", "<rocksdb/db.h>"));
  CHECK(forbidden("store/index.cpp", "\"bus/peer_message.hpp\""));
  CHECK(forbidden("store/manifest.hpp", "<msgpack.hpp>"));
  CHECK(forbidden("bus/link.cpp", "\"node/node.hpp\""));
  CHECK(forbidden("bus/link.cpp", "\"store/store.hpp\""));
  CHECK(forbidden("bus/link.cpp", "<rocksdb/db.h>"));
  CHECK(forbidden("bus/codec.hpp", "<msgpack/v3/unpack.hpp>"));
  CHECK(forbidden("bus/codec.hpp", "\"store/fields.hpp\""));
  CHECK(forbidden("node/gateway.cpp", "<zmq.hpp>"));
  CHECK(forbidden("node/gateway.cpp", "<zmq_addon.hpp>"));
  CHECK(forbidden("node/gateway.cpp", "<sodium.h>"));
  CHECK(forbidden("node/gateway.cpp", "<rocksdb/db.h>"));
  CHECK(forbidden("node/gateway.cpp", "\"tools/progress.hpp\""));
  CHECK(forbidden("tools/zdb.cpp", "\"node/node.hpp\""));
  CHECK(forbidden("tools/zdb.cpp", "\"store/store.hpp\""));
  CHECK(forbidden("bus/link.cpp", "<node/node.hpp>"));
  CHECK(forbidden("bus/link.cpp", "\"link.hpp\""));
  CHECK(forbidden("bus/link.cpp", "\"../node/node.hpp\""));
  CHECK(forbidden("node/node.cpp", "\"tests/support/temp_dir.hpp\""));
  CHECK(forbidden("include/zerodb/client.hpp", "\"bus/client.hpp\""));
  CHECK(forbidden("include/zerodb/client.hpp", "\"store/bytes.hpp\""));
  CHECK(forbidden("include/zerodb/client.hpp", "<zmq.hpp>"));
  CHECK(forbidden("include/zerodb/client.hpp", "<asio/awaitable.hpp>"));
  CHECK(forbidden("include/zerodb/client.hpp", "<unistd.h>"));
  CHECK(forbidden("include/zerodb/client.hpp", "\"object.hpp\""));
  CHECK(forbidden("client/client.cpp", "\"store/store.hpp\""));
  CHECK(forbidden("client/client.cpp", "\"node/node.hpp\""));
  CHECK(forbidden("client/client.cpp", "<zmq.hpp>"));
  CHECK(forbidden("bus/client.hpp", "\"zerodb/client.hpp\""));
  CHECK(forbidden("bus/client.hpp", "\"client/public_types.hpp\""));
  CHECK(forbidden("tools/zdb.cpp", "<zerodb/client.hpp>"));
}

TEST_CASE("layers: an allowed include is left alone", "[layers]") {
  CHECK_FALSE(forbidden("store/ids.hpp", "\"store/bytes.hpp\""));
  CHECK_FALSE(forbidden("store/index.cpp", "\"store/ids.hpp\""));
  CHECK_FALSE(forbidden("store/index.cpp", "<rocksdb/db.h>"));
  CHECK_FALSE(forbidden("store/manifest.cpp", "<msgpack.hpp>"));
  CHECK_FALSE(forbidden("store/fields.hpp", "<msgpack.hpp>"));
  CHECK_FALSE(forbidden("bus/codec.cpp", "\"store/fields.hpp\""));
  CHECK_FALSE(forbidden("bus/link.cpp", "\"store/ids.hpp\""));
  CHECK_FALSE(forbidden("bus/socket.hpp", "<zmq.hpp>"));
  CHECK_FALSE(forbidden("node/gateway.cpp", "\"store/store.hpp\""));
  CHECK_FALSE(forbidden("node/gateway.cpp", "\"bus/link.hpp\""));
  CHECK_FALSE(forbidden("tools/zdb.cpp", "\"bus/client.hpp\""));
  CHECK_FALSE(forbidden("tools/zdb.cpp", "\"tools/progress.hpp\""));
  CHECK_FALSE(forbidden("store/ids.hpp", "<vector>"));
  CHECK_FALSE(forbidden("store/result.hpp", "\"zerodb/result.hpp\""));
  CHECK_FALSE(forbidden("bus/client.hpp", "\"zerodb/object.hpp\""));
  CHECK_FALSE(forbidden("include/zerodb/client.hpp", "\"zerodb/object.hpp\""));
  CHECK_FALSE(forbidden("include/zerodb/result.hpp", "<tl/expected.hpp>"));
  CHECK_FALSE(forbidden("include/zerodb/result.hpp", "<string_view>"));
  CHECK_FALSE(forbidden("client/client.cpp", "\"zerodb/client.hpp\""));
  CHECK_FALSE(forbidden("client/client.cpp", "\"bus/client.hpp\""));
  CHECK_FALSE(forbidden("client/async_client.cpp", "<asio/post.hpp>"));
}
