#pragma once
// What calls of the client take and give. Plain values, which later versions may extend: name the
// members you set ({.media_type = "text/plain"}). bus/PROTOCOL.md says more of each.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "zerodb/bytes.hpp"
#include "zerodb/result.hpp"

namespace zerodb {

/// An acknowledged put or removal.
struct Stored {
  std::uint64_t version = 0;         ///< grows with every change of an object
  std::uint64_t size = 0;            ///< bytes; 0 for a removal
  std::uint32_t copies = 0;          ///< nodes that had made it durable when this was answered
  std::uint32_t wanted = 0;          ///< nodes that should
  std::vector<std::string> missing;  ///< names of those that failed or are down, and catch up later
};

struct ObjectInfo {
  std::string key;
  std::uint64_t size = 0;
  std::uint64_t version = 0;
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;  ///< since 1970, as the writer said
  std::map<std::string, std::string> attributes;
};

/// One object of a listing.
struct ListEntry {
  std::string key;
  std::uint64_t size = 0;
  std::uint64_t version = 0;
  std::optional<std::int64_t> mtime_ms;
};

struct ListPage {
  std::vector<ListEntry> entries;  ///< in byte order of their keys
  bool more = false;               ///< go on after the last key
};

struct PutOptions {
  std::optional<std::uint64_t> size;  ///< of a stream, when known: exactly so many bytes are taken
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;
  std::map<std::string, std::string> attributes;  ///< 4096 bytes at most in all
  std::optional<std::uint64_t> if_version;        ///< only if this version stands; else `conflict`
  bool if_absent = false;  ///< only if there is no such object; else `conflict`
};

struct ByteRange {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> last;  ///< inclusive; to the end if absent
};

/// Fills the span from the front and answers how much; 0 at the end. May block; a source that may
/// wait for more than some seconds answers `busy` instead ("nothing yet, ask again"), so that the
/// client can keep its upload alive meanwhile. Any other error ends the put. Like a sink, it must
/// not use the client that calls it.
using ByteSource = std::function<Result<std::size_t>(MutableBytes)>;
/// Takes the next bytes, in order. An error ends the get.
using ByteSink = std::function<Status(ByteView)>;

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds answer_timeout{120'000};  ///< without a word from a connected node
  /// Called when a put or get over the network lost its connection and is about to try for up to a
  /// minute to go on, on the thread that waits for it. AsyncClient does not go on, nor call it.
  std::function<void()> on_interruption = {};
};

}  // namespace zerodb
